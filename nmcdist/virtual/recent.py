"""The files of the tasks that were made or read last, in memory."""

import threading
from collections import OrderedDict

from nmcdist.virtual.making import Files


class Recent:
    """Keeps the files of tasks up to a number of bytes, and drops those that were used longest ago.

    Parameters
    ----------
    limit_bytes : int
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._held = limit_bytes, 0
        self._entries: OrderedDict[str, Files] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Files | None:
        """Return the files of a task, or None."""
        with self._lock:
            if name in self._entries:
                self._entries.move_to_end(name)
            return self._entries.get(name)

    def put(self, name: str, files: Files) -> None:
        """Keep the files of a task, unless they alone exceed the limit."""
        size = _size(files)
        if size > self._limit:
            return
        with self._lock:
            if name in self._entries:
                return
            self._entries[name] = files
            self._held += size
            while self._held > self._limit:
                _, dropped = self._entries.popitem(last=False)
                self._held -= _size(dropped)


def _size(files: Files) -> int:
    return sum(map(len, files.values()))
