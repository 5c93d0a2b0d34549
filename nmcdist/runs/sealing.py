"""The seal of a run: check that no file is missing, complete the metadata, write the manifest."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from nmcdist.datasets.files import FileRecord, entries_below, files_below
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import refuse_links, write_manifest
from nmcdist.datasets.writers import writer_versions
from nmcdist.datasets.writing import consolidate, write_coordinates
from nmcdist.errors import StoreError
from nmcdist.execution.journal import Journal
from nmcdist.products.plan import Plan
from nmcdist.products.registry import kind_of
from nmcdist.threads import thread_map

_SHOWN = 20


def finalise(plan: Plan, wip: Path, journal: Journal, *, known: bool = True) -> str:
    """Complete a store whose tasks are all done, and return the SHA-256 (hex) of its manifest.

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
        If a task is not done, or a file is missing, damaged or a link.
    """
    records = _records(plan, journal)
    refuse_links(wip)
    _check_present(wip, records)
    if not known:
        _check_content(wip, records)
    made_here = kind_of(plan.recipe).join(plan, wip, journal.partials)
    write_coordinates(wip, plan.layout)
    _remove_strays(plan, wip, set(records) | made_here)
    consolidate(wip)
    digest = write_manifest(wip, records)
    journal.write_seal(digest, writer_versions())
    os.sync()
    return digest


def _records(plan: Plan, journal: Journal) -> dict[str, FileRecord]:
    """Return the record of every file that tasks wrote; refuse if one is missing."""
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
            raise StoreError(f"{wip / name}: was written, but is missing or truncated; run again with --resume")


def _check_content(wip: Path, records: Mapping[str, FileRecord]) -> None:
    whole = thread_map(lambda name: Folder(wip).matches(name, records[name]), records)
    for name in (name for name, well in zip(records, whole, strict=True) if not well):
        raise StoreError(f"{wip / name}: is damaged; run again with --resume")


def _remove_strays(plan: Plan, wip: Path, chunks: set[str]) -> None:
    """Remove the leftovers of killed writers, chunks without an owner, and an earlier manifest."""
    coordinates = {c.name for c in plan.layout.coordinates}
    for name in list(files_below(wip)):
        whole = not name.endswith(".partial") and (
            name in chunks or name in plan.layout.nodes or name.partition("/c/")[0] in coordinates
        )
        if not whole:
            Folder(wip).remove(name)
