"""The unfinished store: made ready for tasks, known for a run's own, and the bundle that workers load beside it."""

import contextlib
import secrets
from pathlib import Path
from typing import Any

from nmcdist.bundle import Bundle, load_bundle, save_bundle
from nmcdist.bundle.files import BUNDLE_FILES
from nmcdist.datasets.files import naming
from nmcdist.datasets.folder import Folder, mark_of, refuse_all_but_folders
from nmcdist.datasets.integrity import refuse_links
from nmcdist.datasets.store import create_store, read_attributes
from nmcdist.errors import BundleError, StoreError
from nmcdist.products.plan import Plan
from nmcdist.runs.journal import Journal
from nmcdist.runs.progress import Progress


def prepare(plan: Plan, wip: Path, journal: Journal, progress: Progress, **settings: Any) -> Folder:
    """Make the unfinished store ready for tasks, and return it; what another recipe left in it is thrown away.

    Parameters
    ----------
    plan : Plan
    wip : Path
    journal : Journal
    progress : Progress
    **settings
        What else an earlier run must have been started with for its receipts to count.

    Raises
    ------
    StoreError
        If what is there under the name of the unfinished store is not the run's own.
    """
    deciding = {"fingerprint": plan.fingerprint, **settings}
    refuse_stranger(wip, journal, plan.fingerprint)
    before = settings_before(wip, journal)
    if any(before.get(name) != value for name, value in deciding.items()):
        if wip.exists():
            progress.event("changed", reason="recipe, bundle or version is another: everything is made again")
        journal.discard(wip)
        journal.clear()
    refuse_links(wip)
    record_settings(plan, journal, **settings)
    store = begin(wip, plan.fingerprint)
    create_store(store, plan.layout)
    return store


def begin(wip: Path, fingerprint: str) -> Folder:
    """Begin a driver's turn on an unfinished store, made if it is missing, and return it."""
    if not wip.exists():
        wip.mkdir(parents=True)
    return Folder(wip.absolute()).begin(fingerprint)


def refuse_stranger(wip: Path, journal: Journal, fingerprint: str) -> None:
    """Refuse what stands under the name of an unfinished store and is not this run's.

    Parameters
    ----------
    wip : Path
    journal : Journal
    fingerprint : str
        Of the run that is about to begin.

    Raises
    ------
    StoreError
        If it is a link or a file, holds what is no store, or is of a run that the journal did not record.
    """
    refuse_all_but_folders(wip)
    if not wip.exists() or not any(wip.iterdir()):
        return
    found = fingerprint_of(wip)
    if found is None:
        raise StoreError(f"{wip}: holds no unfinished store, so that no run has made it; move it away")
    if found not in (fingerprint, journal.settings().get("fingerprint")):
        raise StoreError(f"{wip}: is of a run that {journal.folder} did not record; move it away")


def settings_before(wip: Path, journal: Journal) -> dict[str, Any]:
    """Return what a run was started with; of an unfinished store whose record is gone, what it says itself."""
    return journal.settings() or ({"fingerprint": fingerprint_of(wip)} if wip.exists() else {})


def fingerprint_of(wip: Path) -> str | None:
    """Return the fingerprint of the run that an unfinished store is of; None if it is no store."""
    if mark := mark_of(wip):
        return mark[1]
    try:
        found = read_attributes(wip).get("fingerprint")
    except StoreError:
        return None
    return found if isinstance(found, str) else None


def record_settings(plan: Plan, journal: Journal, **settings: Any) -> None:
    """Record what a run of this plan is started with."""
    facts = {"recipe": plan.recipe.content, "bundle": plan.bundle_hash, "tasks": len(plan.tasks)}
    journal.write_settings({"fingerprint": plan.fingerprint, **settings, **plan.settings, **facts})


def keep_bundle(bundle: Bundle, folder: Path) -> Path:
    """Save the bundle where workers load it from, unless it is there.

    Raises
    ------
    StoreError
        If something else is there.
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
