"""The end of a run: check that nothing is missing, complete the metadata, seal with a manifest, publish by rename."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nmcdist.datasets.files import FileRecord, entries_below, files_below, flush
from nmcdist.datasets.folder import Folder, refuse_all_but_folders
from nmcdist.datasets.integrity import GROUP, is_damaged, refuse_links, write_manifest
from nmcdist.datasets.store import consolidate, read_attributes, write_coordinates
from nmcdist.errors import StoreError
from nmcdist.inputs import named_path
from nmcdist.products.plan import Plan
from nmcdist.products.registry import maker_of
from nmcdist.runs.journal import Journal
from nmcdist.threads import thread_map

_SHOWN = 20


@dataclass(frozen=True)
class Paths:
    """Where a dataset and what belongs to it stand.

    Attributes
    ----------
    store : Path
        The finished store.
    """

    store: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", named_path(self.store, StoreError))

    @property
    def wip(self) -> Path:
        """The unfinished store."""
        return self.store.with_name(self.store.name + ".wip")

    @property
    def old(self) -> Path:
        """The store that is about to be replaced; it is here for an instant only."""
        return self.store.with_name(self.store.name + ".old")

    @property
    def run(self) -> Path:
        """The folder of the journal."""
        return self.store.with_name(self.store.name.removesuffix(".zarr") + ".run")

    def refuse_strangers(self) -> None:
        """Refuse what stands under the names of a run and is none of its folders, before anything is touched.

        Raises
        ------
        StoreError
            If one is a link or a file, or a record of the journal is none.
        """
        refuse_all_but_folders(self.store, self.wip, self.run)
        Journal(self.run).refuse_strangers()

    def refuse_what_bars_a_swap(self) -> None:
        """Refuse to replace what is no store, or to do so where the name for the old one is taken.

        Raises
        ------
        StoreError
            If the store cannot be replaced by another.
        """
        if not os.path.lexists(self.store):
            return
        self.refuse_strangers()
        if not is_damaged(self.store, GROUP):
            read_attributes(self.store)
        if os.path.lexists(self.old):
            raise StoreError(f"{self.old}: is here, and no run has recorded it; move it away, then use --resume")


def finalise(plan: Plan, wip: Path, journal: Journal, *, known: bool = True) -> str:
    """Complete a store all of whose tasks are done, and return the SHA-256 (hex) of its manifest.

    Parameters
    ----------
    plan : Plan
    wip : Path
    journal : Journal
    known : bool
        Whether this process has seen every file whole, written or compared; otherwise all are compared.

    Raises
    ------
    StoreError
        If a task is not done, a file is not there any more or damaged, or there are links among them.
    """
    records = _records(plan, journal)
    refuse_links(wip)
    _check_present(wip, records)
    if not known:
        _check_content(wip, records)
    made_here = maker_of(plan.recipe).join(plan, wip, journal)
    write_coordinates(wip, plan.layout)
    _remove_strays(plan, wip, set(records) | made_here)
    consolidate(wip)
    digest = write_manifest(wip, records)
    journal.write_seal(digest)
    os.sync()
    return digest


def publish(paths: Paths, wip: Path, journal: Journal) -> None:
    """Put a finished store under its name; a store that was there before goes when the new one is in place.

    Raises
    ------
    StoreError
        If what is there is no store, or something else has the name that it would get meanwhile.
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
    """Repair what a driver left that died between the two renames of :func:`publish`, or just after them.

    Only the folder that the journal recorded is touched.

    Parameters
    ----------
    paths : Paths
    journal : Journal
    resumed : str, optional
        Fingerprint of a run that is to be continued or healed: where no store is there, its own under the name of the
        old one is put back whatever moved it there, since nothing of it will be replaced.
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


def _records(plan: Plan, journal: Journal) -> dict[str, FileRecord]:
    """Return the record of every file that tasks wrote, and refuse to go on without one."""
    records: dict[str, FileRecord] = {}
    missing = []
    for task in plan.tasks:
        receipt = journal.receipt(task.name)
        if receipt is None or receipt.fingerprint != plan.fingerprint:
            missing.append(task.sample)
        else:
            records.update(receipt.files)
    if missing:
        items = sorted(set(missing))
        shown = ", ".join(map(str, items[:_SHOWN])) + (
            f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
        )
        raise StoreError(
            f"{plan.out / plan.recipe.name}.zarr: tasks not done, by their first items: {shown}; run their parts "
            "again, or all with --resume"
        )
    return records


def _check_present(wip: Path, records: Mapping[str, FileRecord]) -> None:
    sizes = {name: state.st_size for name, state in entries_below(wip) if stat.S_ISREG(state.st_mode)}
    for name, record in records.items():
        if sizes.get(name) != record.size:
            raise StoreError(f"{wip / name}: was written and is gone or cut; run again with --resume")


def _check_content(wip: Path, records: Mapping[str, FileRecord]) -> None:
    whole = thread_map(lambda name: Folder(wip).matches(name, records[name]), records)
    for name in (name for name, well in zip(records, whole, strict=True) if not well):
        raise StoreError(f"{wip / name}: is damaged; run again with --resume")


def _remove_strays(plan: Plan, wip: Path, chunks: set[str]) -> None:
    """Remove what killed writers left behind, the chunks of nobody, and an earlier manifest."""
    coordinates = {c.name for c in plan.layout.coordinates}
    for name in list(files_below(wip)):
        whole = not name.endswith(".partial") and (
            name in chunks or name in plan.layout.nodes or name.partition("/c/")[0] in coordinates
        )
        if not whole:
            Folder(wip).remove(name)
