"""What the routes of jobs use: the queue, its runner, the stores of finished jobs, and threads for all that."""

import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nmcdist.bundle import list_bundles, save_bundle
from nmcdist.clusters.deployment import load_deployment
from nmcdist.clusters.shared import can_be_shared
from nmcdist.datasets.catalog_file import catalog_text
from nmcdist.datasets.folder import Folder
from nmcdist.errors import InputError, NmcdistError
from nmcdist.inputs import existing_folder
from nmcdist.log import log
from nmcdist.releases.fields import checked_licence
from nmcdist.service.jobs.cluster import SharedCluster
from nmcdist.service.jobs.queue import CANCELLED, Job, Queue, QueueError, new_id
from nmcdist.service.jobs.recipes import Submission, submission_of
from nmcdist.service.jobs.results import item_of, version_of
from nmcdist.service.jobs.room import Room
from nmcdist.service.jobs.runner import JOBS, RECIPE, Runner
from nmcdist.service.jobs.tokens import check_tokens
from nmcdist.service.pools import Pool
from nmcdist.service.settings import JobSettings
from nmcdist.service.shelf import Item, Shelf
from nmcdist.wording import one_line

_QUEUE = "queue.sqlite"
_LOCK = "lock"
_CLUSTER = "cluster"
_PLANNERS, _PLANS_WAITING = 1, 16  # one at a time, so that no two take the same room
_LOOKERS, _LOOKS_WAITING = 4, 500


class Desk:
    """Takes recipes in, gives progress out, and puts finished stores on the shelf.

    Parameters
    ----------
    settings : JobSettings
    shelf : Shelf

    Raises
    ------
    InputError, RecipeError, ReleaseError, StoreError
        If the folder has no tokens, another service uses it, the deployment file is wrong, or the licence unknown.
    """

    def __init__(self, settings: JobSettings, shelf: Shelf) -> None:
        self.settings, self._shelf = settings, shelf
        existing_folder(settings.folder)
        check_tokens(settings.folder)
        self._licence = None if settings.licence is None else checked_licence(settings.licence)
        self._deployment = load_deployment(settings.cluster)
        self._lock = _locked(settings.folder)
        (settings.folder / JOBS).mkdir(mode=0o700, exist_ok=True)
        self.queue = Queue(settings.folder / _QUEUE)
        self._room = Room(self.queue, settings.folder / JOBS, settings.total_bytes)
        self.runner = Runner(self.queue, settings, self._show, self._shared())
        self.plans = Pool("plan", _PLANNERS, _PLANS_WAITING)
        self.looks = Pool("job", _LOOKERS, _LOOKS_WAITING)
        self.streams = threading.BoundedSemaphore(settings.streams)
        shelf.add(*self._finished())

    def start(self) -> None:
        """Start to run jobs; those that a dead service left are ended first, which may take a while."""
        threading.Thread(target=self.runner.start, name="jobs", daemon=True).start()

    def stop(self) -> None:
        """End all running jobs, which wait for the next start, and close the queue."""
        self.runner.stop()
        for pool in (self.plans, self.looks):
            pool.close()
        self.queue.close()
        os.close(self._lock)

    def planned(self, content: Any) -> Submission:
        """Return a recipe with its plan.

        Raises
        ------
        NmcdistError
            As :func:`~nmcdist.service.jobs.recipes.submission_of`.
        NoRoomError
            If the stores of all jobs would be too large.
        """
        found = submission_of(content, self.settings, self._deployment)
        self._room.check(found.plan.stored_bytes)
        return found

    def submit(self, content: Any, owner: str) -> Job:
        """Queue a recipe.

        The job's folder gets the recipe, and a registered bundle, as they are now.

        Raises
        ------
        NmcdistError
            As for :meth:`planned`.
        FullError
            If too many jobs wait.
        QueueError
            If the queue cannot be written.
        """
        found, job = self.planned(content), new_id()
        folder = self.runner.folder(job)
        try:
            folder.mkdir(mode=0o700)
            if found.recipe.bundle not in list_bundles():
                save_bundle(found.bundle, folder / found.recipe.bundle)
            Folder(folder).write(RECIPE, catalog_text(found.recipe.content).encode(), durable=True)
            return self.queue.add(job, owner, found.recipe.content, found.described(), self.settings.waiting)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise QueueError(f"the queue cannot be written ({one_line(error)})") from None
            raise

    def cancel(self, job: str) -> Job:
        """Cancel a job; an ended one stays as it is. KeyError if there is no such job."""
        found = self.queue.cancel(job)
        if found.cancelling:
            self.runner.cancel(job)
        elif found.state == CANCELLED:
            self.runner.clear(job)
        return found

    def item(self, job: Job) -> Item | None:
        """Return the result of a job on the shelf; None if it has none, or none that can be served."""
        found = self._shelf.get(job.recipe["name"], {}).get(version_of(job))
        return found if found is not None and found.job == job.id else None

    def _shared(self) -> SharedCluster | None:
        """Return the cluster of all jobs; None if each starts workers that fit it, or all use one that runs already."""
        settings = self.settings
        if settings.cluster is None or not can_be_shared(self._deployment):
            return None
        return SharedCluster(settings.cluster, settings.folder / _CLUSTER, settings.cluster_idle_s)

    def _show(self, job: Job) -> None:
        self._shelf.add(item_of(job, self.runner.store(job), self._licence))

    def _finished(self) -> Iterator[Item]:
        """Yield the results of finished jobs, the newest first; one that is gone or damaged is left out."""
        for job in self.queue.finished():
            try:
                yield item_of(job, self.runner.store(job), self._licence)
            except (NmcdistError, OSError) as error:
                log.warning("job %s: its result is not served: %s", job.id, error)


def _locked(folder: Path) -> int:
    """Return a handle that keeps other services off the queue; the system lets go of it when this process ends."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise InputError(f"{folder}: another service uses this queue") from None
    return handle
