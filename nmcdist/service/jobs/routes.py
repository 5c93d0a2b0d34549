"""The addresses of jobs; a service without a queue does not have them."""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field
from starlette.responses import JSONResponse, Response, StreamingResponse

from nmcdist.errors import NmcdistError
from nmcdist.log import log
from nmcdist.service import catalogs
from nmcdist.service.jobs.desk import Desk
from nmcdist.service.jobs.queue import ENDED, QUEUED, FullError, Job, QueueError
from nmcdist.service.jobs.recipes import bundle_names, in_one_line, parsed, templates
from nmcdist.service.jobs.room import NoRoomError
from nmcdist.service.jobs.tokens import owner_of
from nmcdist.service.problems import Problem, RequestError, busy
from nmcdist.service.routes import BUSY, Responses, base_of
from nmcdist.service.tables import Strict
from nmcdist.wording import shown

MOST_JOBS = 1000  # of a page
_FULL_S = 60  # after which a client may try to queue again
_LOOK_S = 0.5  # between two looks for events of a stream
_ALIVE_S = 15.0  # between two signs of life of a stream without events
_SSE = "text/event-stream"
_JSON, _YAML = "application/json", "application/yaml"
_LAST = 2**53
_PRIVATE = {"Cache-Control": "no-store"}

_UNKNOWN: Responses = {404: {"model": Problem, "description": "No such job"}}
_WRITES: Responses = {
    413: {"model": Problem, "description": "The recipe is too long"},
    415: {"model": Problem, "description": "The recipe is sent neither as JSON nor as YAML"},
    422: {"model": Problem, "description": "The recipe is malformed, or its run impossible or beyond a quota"},
    507: {"model": Problem, "description": "The results of jobs leave no room for another"},
}
_REFUSED: Responses = {422: {"model": Problem, "description": "A parameter is malformed"}}
_RECIPE = {
    "requestBody": {
        "required": True,
        "description": "A recipe; `bundle` is a registered name.",
        "content": {_JSON: {"schema": {"type": "object"}}, _YAML: {"schema": {"type": "object"}}},
    }
}

_bearer = HTTPBearer(auto_error=False, description="A token of `nmcdist token`.")


def desk_of(request: Request) -> Desk:
    """Return the queue of the service."""
    found: Desk = request.app.state.desk
    return found


async def owner(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    """Return the name of the token in the header Authorization.

    Raises
    ------
    RequestError
        401 without a known token.
    """
    desk = desk_of(request)
    found = await desk.looks.run(owner_of, desk.settings.folder, given.credentials) if given else None
    if found is None:
        raise RequestError(
            401, "Authorization: expected Bearer and a token of `nmcdist token`", {"WWW-Authenticate": "Bearer"}
        )
    return found


Owner = Annotated[str, Depends(owner)]

router = APIRouter(
    default_response_class=JSONResponse, tags=["jobs"],
    responses={401: {"model": Problem, "description": "No known token"}, **BUSY},
)  # fmt: skip


class JobsQuery(Strict):
    """The parameters of a page of jobs."""

    before: Annotated[int, Field(ge=0, le=_LAST, description="`next` of the page before.")] = _LAST
    limit: Annotated[int, Field(ge=1, le=MOST_JOBS, description="Most jobs of the page.")] = 100


class EventsQuery(Strict):
    """The parameters of a job's events."""

    after: Annotated[int, Field(ge=0, le=_LAST, description="Number of the last known event.")] = 0


@router.post("/api/jobs", status_code=201, responses={**_WRITES, 429: {"model": Problem}}, openapi_extra=_RECIPE)
async def submit(request: Request, owner: Owner) -> JSONResponse:
    """Queue a recipe, unless its plan exceeds a quota."""
    desk, recipe = desk_of(request), await _recipe(request)
    try:
        job = await desk.plans.run(lambda: desk.submit(recipe(), owner))
    except FullError as error:
        raise RequestError(429, str(error), {"Retry-After": str(_FULL_S)}) from None
    except QueueError:
        raise
    except NmcdistError as error:
        raise _refusal(error, desk) from None
    log.info("job %s: queued by %s", job.id, owner)
    content = await desk.looks.run(_described, desk, job, base_of(request))
    return JSONResponse(content, 201, {**_PRIVATE, "Location": f"/api/jobs/{job.id}"})


@router.post("/api/jobs/plan", responses=_WRITES, openapi_extra=_RECIPE)
async def plan(request: Request, owner: Owner) -> JSONResponse:
    """Return the plan of a recipe, with what a job may cost; nothing is queued."""
    desk, recipe = desk_of(request), await _recipe(request)
    try:
        found = await desk.plans.run(lambda: desk.planned(recipe()))
    except NmcdistError as error:
        raise _refusal(error, desk) from None
    limits = {"bytes": desk.settings.job_bytes, "core_hours": desk.settings.core_hours}
    return JSONResponse({**found.described(), "limits": limits}, headers=_PRIVATE)


@router.get("/api/jobs/templates")
async def recipes(request: Request, owner: Owner) -> JSONResponse:
    """Return recipes to start from, and the names that a recipe may give as its bundle."""
    desk = desk_of(request)

    def known() -> dict[str, Any]:
        return {"templates": templates(), "bundles": bundle_names(desk.settings.folder)}

    return JSONResponse(await desk.looks.run(known), headers=_PRIVATE)


@router.get("/api/jobs", responses=_REFUSED)
async def jobs(request: Request, owner: Owner, query: Annotated[JobsQuery, Query()]) -> JSONResponse:
    """Return jobs, the newest first; `next` is the `before` of the next page."""
    desk, base = desk_of(request), base_of(request)

    def page() -> dict[str, Any]:
        found = desk.queue.newest(query.before, query.limit)
        following = found[-1].number if len(found) == query.limit else None
        return {"next": following, "jobs": [_described(desk, job, base) for job in found]}

    return JSONResponse(await desk.looks.run(page), headers=_PRIVATE)


@router.get("/api/jobs/{job}", responses=_UNKNOWN)
async def job(job: str, request: Request, owner: Owner) -> JSONResponse:
    """Return a job with its recipe."""
    desk, found = desk_of(request), await _found(request, job)
    content = await desk.looks.run(_described, desk, found, base_of(request))
    return JSONResponse({**content, "recipe": found.recipe}, headers=_PRIVATE)


@router.delete("/api/jobs/{job}", responses=_UNKNOWN)
async def cancel(job: str, request: Request, owner: Owner) -> JSONResponse:
    """Cancel a job; an ended one stays as it is."""
    desk = desk_of(request)
    await _found(request, job)
    found = await desk.looks.run(desk.cancel, job)
    log.info("job %s: cancelled by %s", job, owner)
    return JSONResponse(await desk.looks.run(_described, desk, found, base_of(request)), headers=_PRIVATE)


@router.get(
    "/api/jobs/{job}/events", responses={**_UNKNOWN, **_REFUSED, 200: {"content": {_SSE: {}}}, 204: {}},
)  # fmt: skip
async def events(job: str, request: Request, owner: Owner, query: Annotated[EventsQuery, Query()]) -> Response:
    """Return the events of a job: a stream for clients that accept one (`text/event-stream`), else those until now."""
    desk, found = desk_of(request), await _found(request, job)
    if _SSE in request.headers.get("accept", ""):
        return await _stream(request, desk, found, query.after)
    rows = await desk.looks.run(desk.queue.events, found, query.after)
    content = {
        "state": found.state,
        "next": rows[-1][0] if rows else query.after,
        "events": [{"number": number, **event} for number, event in rows],
    }
    return JSONResponse(content, headers=_PRIVATE)


async def _found(request: Request, job: str) -> Job:
    desk = desk_of(request)
    try:
        return await desk.looks.run(desk.queue.get, job)
    except KeyError:
        raise RequestError(404, f"{shown(job)}: no such job") from None


async def _recipe(request: Request) -> Callable[[], Any]:
    """Return what parses the body of a request, which takes a while; how long it may be is the guard's business."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (_JSON, _YAML):
        raise RequestError(415, f"Content-Type: found {shown(kind)}, expected {_JSON} or {_YAML}")
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError:
        raise RequestError(422, "recipe: expected text in UTF-8") from None
    return functools.partial(parsed, text, is_yaml=kind == _YAML)


def _refusal(error: NmcdistError, desk: Desk) -> RequestError:
    return RequestError(507 if isinstance(error, NoRoomError) else 422, in_one_line(error, desk.settings.folder))


def _described(desk: Desk, job: Job, base: str) -> dict[str, Any]:
    """Return a job as plain data."""
    item = desk.item(job)
    return {
        "id": job.id,
        "state": job.state,
        "cancelling": job.cancelling,
        "ahead": desk.queue.ahead(job) if job.state == QUEUED else None,
        "owner": job.owner,
        "created": _moment(job.created),
        "started": _moment(job.started),
        "ended": _moment(job.ended),
        "attempts": job.attempts,
        "done": job.done,
        "total": job.total,
        "used_core_hours": round(job.used_s / 3600, 4),
        "message": job.message,
        "plan": job.plan,
        "manifest_sha256": job.manifest_sha256 or None,
        "page": None if item is None else catalogs.page_path(item),
        "store": None if item is None else base + catalogs.store_path(item),
        "open": None if item is None else catalogs.opening_line(item, base),
    }


def _moment(time: float | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")


async def _stream(request: Request, desk: Desk, job: Job, after: int) -> Response:
    """Return the events of a job as they come, from those after the header Last-Event-ID on."""
    last = request.headers.get("last-event-id", "")
    if last:
        if not (last.isascii() and last.isdigit() and len(last) < 16):
            raise RequestError(422, f"Last-Event-ID: found {shown(last)}, expected a whole number")
        after = int(last)
    if request.scope.get("nmcdist.head", False):
        return Response(media_type=_SSE, headers=_PRIVATE)
    if job.state in ENDED and not await desk.looks.run(desk.queue.events, job, after, 1):
        return Response(status_code=204, headers=_PRIVATE)  # which tells a browser not to ask again
    if not desk.streams.acquire(blocking=False):
        raise busy("busy: too many streams of events are open; ask with ?after= instead")
    return _Stream(_lines(desk, job, after), desk)


class _Stream(StreamingResponse):
    """A stream that gives its place back however it ends."""

    def __init__(self, lines: AsyncIterator[str], desk: Desk) -> None:
        super().__init__(lines, media_type=_SSE, headers={**_PRIVATE, "X-Accel-Buffering": "no"})
        self._desk = desk

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._desk.streams.release()


async def _lines(desk: Desk, job: Job, after: int) -> AsyncIterator[str]:
    quiet_s = 0.0
    while True:
        state = (await desk.looks.run(desk.queue.get, job.id)).state  # before the events: the last one is not missed
        rows = await desk.looks.run(desk.queue.events, job, after)
        for number, event in rows:
            after = number
            yield f"id: {number}\nevent: {event['event']}\ndata: {json.dumps(event)}\n\n"
        if state in ENDED:
            return
        quiet_s = 0.0 if rows else quiet_s + _LOOK_S
        if quiet_s >= _ALIVE_S:
            quiet_s = 0.0
            yield ": waiting\n\n"
        await asyncio.sleep(_LOOK_S)
