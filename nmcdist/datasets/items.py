"""Items of a store of any kind: their number, and the default name of an exported file."""

from pathlib import Path

from nmcdist.datasets.export.formats import FORMATS, format_named
from nmcdist.datasets.layout import SAMPLE
from nmcdist.datasets.store import open_store, read_attributes


def item_count(store: Path) -> int:
    """Return the number of items of a store.

    Raises
    ------
    StoreError
        If the store does not exist.
    """
    return int(open_store(store).sizes[SAMPLE])


def default_name(store: Path, item: int, file_format: str) -> str:
    """Return the default file name of an exported item.

    Raises
    ------
    InputError
        If the format is unknown.
    StoreError
        If the store does not exist.
    """
    chosen = format_named(file_format, {row.content for row in FORMATS.values()})
    return f"{read_attributes(store)['name']}-{item:05d}{chosen.suffix}"
