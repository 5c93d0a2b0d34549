"""Existing stores: whether one belongs to a plan and is whole, and how to reopen a damaged one."""

import json
import stat
from pathlib import Path
from typing import Any

from nmcdist.datasets.files import FileRecord, entries_below, files_below
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import GROUP, is_damaged, manifest_hash, read_manifest, refuse_links
from nmcdist.datasets.layout import Coordinate, Variable
from nmcdist.datasets.store import MANIFEST, gathered_metadata, read_attributes
from nmcdist.errors import StoreError
from nmcdist.execution.journal import Journal, Receipt
from nmcdist.products.plan import Plan
from nmcdist.runs.paths import Paths
from nmcdist.runs.unfinished import begin, record_settings, refuse_stranger


def is_there(plan: Plan, store: Path, journal: Journal) -> bool:
    """Return whether the finished store exists and belongs to this plan."""
    if not store.exists():
        return False
    try:
        return read_attributes(store).get("fingerprint") == plan.fingerprint
    except StoreError:
        if not is_damaged(store, GROUP):
            raise
        return journal.settings().get("fingerprint") == plan.fingerprint


def is_whole(plan: Plan, store: Path, journal: Journal) -> bool:
    """Return whether a finished store is whole: every file exists and matches the manifest.

    Receipts and the seal of this run must agree with it, if they exist; a store without them can be whole too. One
    whose attributes have other texts than the plan, as those of an earlier version of nmcdist, is not.
    """
    try:
        manifest, described = read_manifest(store), _descriptions(store)
    except StoreError:
        return False
    vouched: dict[str, FileRecord] = {}
    if journal.settings().get("fingerprint") == plan.fingerprint:
        if journal.is_sealed_otherwise(manifest_hash(store)):
            return False
        for task in plan.tasks:
            receipt = journal.receipt(task.name)
            vouched.update(receipt.files if receipt else {})
    return (
        described == json.loads(json.dumps(_described_by(plan)))
        and set(manifest) == set(files_below(store)) - {MANIFEST}
        and all(name in manifest for task in plan.tasks for name in task.files)
        and all(manifest.get(name) == record for name, record in vouched.items())
        and all(Folder(store).matches(name, record) for name, record in manifest.items())
    )


def _descriptions(store: Path) -> dict[str, Any]:
    """Return the attributes of a store and of its arrays by name, the store's own under an empty name."""
    arrays = {name: content["attributes"] for name, content in gathered_metadata(store).items()}
    return {"": read_attributes(store), **arrays}


def _described_by(plan: Plan) -> dict[str, Any]:
    """Return the attributes that a store of this plan has, as :func:`_descriptions`."""
    layout = plan.layout
    arrays: tuple[Variable | Coordinate, ...] = (*layout.variables, *layout.totals, *layout.coordinates)
    return {"": dict(layout.attrs), **{array.name: dict(array.attrs) for array in arrays}}


def open_again(plan: Plan, paths: Paths, journal: Journal) -> None:
    """Turn a damaged finished store into the unfinished one, if its undamaged parts are known and can be kept.

    Otherwise it stays in place until its replacement is finished.
    """
    own = journal.settings().get("fingerprint") == plan.fingerprint
    if not own and (plan.has_partials or not _has_manifest(paths.store)):
        return
    refuse_stranger(paths.wip, journal, plan.fingerprint)
    refuse_links(paths.store)
    journal.discard(paths.wip)
    if not own:
        _restore_receipts(plan, paths.store, journal)
    begin(paths.store, plan.fingerprint)  # first, to mark it as the run's own whatever is damaged
    paths.store.rename(paths.wip)


def _has_manifest(store: Path) -> bool:
    try:
        return bool(read_manifest(store))
    except StoreError:
        return False


def _restore_receipts(plan: Plan, store: Path, journal: Journal) -> None:
    """Write receipts from the manifest for a store whose journal is missing or belongs to another run."""
    manifest = read_manifest(store)
    journal.clear()
    for task in plan.tasks:
        files = {name: manifest[name] for name in task.files if name in manifest}
        journal.write_receipt(Receipt(task=task.name, fingerprint=plan.fingerprint, box=task.box, files=files))
    # Last: until then the receipts belong to no run.
    record_settings(plan, journal)


def size_of(folder: Path) -> int:
    """Return the total bytes of the files in a folder, 0 if it does not exist."""
    return sum(state.st_size for _, state in entries_below(folder) if stat.S_ISREG(state.st_mode))
