"""What every request passes first: who asks, for which host, from which page, and for how long.

A page elsewhere can make a browser ask a service on its own machine. Addressed by a foreign name that was pointed at
this machine (DNS rebinding), it would count as the page's own site; so only known names are answered. Scripts of other
sites may read stores, documents and catalogs, which are public; they may not use the rest.
"""

import asyncio
import contextlib
import ipaddress
import re
import time
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmcdist.log import log
from nmcdist.service.problems import RequestError, busy
from nmcdist.service.settings import Settings
from nmcdist.wording import shown

OPEN = ("/v/", "/files/", "/catalog.", "/catalog-")  # for scripts of any site
_WRITTEN = "/api/jobs"  # where a service with a queue takes recipes
_EXPOSED = "ETag, Content-Range, Content-Length, Accept-Ranges, Retry-After"
_SENT = "Range, If-Range, If-None-Match, If-Match"
_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_HOST = re.compile(r"(?:(?P<name>[A-Za-z0-9.-]{1,253})|\[(?P<address>[0-9A-Fa-f:.]{2,45})\])(?::[0-9]{1,5})?")
_SIZE = re.compile("[0-9]{1,12}")
_DROPPED, _DROP_S = 1 << 20, 2.0  # bytes of a refused body that are read, and for how long
_SHOWN = 300  # characters of a request in the log


class Guard:
    """Checks each request before the application sees it, and completes each response.

    Parameters
    ----------
    app : ASGI application
    settings : Settings
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._hosts = known_hosts(settings.host, *settings.allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        try:
            response = self._checked(scope)
            if response is not None:
                await response(scope, receive, answer.send)
            else:
                await self._timely(scope, receive, answer)
        except RequestError as error:
            if error.status == 413 and "expect" not in Headers(scope=scope):
                await _drop_body(receive)
            await error.response()(scope, receive, answer.send)
        except asyncio.CancelledError:  # the service stops, and has waited long enough
            if answer.status:
                raise
            await busy("the service stops; try again later").response()(scope, receive, answer.send)
        finally:
            answer.write_log()

    def _checked(self, scope: Scope) -> Response | None:
        """Return the response to a request that the application need not see."""
        headers = Headers(scope=scope)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > self._settings.header_bytes:
            raise RequestError(431, f"headers: expected at most {self._settings.header_bytes} bytes")
        if len(scope["query_string"]) > self._settings.query_bytes:
            raise RequestError(414, f"query: expected at most {self._settings.query_bytes} bytes")
        may_write = self._may_write(scope["path"])
        most = self._settings.jobs.body_bytes if may_write and self._settings.jobs and scope["method"] == "POST" else 0
        check_body(headers, most)
        check_host(headers.getlist("host"), self._hosts)
        if scope["method"] == "OPTIONS" and is_open(scope["path"]):
            return _preflight()
        if scope["method"] not in ("GET", "HEAD") and not (may_write and scope["method"] in ("POST", "DELETE")):
            raise RequestError(405, "method: expected GET or HEAD", {"Allow": "GET, HEAD"})
        if not is_open(scope["path"]):
            check_origin(headers.get("origin"), headers.get("host", ""))
        return None

    def _may_write(self, path: str) -> bool:
        """Return whether a path takes other requests than those that read."""
        return self._settings.jobs is not None and (path == _WRITTEN or path.startswith(f"{_WRITTEN}/"))

    async def _timely(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        """Run the application, with a deadline until its response starts."""
        try:
            async with asyncio.timeout(self._settings.deadline_s) as timer:
                answer.timer = timer
                await self._app(_as_get(scope), receive, answer.send)
        except TimeoutError:
            if answer.status:
                raise
            answer.timer = None
            raise busy("busy: no answer in time; try again later") from None


class _Answer:
    """The response on its way: gets its common headers, and is logged."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._start = time.perf_counter()
        self._bytes = self.status = 0
        self.timer: asyncio.Timeout | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            _complete(message, self._scope["path"])
            if self.timer is not None:
                self.timer.reschedule(None)
        else:
            self._bytes += len(message.get("body", b""))
        await self._send(message)

    def write_log(self) -> None:
        took = 1e3 * (time.perf_counter() - self._start)
        raw, query = self._scope.get("raw_path") or b"", self._scope["query_string"]
        target = (raw + (b"?" + query if query else b"")).decode("ascii", "replace")[:_SHOWN]
        size = 0 if self._scope["method"] == "HEAD" else self._bytes
        log.info("%s %s %d %d bytes %.1f ms", self._scope["method"], target, self.status, size, took)


def is_open(path: str) -> bool:
    """Return whether scripts of any site may read a path."""
    return path.startswith(OPEN)


def known_hosts(*names: str) -> frozenset[str]:
    """Return the names by which clients may address the service."""
    return frozenset({"localhost", *(name.lower().strip("[]") for name in names)})


def check_body(headers: Headers, most: int) -> None:
    """Refuse a body of more bytes than `most`, and one of unknown length.

    Raises
    ------
    RequestError
        413.
    """
    size = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not _SIZE.fullmatch(size) or int(size) > most:
        expected = f"at most {most} bytes, with a Content-Length" if most else "none"
        raise RequestError(413, f"body: expected {expected}", {"Connection": "close"})


def check_host(given: Iterable[str], known: frozenset[str]) -> None:
    """Refuse a request that is addressed to an unknown name; addresses are no names, so they are always fine.

    Raises
    ------
    RequestError
        421 for an unknown name, 400 without one.
    """
    hosts = list(given)
    if len(hosts) != 1:
        raise RequestError(400, f"Host: found {len(hosts)}, expected one")
    name = _host_of(hosts[0])
    if name not in known and not _is_address(name):
        raise RequestError(421, f"Host: found {shown(hosts[0])}, expected one that nmcdist serve --allow-host names")


def check_origin(origin: str | None, host: str) -> None:
    """Refuse a script of another site.

    Raises
    ------
    RequestError
        403.
    """
    if origin is not None and _site_of(origin) != host.lower():
        raise RequestError(403, f"Origin: found {shown(origin)}, expected this site's own; other sites may read stores")


def _site_of(url: str) -> str | None:
    """Return host and port of a URL, None if it is malformed."""
    try:
        return urlsplit(url).netloc.lower() or None
    except ValueError:
        return None


def _host_of(header: str) -> str:
    """Return the name in the header Host, without the port; empty if it is malformed."""
    found = _HOST.fullmatch(header)
    return (found["name"] or found["address"]).lower() if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _as_get(scope: Scope) -> MutableMapping[str, Any]:
    """Return a request for headers as one for the whole; uvicorn leaves the body out."""
    return {**scope, "method": "GET", "nmcdist.head": True} if scope["method"] == "HEAD" else scope


def _preflight() -> Response:
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "GET, HEAD",
            "Access-Control-Allow-Headers": _SENT,
            "Access-Control-Max-Age": "86400",
        },
    )


async def _drop_body(receive: Receive) -> None:
    """Read some of a refused body: who still sends when the connection is closed may never see why it was."""
    left = _DROPPED
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DROP_S):
            while left > 0 and (message := await receive()).get("more_body", False):
                left -= len(message.get("body", b""))


def _complete(message: Message, path: str) -> None:
    headers = MutableHeaders(raw=message.setdefault("headers", []))
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Content-Security-Policy", _POLICY)
    headers.setdefault("Referrer-Policy", "same-origin")
    if is_open(path):
        headers["Access-Control-Allow-Origin"] = "*"
        headers["Access-Control-Expose-Headers"] = _EXPOSED
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    else:
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
