"""The addresses of the pages, and of the scripts and the style sheet that they use."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from nmcdist.queries.columns import Columns
from nmcdist.service.pages import item as item_html
from nmcdist.service.pages import jobs as jobs_html
from nmcdist.service.pages import release as release_html
from nmcdist.service.pages import shelf as shelf_html
from nmcdist.service.pages.static import TYPES, static_file
from nmcdist.service.problems import RequestError
from nmcdist.service.renders.routes import NumberOf
from nmcdist.service.routes import MOVED, NO_CACHE, NOT_FOUND, ItemOf, base_of, service_of
from nmcdist.service.shelf import Item
from nmcdist.service.state import Service
from nmcdist.wording import shown

router = APIRouter(tags=["pages"])
jobs = APIRouter(tags=["pages"])  # of a service that takes any


@router.get("/", response_class=HTMLResponse)
async def list_page(request: Request) -> HTMLResponse:
    """Return the list of all releases as a page."""
    service = service_of(request)
    has_jobs = service.settings.jobs is not None
    return HTMLResponse(shelf_html.list_page(service.shelf, base_of(request), has_jobs=has_jobs), headers=NO_CACHE)


@router.get("/d/{name}/{version}", response_class=HTMLResponse, responses={**MOVED, **NOT_FOUND})
async def release_page(item: ItemOf, request: Request) -> HTMLResponse:
    """Return the page of a release."""
    service = service_of(request)
    described = await service.reads.run(release_html.json_ld, item)
    versions = tuple(service.shelf[item.release.name].values())
    columns = await service.queries.run(_columns, service, item)
    text = release_html.release_page(item, versions, base_of(request), described, columns)
    return HTMLResponse(text, headers=NO_CACHE)


@router.get("/d/{name}/{version}/i/{number}", response_class=HTMLResponse, responses={**MOVED, **NOT_FOUND})
async def item_page(item: ItemOf, number: NumberOf, request: Request) -> HTMLResponse:
    """Return the page of one item of a release."""
    service = service_of(request)
    columns = await service.queries.run(_columns, service, item)
    return HTMLResponse(item_html.item_page(item, number, base_of(request), columns), headers=NO_CACHE)


@jobs.get("/jobs", response_class=HTMLResponse)
async def jobs_page() -> HTMLResponse:
    """Return the page that submits recipes and shows their progress."""
    return HTMLResponse(jobs_html.jobs_page(), headers=NO_CACHE)


@router.get("/static/{file}", include_in_schema=False)
async def static(file: str, request: Request) -> Response:
    """Return a script or the style sheet of the pages."""
    if file not in TYPES:
        raise RequestError(404, f"{shown(file)}: no such file")
    found = static_file(file)
    status, content, headers = found.negotiated(request.headers)
    return Response(content, status, headers, media_type=found.media_type)


def _columns(service: Service, item: Item) -> Columns | None:
    """Return what items can be filtered by; a page does without it where it cannot be read."""
    try:
        return service.columns(item)
    except RequestError:
        return None
