"""A connection that gives slow clients a bounded time; uvicorn itself waits for them without end."""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# Bytes of a response that the system holds before the client takes them. By default it holds megabytes, and asks for
# more only once a third of them is taken, which a client that reads all the time may not manage in time.
_UNSENT = 128 << 10


class Connection(H11Protocol):
    """An HTTP/1.1 connection with a deadline for a request's headers and for each part of a response."""

    patience_s = 30.0
    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # of Linux
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Stop waiting once the headers of a request are complete."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait until the client has taken the response and sent its next request."""
        self._await_request()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client takes more of the response."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting for the client to take more."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def _await_request(self) -> None:
        self._stop_waiting()
        # Not `close`, which waits without end for a client that does not read.
        self._timer = self.loop.call_later(self.patience_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def connection_of(patience_s: float) -> type[Any]:
    """Return the class of connections with a deadline."""
    return type("Connection", (Connection,), {"patience_s": patience_s})
