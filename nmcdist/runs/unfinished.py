"""The unfinished store: its preparation, the check that it is the run's own, and the bundle that workers load."""

import contextlib
import secrets
from pathlib import Path
from typing import Any

from nmcdist.bundle import Bundle, load_bundle, save_bundle
from nmcdist.bundle.files import BUNDLE_FILES
from nmcdist.datasets.files import naming
from nmcdist.datasets.folder import Folder, mark_of, refuse_all_but_folders
from nmcdist.datasets.integrity import refuse_links
from nmcdist.datasets.store import read_attributes
from nmcdist.datasets.writing import create_store
from nmcdist.errors import BundleError, StoreError
from nmcdist.execution.journal import Journal
from nmcdist.products.plan import Plan
from nmcdist.runs.progress import Progress


def prepare(plan: Plan, wip: Path, journal: Journal, progress: Progress, **settings: Any) -> Folder:
    """Prepare the unfinished store for tasks, and return it; the work of another recipe in it is discarded.

    Parameters
    ----------
    plan : Plan
    wip : Path
    journal : Journal
    progress : Progress
    **settings
        Further settings that an earlier run must share for its receipts to count.

    Raises
    ------
    StoreError
        If the folder with the name of the unfinished store is not the run's own.
    """
    deciding = {"fingerprint": plan.fingerprint, **settings}
    refuse_stranger(wip, journal, plan.fingerprint)
    before = settings_before(wip, journal)
    if any(before.get(name) != value for name, value in deciding.items()):
        if wip.exists():
            progress.event("changed", reason="recipe, bundle or version changed: everything is made again")
        journal.discard(wip)
        journal.clear()
    refuse_links(wip)
    record_settings(plan, journal, **settings)
    store = begin(wip, plan.fingerprint)
    create_store(store, plan.layout)
    return store


def begin(wip: Path, fingerprint: str) -> Folder:
    """Start a driver's turn on an unfinished store, made if it is missing, and return it."""
    if not wip.exists():
        wip.mkdir(parents=True)
    return Folder(wip.absolute()).begin(fingerprint)


def refuse_stranger(wip: Path, journal: Journal, fingerprint: str) -> None:
    """Refuse a folder with the name of the unfinished store that is not this run's.

    Parameters
    ----------
    wip : Path
    journal : Journal
    fingerprint : str
        Fingerprint of the run that is about to start.

    Raises
    ------
    StoreError
        If it is a link or a file, holds no store, or belongs to a run that the journal did not record.
    """
    refuse_all_but_folders(wip)
    if not wip.exists() or not any(wip.iterdir()):
        return
    found = fingerprint_of(wip)
    if found is None:
        raise StoreError(f"{wip}: holds no unfinished store, so no run made it; move it away")
    if found not in (fingerprint, journal.settings().get("fingerprint")):
        raise StoreError(f"{wip}: belongs to a run that {journal.folder} did not record; move it away")


def settings_before(wip: Path, journal: Journal) -> dict[str, Any]:
    """Return the settings of a run; if their record is gone, those in the unfinished store itself."""
    return journal.settings() or ({"fingerprint": fingerprint_of(wip)} if wip.exists() else {})


def fingerprint_of(wip: Path) -> str | None:
    """Return the fingerprint of the run that an unfinished store belongs to; None if it is not a store."""
    if mark := mark_of(wip):
        return mark[1]
    try:
        found = read_attributes(wip).get("fingerprint")
    except StoreError:
        return None
    return found if isinstance(found, str) else None


def record_settings(plan: Plan, journal: Journal, **settings: Any) -> None:
    """Record the settings of a run of this plan."""
    facts = {"recipe": plan.recipe.content, "bundle": plan.bundle_hash, "tasks": len(plan.tasks)}
    journal.write_settings({"fingerprint": plan.fingerprint, **settings, **plan.settings, **facts})


def keep_bundle(bundle: Bundle, folder: Path) -> Path:
    """Save the bundle where workers load it from, unless it exists.

    Raises
    ------
    StoreError
        If its folder holds something else.
    """
    refuse_all_but_folders(folder)
    with contextlib.suppress(BundleError):
        if load_bundle(folder).content_hash == bundle.content_hash:
            return folder
    journal, new = Journal(folder.parent), folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    if folder.exists():
        if not {entry.name for entry in folder.iterdir()} <= BUNDLE_FILES:
            raise StoreError(f"{folder}: holds more than the copy of a bundle; move it away")
        journal.discard(folder)
    try:
        with naming(folder):
            save_bundle(bundle, new)
            return new.rename(folder)
    finally:
        if new.exists():
            journal.discard(new)
