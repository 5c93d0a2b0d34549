"""The swap at the end of a run: the finished store gets its name, and replaces an earlier store."""

from pathlib import Path

from nmcdist.datasets.files import flush
from nmcdist.datasets.store import read_attributes
from nmcdist.errors import StoreError
from nmcdist.execution.journal import Journal
from nmcdist.runs.paths import Paths


def put_in_place(paths: Paths, wip: Path, journal: Journal) -> None:
    """Give a finished store its name; an earlier store is removed once the new one is in place.

    Raises
    ------
    StoreError
        If the existing folder is not a store, or its temporary name is taken.
    """
    paths.refuse_what_bars_a_swap()
    replaces = paths.store.exists()
    if replaces:
        journal.begin_swap(paths.store)
        paths.store.rename(paths.old)
    wip.rename(paths.store)
    flush(paths.store.absolute().parent)
    if replaces:
        journal.discard(paths.old)
        journal.end_swap()


def undo_half_a_swap(paths: Paths, journal: Journal, resumed: str | None = None) -> None:
    """Repair the folders of a driver that died between the two renames of :func:`put_in_place`, or just after.

    Touches only the folder that the journal recorded.

    Parameters
    ----------
    paths : Paths
    journal : Journal
    resumed : str, optional
        Fingerprint of a run that is continued or repaired: if no store exists, its own store under the old name is
        restored, whatever moved it there, because it will not be replaced.
    """
    paths.refuse_strangers()
    swapped = journal.is_swapped(paths.old)
    if not paths.store.exists():
        if swapped or (resumed is not None and _is_of_run(paths.old, resumed, journal)):
            paths.old.rename(paths.store)
    elif swapped:
        journal.discard(paths.old)
    journal.end_swap()


def _is_of_run(old: Path, fingerprint: str, journal: Journal) -> bool:
    if old.is_symlink() or not old.is_dir():
        return False
    try:
        return read_attributes(old).get("fingerprint") == fingerprint == journal.settings().get("fingerprint")
    except StoreError:
        return False
