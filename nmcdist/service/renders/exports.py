"""Files of items while they are made: each once however many ask for it, few at once, and one for each client.

A request waits for its file until shortly before its deadline. The file is made to the end even so, and the next
request for it finds it.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from nmcdist.errors import Busy
from nmcdist.service.pools import Pool
from nmcdist.service.renders.spool import Spool
from nmcdist.service.settings import Settings

WAITING = 32  # requests that wait for a process
_RETRY_S = 5.0

Make = Callable[[Path, float], None]  # writes a file to a path within some seconds


class Exports:
    """The files of items.

    Parameters
    ----------
    folder : Path
        Folder for them.
    settings : Settings
    at_once : int
        Files that are made at the same time.
    patience_s : float
        Longest time that a request waits.
    """

    def __init__(self, folder: Path, settings: Settings, at_once: int, patience_s: float) -> None:
        self.spool = Spool(folder, settings.export_bytes, settings.export_age_s)
        self._patience_s, self._export_s = patience_s, settings.export_s
        self._pool = Pool("export", at_once, WAITING)
        self._flights: dict[str, asyncio.Task[None]] = {}
        self._clients: dict[str, str] = {}

    def close(self) -> None:
        """Drop what waits, and what is kept only while the service runs."""
        self._pool.close()
        self.spool.close()

    async def ensure(self, name: str, client: str, make: Make) -> None:
        """Return once a file is there.

        Parameters
        ----------
        name : str
            SHA-256 of all that determines the file.
        client : str
            Address of who asks.
        make : callable

        Raises
        ------
        Busy
            If the client waits for another file, or this one is not made in time.
        TooManyError
            If too many files wait to be made.
        RequestError
            As `make` does.
        """
        if self.spool.has(name):
            return
        flight = self._flights.get(name) or self._started(name, client, make)
        try:
            await asyncio.wait_for(asyncio.shield(flight), self._patience_s)
        except Busy:
            raise
        except TimeoutError:
            raise Busy("the file is being made; ask for it again in a while", _RETRY_S) from None

    def _started(self, name: str, client: str, make: Make) -> "asyncio.Task[None]":
        if client in self._clients:
            raise Busy("busy: another file is made for this client; ask again when it is there", _RETRY_S)
        flight = asyncio.create_task(self._pool.run(self._made, name, make))
        self._flights[name], self._clients[client] = flight, name

        def ended(task: "asyncio.Task[None]") -> None:
            del self._flights[name], self._clients[client]
            if not task.cancelled():
                task.exception()  # nobody may wait for it any more

        flight.add_done_callback(ended)
        return flight

    def _made(self, name: str, make: Make) -> None:
        partial = self.spool.new()
        try:
            make(partial, self._export_s)
            self.spool.keep(partial, name)
        finally:
            self.spool.drop(partial)
