"""The end of a run: check that nothing is missing, complete the metadata, seal with a manifest, publish by rename."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.datasets.files import FileRecord, files_below, flush
from nmcdist.datasets.integrity import write_manifest
from nmcdist.datasets.store import consolidate, remove_files, write_coordinates, write_descriptors
from nmcdist.errors import StoreError
from nmcdist.runs import cba
from nmcdist.runs.journal import Journal, Receipt, unpacked
from nmcdist.runs.plan import Plan


@dataclass(frozen=True)
class Paths:
    """Where a dataset and what belongs to it stand.

    Attributes
    ----------
    store : Path
        The finished store.
    """

    store: Path

    @property
    def wip(self) -> Path:
        """The store in the making."""
        return self.store.with_name(self.store.name + ".wip")

    @property
    def old(self) -> Path:
        """The store that is about to be replaced; it is here for an instant only."""
        return self.store.with_name(self.store.name + ".old")

    @property
    def run(self) -> Path:
        """The folder of the journal."""
        return self.store.with_name(self.store.name.removesuffix(".zarr") + ".run")


def finalise(plan: Plan, wip: Path, journal: Journal) -> str:
    """Complete a store all of whose tasks are done, and return the SHA-256 (hex) of its manifest.

    Raises
    ------
    StoreError
        If a task is not done, or a file is not there any more.
    """
    receipts = _receipts(plan, journal)
    records = {name: record for receipt in receipts.values() for name, record in receipt.files.items()}
    _check_present(wip, records)
    made_here: set[str] = set()
    if plan.by_blocks and plan.recipe.descriptors is not None:
        made_here = _join_blocks(plan, wip, receipts)
    write_coordinates(wip, plan.layout)
    _remove_strays(plan, wip, set(records) | made_here)
    consolidate(wip)
    digest = write_manifest(wip, records)
    os.sync()
    return digest


def publish(paths: Paths, wip: Path) -> None:
    """Put a finished store under its name; a store that was there before goes when the new one is in place."""
    if paths.store.exists():
        paths.store.rename(paths.old)
    wip.rename(paths.store)
    flush(paths.store.absolute().parent)
    shutil.rmtree(paths.old, ignore_errors=True)


def undo_half_a_swap(paths: Paths) -> None:
    """Repair what a driver left that died between the two renames of :func:`publish`, or just after them."""
    if paths.old.exists() and not paths.store.exists():
        paths.old.rename(paths.store)
    shutil.rmtree(paths.old, ignore_errors=True)


def _receipts(plan: Plan, journal: Journal) -> dict[str, Receipt]:
    found = {task.name: journal.receipt(task.name) for task in plan.tasks}
    missing = sorted({task.sample for task in plan.tasks if found[task.name] is None})
    if missing:
        raise StoreError(f"{plan.out / plan.recipe.name}: items not made: {missing}")
    return {name: receipt for name, receipt in found.items() if receipt is not None}


def _check_present(wip: Path, records: Mapping[str, FileRecord]) -> None:
    for name, record in records.items():
        path = wip / name
        if not path.exists() or path.stat().st_size != record.size:
            raise StoreError(f"{path}: was written and is gone or cut; run again with --resume")


def _join_blocks(plan: Plan, wip: Path, receipts: Mapping[str, Receipt]) -> set[str]:
    """Write the descriptors of volumes that were made in blocks, from what each block adds."""
    recipe, descriptors = plan.recipe, plan.layout.descriptors
    assert recipe.descriptors is not None
    sums: dict[int, dict[str, np.ndarray]] = {}
    for task in plan.tasks:
        partials = unpacked(receipts[task.name].partials or {})
        before = sums.setdefault(task.sample, {name: np.zeros_like(a) for name, a in partials.items()})
        sums[task.sample] = {name: before[name] + array for name, array in partials.items()}
    files: set[str] = set()
    for sample, partials in sums.items():
        own = [name for variable in descriptors for name in variable.files(sample)]
        values = cba.describe_from_blocks(
            partials, recipe.volume.shape, recipe.volume.voxel_size_nm, recipe.descriptors
        )
        remove_files(wip, own)
        write_descriptors(wip, descriptors, sample, values)
        files |= set(own)
    return files


def _remove_strays(plan: Plan, wip: Path, chunks: set[str]) -> None:
    """Remove what killed writers left behind, the chunks of nobody, and an earlier manifest."""
    coordinates = {c.name for c in plan.layout.coordinates}
    for name in list(files_below(wip)):
        whole = not name.endswith(".partial") and (
            name in chunks or name in plan.layout.nodes or name.partition("/c/")[0] in coordinates
        )
        if not whole:
            (wip / name).unlink()
