"""A map over independent pieces on Dask workers: results in order, a bounded number of pieces under way.

Unlike the tasks of a plan, pieces return what the caller needs, and the caller keeps the receipts.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from nmcdist.clusters.cluster import Cluster, cluster_of
from nmcdist.clusters.connect import connected
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Resources, this_machine
from nmcdist.clusters.sizing import resources_for
from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import NmcdistError, PlanError, StoreError
from nmcdist.execution.lost_workers import Watch

Spread = Callable[[Callable[..., Any], Iterable[Any]], Iterator[Any]]  # like the builtin map: results in order
Announce = Callable[[str, str], None]

ATTEMPTS = 3  # per piece whose worker dies
_AHEAD = 3  # pieces per worker that are with the scheduler
_POLL_S = 1.0
_ANSWER_TIMEOUT_S = 20.0
_GONE = "the Dask scheduler is gone; continue with --resume"


@contextlib.contextmanager
def spread_on(
    deployment: Deployment, piece_bytes: int, pieces: int, *, announce: Announce = lambda name, text: None
) -> Iterator[Spread]:
    """Start the workers of a deployment, and yield a map over them.

    Parameters
    ----------
    deployment : Deployment
        With 0 workers, the builtin `map` is yielded.
    piece_bytes : int
        Memory that a piece needs.
    pieces : int
        More workers are of no use.
    announce : callable
        Called with an event and its text: "dashboard", "waiting" or "warning".

    Yields
    ------
    callable
        Like the builtin `map` with one iterable. Functions and items must be picklable. An error of a piece is raised
        here; pieces under way are then given up.

    Raises
    ------
    PlanError
        If a worker has less memory than a piece needs.
    StoreError
        If the workers do not start, die three times on a piece, or are gone for good.
    """
    resources = resources_for(deployment, this_machine(), pieces, lambda threads: piece_bytes)
    if resources.memory < piece_bytes:
        raise PlanError(
            f"memory: a piece needs about {readable_bytes(piece_bytes)}, "
            f"a worker has {readable_bytes(resources.memory)}"
        )
    if resources.workers == 0:
        yield map
        return
    reached = connected(
        deployment, resources,
        waiting=lambda state: announce("waiting", state), warn=lambda text: announce("warning", text),
    )  # fmt: skip
    with reached as client:
        if deployment.dashboard and client.dashboard_link:
            announce("dashboard", client.dashboard_link)
        yield _Spread(client, cluster_of(deployment), cluster_of(deployment).patience_s(deployment), resources)


class _Spread:
    """A map over the workers of a client."""

    def __init__(self, client: Any, cluster: Cluster, patience_s: float, resources: Resources) -> None:
        self._client, self._cluster, self._patience_s, self._resources = client, cluster, patience_s, resources
        self._watch = Watch(resources.walltime_s)

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Yield the result of a function for each item, in order."""
        held = self._client.submit(_itself, function, pure=False)  # sent once, and recomputed if its holders die
        waiting, most = enumerate(items), _AHEAD * self._resources.processes
        flying, ended, number = dict[Any, _Piece](), dict[int, Any](), 0
        try:
            while True:
                for place, item in _first(waiting, most - len(flying) - len(ended)):
                    flying[self._submitted(held, item)] = _Piece(place, item)
                if not flying and not ended:
                    return
                while number not in ended:
                    # Results are taken as they come: workers would run out of memory if they had to keep them.
                    for future in self._finished(flying):
                        self._take(held, future, flying, ended)
                result = ended.pop(number)
                if isinstance(result, _Failed):
                    raise result.error
                yield result
                number += 1
        finally:
            for future in (held, *flying):
                with contextlib.suppress(Exception):  # the scheduler may be gone
                    future.cancel()

    def _submitted(self, held: Any, item: Any) -> Any:
        return self._client.submit(_call, held, item, pure=False)

    def _take(self, held: Any, future: Any, flying: dict[Any, "_Piece"], ended: dict[int, Any]) -> None:
        """Take the result of a finished piece, or submit it again if its worker died.

        Raises
        ------
        StoreError
            If workers died on it too often, or the scheduler is gone.
        """
        from distributed import KilledWorker
        from distributed import TimeoutError as DaskTimeoutError

        piece = flying[future]
        try:
            ended[piece.place] = future.result(timeout=_ANSWER_TIMEOUT_S)
        except KilledWorker as error:
            piece.deaths += 1
            if piece.deaths == ATTEMPTS:
                why = self._watch.why_lost(error.last_worker.address)
                memory = readable_bytes(self._resources.memory)
                raise StoreError(f"workers died {ATTEMPTS} times on one piece, {why}; a worker has {memory}") from None
            flying[self._submitted(held, piece.item)] = piece
        except DaskTimeoutError:  # its worker died with the result; Dask makes it again
            return
        except CancelledError:
            raise StoreError(_GONE) from None
        except Exception as error:  # of the piece: raised in its turn, after the results before it
            if isinstance(error, OSError) and future.status != "error":  # of the transfer: it is taken again
                return
            ended[piece.place] = _Failed(error)
        del flying[future]
        future.release()

    def _finished(self, flying: Iterable[Any]) -> list[Any]:
        """Return the pieces that have ended, once there is one.

        Raises
        ------
        StoreError
            If the scheduler is gone, or no worker has been connected for too long.
        """
        from distributed import TimeoutError as DaskTimeoutError
        from distributed import wait

        seen = time.monotonic()
        while True:
            if found := [future for future in flying if future.done()]:
                return found
            try:
                with contextlib.suppress(DaskTimeoutError):
                    wait(list(flying), timeout=_POLL_S, return_when="FIRST_COMPLETED")
                if self._client.status != "running":
                    raise StoreError(_GONE)
                if self._watch.look(self._client):
                    seen = time.monotonic()
            except (CancelledError, OSError) as error:
                if isinstance(error, NmcdistError):
                    raise
                raise StoreError(_GONE) from None
            if time.monotonic() - seen > self._patience_s:
                says = f" ({state})" if (state := self._cluster.state(self._client)) else ""
                raise StoreError(f"no worker for {self._patience_s:.0f} s{says}; continue with --resume")


@dataclass(frozen=True)
class _Failed:
    """A piece that raised an error."""

    error: Exception


@dataclass
class _Piece:
    """A piece under way: its place in the order, and how many workers died on it."""

    place: int
    item: Any
    deaths: int = 0


def _itself(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return function


def _call(function: Callable[[Any], Any], item: Any) -> Any:
    return function(item)


def _first(items: Iterator[Any], number: int) -> Iterator[Any]:
    yield from itertools.islice(items, max(0, number))
