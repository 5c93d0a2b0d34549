"""Shared parts of the reports on all kinds of stores: the store's origin, the folder, and the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nmcdist.bundle import Bundle
from nmcdist.datasets.store import read_origin
from nmcdist.errors import InputError, StoreError


def bundle_of(store: Path) -> Bundle:
    """Return the bundle from which a store was made, without its arrays.

    Raises
    ------
    StoreError
        If the store does not exist, or does not record its origin.
    """
    _, bundle = read_origin(store)
    try:
        return Bundle.model_validate({k: v for k, v in bundle.items() if k != "content_hash"})
    except (AttributeError, ValueError) as error:
        raise StoreError(f"{store}: its attributes do not say how it was made ({error})") from None


def make_folder(folder: Path) -> None:
    """Make the folder of a report; raise InputError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}), expected a folder for the report") from None


def write_page(
    folder: Path, parts: Sequence[str], pictures: Sequence[Path], captions: Mapping[str, str], name: str = "report.md"
) -> Path:
    """Write a page: paragraphs, then each picture under a heading, with caption and SVG, if any."""
    shown = [
        f"## {path.stem.replace('-', ' ').capitalize()}\n\n![{path.stem}]({path.name})\n\n{captions[path.name]}"
        + (f" [SVG]({path.stem}.svg)" if path.with_suffix(".svg").exists() else "")
        for path in pictures
    ]
    page = folder / name
    page.write_text("\n\n".join([*parts, *shown]) + "\n", encoding="utf-8")
    return page
