"""Files of items on the disk, each under the SHA-256 of all that determines it, until others need the room."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path

from nmcdist.errors import StoreError
from nmcdist.service.sources import Content, OpenFile

_NAME = re.compile("[0-9a-f]{64}")
_PARTIAL = "partial-"  # before the name of a file that is being made


class Spool:
    """A folder of files, in which those used longest ago make room for new ones.

    If the folder cannot be written, the files are in a temporary folder, as long as the service runs.

    Parameters
    ----------
    folder : Path
    limit_bytes : int
        Bytes of all files together; the newest one stays even if it is larger.
    age_s : float
        Longest time since the last use of a file.
    """

    def __init__(self, folder: Path, limit_bytes: int, age_s: float) -> None:
        self._limit, self._age_s = limit_bytes, age_s
        self._temporary: Path | None = None
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = folder / f"{_PARTIAL}{secrets.token_hex(8)}"
            probe.touch(0o600)
            probe.unlink()
        except OSError:
            self._temporary = folder = Path(tempfile.mkdtemp(prefix="nmcdist-exports-"))
        self._folder = folder
        self._drop_left_over()

    def has(self, name: str) -> bool:
        """Return whether a file is there, which now counts as used."""
        with contextlib.suppress(OSError):
            os.utime(self._folder / name)
            return True
        return False

    def open(self, name: str) -> Content:
        """Open a file.

        Raises
        ------
        StoreError
            If it is gone.
        """
        try:
            handle = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"{name}: a file that was made is gone ({error.strerror})") from None
        return OpenFile(handle, os.fstat(handle).st_size)

    def new(self) -> Path:
        """Return the path of a new file, for :meth:`keep` once it is whole."""
        return self._folder / f"{_PARTIAL}{os.getpid()}-{secrets.token_hex(8)}"

    def keep(self, partial: Path, name: str) -> None:
        """Put a whole file in its place, and make room.

        Raises
        ------
        StoreError
            If it cannot be put there.
        """
        try:
            partial.replace(self._folder / name)
        except OSError as error:
            raise StoreError(f"{self._folder}: cannot be written ({error.strerror})") from None
        self._make_room(name)

    def drop(self, partial: Path) -> None:
        """Remove what a failed task left."""
        for path in (partial, partial.with_name(f"{partial.name}.folder")):
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the temporary folder."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _make_room(self, newest: str) -> None:
        """Remove files that are too old, and those used longest ago until the others have at most so many bytes."""
        with self._lock:
            held = 0
            for used, size, path in sorted(self._files(), reverse=True):
                held += size
                is_old = time.time() - used > self._age_s
                if path.name != newest and (is_old or held > self._limit):
                    with contextlib.suppress(OSError):  # another service on this folder was quicker
                        path.unlink()
                    held -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return time, bytes and path of every whole file."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self._folder) as listing:
            for entry in listing:
                with contextlib.suppress(OSError):
                    state = entry.stat(follow_symlinks=False)
                    if _NAME.fullmatch(entry.name):
                        found.append((state.st_mtime, state.st_size, Path(entry.path)))
        return found

    def _drop_left_over(self) -> None:
        """Remove what dead services were making, once it is too old to be still at work."""
        with contextlib.suppress(OSError), os.scandir(self._folder) as listing:
            for entry in listing:
                with contextlib.suppress(OSError):
                    age_s = time.time() - entry.stat(follow_symlinks=False).st_mtime
                    if entry.name.startswith(_PARTIAL) and age_s > self._age_s:
                        self.drop(Path(entry.path))
