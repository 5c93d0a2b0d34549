"""The response to a request for bytes of a release: whole or a range, with its conditions."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from nmcdist.errors import Busy
from nmcdist.log import log
from nmcdist.service.pools import Pool
from nmcdist.service.problems import RequestError
from nmcdist.service.ranges import RangeError, accepts_gzip, byte_range, is_refused, is_unchanged, range_counts
from nmcdist.service.sources import Content, Source
from nmcdist.wording import shown

FOREVER = "public, max-age=31536000, immutable"
BLOCK = 128 << 10  # bytes read at once
PACKED = "-gzip"  # at the end of the tag of a compressed answer
_LEAST, _MOST = 1 << 10, 16 << 20  # bytes of metadata that is compressed

_TYPES = {
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".yaml": "application/yaml",
    ".png": "image/png",
}


async def respond(request: Request, source: Source, key: str, pool: Pool) -> Response:
    """Return the response for a key.

    Parameters
    ----------
    request : Request
        Its headers Range, If-Range, If-None-Match and If-Match count.
    source : Source
    key : str
        As the client sent it.
    pool : Pool
        Threads that open and read.

    Raises
    ------
    RequestError
        404 for a key that the release has not, 500 for one that it has but cannot be read: readers take a missing
        chunk for one of fill values.
    """
    try:
        etag = source.etag(key)
    except KeyError:
        raise RequestError(404, f"{shown(key)}: not in this release") from None
    given = request.headers
    headers = {"ETag": etag, "Cache-Control": FOREVER, "Accept-Ranges": "bytes"}
    if key.endswith(".json"):
        headers["Vary"] = "Accept-Encoding"
    if is_refused(given.get("if-match"), etag):
        raise RequestError(412, "If-Match: the release has another version of it", {"ETag": etag})
    if is_unchanged(given.get("if-none-match"), etag, f'{etag[:-1]}{PACKED}"'):
        return Response(status_code=304, headers=headers)
    is_head = request.scope.get("nmcdist.head", False)
    if is_head and source.computes(key):  # a question about a chunk does not make it
        return _Unsized(headers={**headers, "Content-Type": _type_of(key)})
    content = await pool.run(_opened, source, key)
    try:
        if is_head:
            content.close()
            return Response(headers={**headers, "Content-Length": str(content.size), "Content-Type": _type_of(key)})
        asked = given.get("range") if range_counts(given.get("if-range"), etag) else None
        may_pack = asked is None and "Vary" in headers and _LEAST <= content.size <= _MOST
        if may_pack and accepts_gzip(given.get("accept-encoding")):
            return await _packed(content, key, headers, pool)
        return await _body(content, asked, key, headers, pool)
    except BaseException:
        content.close()
        raise


def _opened(source: Source, key: str) -> Content:
    try:
        return source.open(key)
    except Busy:
        raise
    except OSError as error:
        log.error("%s", error)
        raise RequestError(500, f"{shown(key)}: the release has it, but the server cannot read it") from None


async def _body(content: Content, asked: str | None, key: str, headers: dict[str, str], pool: Pool) -> Response:
    try:
        found = byte_range(asked, content.size)
    except RangeError as error:
        raise RequestError(416, str(error), {"Content-Range": f"bytes */{content.size}"}) from None
    start, stop = found or (0, content.size)
    status = 206 if found else 200
    headers = {**headers, "Content-Length": str(stop - start), "Content-Type": _type_of(key)}
    if found:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    if stop - start > BLOCK:
        return _Parts(content, start, stop, pool, status_code=status, headers=headers)
    try:
        data = await pool.run(content.read, start, stop)
    except OSError as error:
        log.error("%s: %s", key, error)
        raise RequestError(500, f"{shown(key)}: the release has it, but the server cannot read it") from None
    content.close()
    return Response(data, status, headers)


async def _packed(content: Content, key: str, headers: dict[str, str], pool: Pool) -> Response:
    """Return metadata compressed: a tenth of its bytes, and of the time in which a dataset opens from afar."""
    data = await pool.run(lambda: gzip.compress(content.read(0, content.size), 6, mtime=0))
    content.close()
    tag = f'{headers["ETag"][:-1]}{PACKED}"'
    return Response(data, headers={**headers, "ETag": tag, "Content-Encoding": "gzip", "Content-Type": _type_of(key)})


class _Parts(StreamingResponse):
    """A body in parts; what cannot be read to its end closes the connection, so that the client notices."""

    def __init__(self, content: Content, start: int, stop: int, pool: Pool, **options: Any) -> None:
        super().__init__(self._parts(content, start, stop, pool), **options)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._content.close()

    @staticmethod
    async def _parts(content: Content, start: int, stop: int, pool: Pool) -> AsyncIterator[bytes]:
        for place in range(start, stop, BLOCK):
            yield await pool.run(content.read, place, min(place + BLOCK, stop))


class _Unsized(Response):
    """Headers without the length of the body, which is not known yet."""

    def init_headers(self, headers: Any = None) -> None:
        """Set the given headers only."""
        self.raw_headers = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]


def _type_of(key: str) -> str:
    return next((kind for end, kind in _TYPES.items() if key.endswith(end)), "application/octet-stream")
