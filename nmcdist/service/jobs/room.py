"""The room that the jobs take together: as planned until a job ends, and then what its folder holds."""

import contextlib
import os
from pathlib import Path

from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import NmcdistError
from nmcdist.service.jobs.queue import ENDED, Job, Queue


class NoRoomError(NmcdistError):
    """The jobs would take more bytes than they may."""


class Room:
    """The bytes of all jobs.

    Parameters
    ----------
    queue : Queue
    folder : Path
        Holds a folder for each job.
    most : int
        Bytes of all jobs together.
    """

    def __init__(self, queue: Queue, folder: Path, most: int) -> None:
        self._queue, self._folder, self._most = queue, folder, most
        self._ended: dict[str, int] = {}  # bytes of jobs that grow no more, for which many files are looked at

    def check(self, needed: int) -> None:
        """Refuse a store of so many bytes if there is no room for it.

        Raises
        ------
        NoRoomError
        """
        taken = sum(map(self._taken, self._queue.kept()))
        if taken + needed > self._most:
            raise NoRoomError(
                f"results: the store needs about {readable_bytes(needed)} beside {readable_bytes(taken)} of other "
                f"jobs, expected at most {readable_bytes(self._most)}; whoever runs the service can remove some"
            )

    def _taken(self, job: Job) -> int:
        folder = self._folder / job.id
        if not folder.exists():  # removed, to make room
            return 0
        if job.state not in ENDED:
            return int(job.plan["bytes"])
        if job.id not in self._ended:
            self._ended[job.id] = _bytes_in(folder)
        return self._ended[job.id]


def _bytes_in(folder: Path) -> int:
    found = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # somebody removes the folder just now
                found += Path(where, name).lstat().st_size
    return found
