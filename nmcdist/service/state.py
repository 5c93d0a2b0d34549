"""What the service holds while it runs: the shelf, threads, columns for queries, and whether it is ready."""

import threading
from pathlib import Path

from nmcdist.errors import StoreError
from nmcdist.log import log
from nmcdist.queries.columns import Columns
from nmcdist.service.pools import Pool
from nmcdist.service.problems import RequestError
from nmcdist.service.settings import Settings
from nmcdist.service.shelf import Item, Shelf
from nmcdist.service.sources import Source
from nmcdist.service.virtual import VirtualSource

WARMING, READY = "warming up", "ready"
_READERS, _READS_WAITING = 16, 2000
_CHECKERS, _CHECKS_WAITING = 4, 2000
_CACHED, _MAKES_WAITING = 8, 256  # threads that read chunks of the cache while others make some
_QUERIES, _QUERIES_WAITING = 2, 64


class Service:
    """The state of a running service.

    Attributes
    ----------
    shelf : Shelf
    settings : Settings
    status : str
        "warming up", "ready", or why it will not be.
    reads, checks, makes, queries : Pool
        Threads for files, for files that are compared with their checksum first, for computed chunks and for queries.
    """

    def __init__(self, shelf: Shelf, settings: Settings) -> None:
        self.shelf, self.settings = shelf, settings
        self.status = WARMING
        self.reads = Pool("read", _READERS, _READS_WAITING)
        self.checks = Pool("check", _CHECKERS, _CHECKS_WAITING)
        self.makes = Pool("make", settings.makers + _CACHED, _MAKES_WAITING)
        self.queries = Pool("query", _QUERIES, _QUERIES_WAITING)
        self._columns: dict[Path, Columns] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Warm up in the background."""
        threading.Thread(target=self._warm, name="warm-up", daemon=True).start()

    def stop(self) -> None:
        """Drop what waits, and close the caches."""
        for pool in (self.reads, self.checks, self.makes, self.queries):
            pool.close()
        for item in self.shelf.items_in_order():
            if isinstance(item.source, VirtualSource):
                item.source.close()

    def pool_of(self, source: Source, key: str) -> Pool:
        """Return the threads that give the bytes of a key; those with more to do never block those that only read."""
        if source.computes(key):
            return self.makes
        return self.reads if source.is_checked(key) else self.checks

    def columns(self, item: Item) -> Columns:
        """Return the columns of a release; slow at the first call.

        Raises
        ------
        RequestError
            404 for a virtual release, 500 for a damaged one.
        """
        if item.release.virtual:
            raise RequestError(404, f"{item.path}: is computed when it is read, so its items cannot be queried")
        with self._lock:
            if item.store not in self._columns:
                try:
                    self._columns[item.store] = Columns.of(item.store)
                except StoreError as error:
                    log.error("%s", error)
                    raise RequestError(500, f"{item.path}: the server cannot read its columns") from None
            return self._columns[item.store]

    def _warm(self) -> None:
        """Compile what makes items: the first one of a process takes long."""
        for item in self.shelf.items_in_order():
            if isinstance(item.source, VirtualSource):
                try:
                    item.source.warm()
                except Exception as error:  # whatever it is, the service is not ready and says why
                    log.exception("%s: warm-up", item.path)
                    self.status = f"{item.path}: cannot be computed ({type(error).__name__})"
                    return
        self.status = READY
