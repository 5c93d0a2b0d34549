"""What the routes of jobs use: the queue, its runner, the stores of finished jobs, and threads for all that."""

import fcntl
import os
import shutil
import threading
from pathlib import Path

from nmcdist.bundle import list_bundles, save_bundle
from nmcdist.clusters.deployment import load_deployment
from nmcdist.datasets.catalog_file import catalog_text
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import manifest_hash
from nmcdist.datasets.store import MANIFEST
from nmcdist.errors import InputError, StoreError
from nmcdist.inputs import existing_folder
from nmcdist.service.jobs.queue import DONE, Job, Queue, new_id
from nmcdist.service.jobs.recipes import Submission, submission_of
from nmcdist.service.jobs.runner import JOBS, RECIPE, Runner
from nmcdist.service.jobs.tokens import check_tokens
from nmcdist.service.pools import Pool
from nmcdist.service.settings import JobSettings
from nmcdist.service.shelf import files_of
from nmcdist.service.sources import Files

_QUEUE = "queue.sqlite"
_LOCK = "lock"
_PLANNERS, _PLANS_WAITING = 1, 16
_LOOKERS, _LOOKS_WAITING = 4, 500


class Desk:
    """Takes recipes in, and gives progress and finished stores out.

    Parameters
    ----------
    settings : JobSettings

    Raises
    ------
    InputError, RecipeError, StoreError
        If the folder has no tokens, another service uses it, or the deployment file is wrong.
    """

    def __init__(self, settings: JobSettings) -> None:
        self.settings = settings
        existing_folder(settings.folder)
        check_tokens(settings.folder)
        self._deployment = load_deployment(settings.cluster)
        self._lock = _locked(settings.folder)
        (settings.folder / JOBS).mkdir(mode=0o700, exist_ok=True)
        self.queue = Queue(settings.folder / _QUEUE)
        self.runner = Runner(self.queue, settings)
        self.plans = Pool("plan", _PLANNERS, _PLANS_WAITING)
        self.looks = Pool("job", _LOOKERS, _LOOKS_WAITING)
        self.streams = threading.BoundedSemaphore(settings.streams)
        self._stores: dict[str, Files] = {}

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

    def planned(self, text: str) -> Submission:
        """Return a recipe with its plan; raises as :func:`~nmcdist.service.jobs.recipes.submission_of`."""
        return submission_of(text, self.settings, self._deployment)

    def submit(self, text: str, owner: str) -> Job:
        """Queue a recipe.

        The job's folder gets the recipe, and a registered bundle, as they are now.

        Raises
        ------
        NmcdistError
            As for :meth:`planned`.
        FullError
            If too many jobs wait.
        """
        found, job = self.planned(text), new_id()
        folder = self.runner.folder(job)
        folder.mkdir(mode=0o700)
        try:
            if found.recipe.bundle not in list_bundles():
                save_bundle(found.bundle, folder / found.recipe.bundle)
            Folder(folder).write(RECIPE, catalog_text(found.recipe.content).encode(), durable=True)
            return self.queue.add(job, owner, found.recipe.content, found.described(), self.settings.waiting)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def cancel(self, job: str) -> Job:
        """Cancel a job; an ended one stays as it is. KeyError if there is no such job."""
        found = self.queue.cancel(job)
        if found.cancelling:
            self.runner.cancel(job)
        return found

    def store(self, job: str) -> Files:
        """Return the files of the store of a finished job.

        Raises
        ------
        KeyError
            If there is no such job, or it is not done.
        StoreError
            If its store is not the one that was made.
        """
        if job not in self._stores:
            found = self.queue.get(job)
            if found.state != DONE:
                raise KeyError(job)
            path = self.store_path(found)
            if (sha256 := manifest_hash(path)) != found.manifest_sha256:
                raise StoreError(f"{path / MANIFEST}: has the SHA-256 {sha256}, expected {found.manifest_sha256}")
            self._stores[job] = files_of(path)
        return self._stores[job]

    def store_path(self, job: Job) -> Path:
        """Return the folder of a job's store."""
        return self.runner.folder(job.id) / f"{job.recipe['name']}.zarr"


def _locked(folder: Path) -> int:
    """Return a handle that keeps other services off the queue; the system lets go of it when this process ends."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise InputError(f"{folder}: another service uses this queue") from None
    return handle
