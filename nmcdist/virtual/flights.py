"""Which tasks are being made in this process: each once at a time, and few at once."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from nmcdist.errors import Busy, StoreError
from nmcdist.virtual.making import Files


class Flights:
    """Runs each task once, however many threads ask for its files.

    Parameters
    ----------
    makers : int
        Tasks that are made at once; others wait.
    most_waiting : int or None
        Tasks that may wait; None: any number.
    """

    def __init__(self, makers: int, most_waiting: int | None) -> None:
        self._makers, self._most_waiting = makers, most_waiting
        self._slots = threading.Semaphore(makers)
        self._lock = threading.Lock()
        self._flying: dict[str, Future[Files]] = {}

    def once(self, name: str, make: Callable[[], Files]) -> Files:
        """Return the files of a task: made here, or by the thread that began first.

        Raises
        ------
        Busy
            If too many tasks wait.
        Exception
            Any error of `make`.
        """
        with self._lock:
            flight = self._flying.get(name)
            is_first = flight is None
            if flight is None:
                self._refuse_too_many()
                flight = self._flying[name] = Future()
        if not is_first:
            return flight.result()
        try:
            with self._slots:
                files = make()
        except BaseException as error:
            whole = isinstance(error, Exception)
            flight.set_exception(error if whole else StoreError("the thread that made the chunk was interrupted"))
            raise
        else:
            flight.set_result(files)
            return files
        finally:
            with self._lock:
                del self._flying[name]

    def _refuse_too_many(self) -> None:
        waiting = len(self._flying) - self._makers
        if self._most_waiting is not None and waiting >= self._most_waiting:
            raise Busy(f"{waiting} chunks wait to be computed, expected fewer than {self._most_waiting}; try again")
