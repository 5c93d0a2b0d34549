"""The addresses of the service except for queries and pages: stores, documents, catalogs and health."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from nmcdist.releases.versions import LATEST
from nmcdist.service import catalogs
from nmcdist.service.files import respond
from nmcdist.service.problems import Problem, RequestError
from nmcdist.service.shelf import Item
from nmcdist.service.state import READY, Service
from nmcdist.wording import shown

Responses = dict[int | str, dict[str, Any]]

NO_CACHE = {"Cache-Control": "no-cache"}
NOT_FOUND: Responses = {404: {"model": Problem, "description": "No such dataset, version or file"}}
BUSY: Responses = {503: {"model": Problem, "description": "Busy; try again after the time in Retry-After"}}
MOVED: Responses = {307: {"model": Problem, "description": "`latest` is another name of a version"}}
_BYTES: Responses = {
    200: {"content": {"application/octet-stream": {}, "application/json": {}}, "description": "The file"},
    206: {"content": {"application/octet-stream": {}, "application/json": {}}, "description": "The range"},
    304: {"description": "The client has this version"},
    412: {"model": Problem, "description": "If-Match names another version"},
    416: {"model": Problem, "description": "Several ranges, or one outside the file"},
}
_YAML = "application/yaml"
_CONDITIONS = {
    "Range": "One range of bytes, such as `bytes=0-99` or `bytes=-1028`.",
    "If-Range": "Tag for which the range counts; else the whole file is sent.",
    "If-None-Match": "Tags that the client has already.",
    "If-Match": "Tags that the client accepts.",
}
_HEADERS = {
    "parameters": [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in _CONDITIONS.items()
    ]
}

router = APIRouter(default_response_class=JSONResponse)


def service_of(request: Request) -> Service:
    """Return the state of the service."""
    found: Service = request.app.state.service
    return found


def base_of(request: Request) -> str:
    """Return the address by which the client reaches the service."""
    return f"{request.url.scheme}://{request.headers['host']}"


def item_of(name: str, version: str, request: Request) -> Item:
    """Return a release by name and version; `latest` is answered by a redirection.

    Raises
    ------
    RequestError
        404 if there is none, 307 for `latest`.
    """
    shelf = service_of(request).shelf
    if name not in shelf:
        raise RequestError(404, f"{shown(name)}: no such dataset")
    if version == LATEST:
        found, path = shelf.latest(name).release, request.scope["path"]
        before, _, rest = path.partition(f"/{name}/{LATEST}")
        query = request.scope["query_string"].decode("ascii", "replace")
        address = quote(f"{before}/{name}/{found.version}{rest}") + (f"?{query}" if query else "")
        raise RequestError(307, f"{LATEST} is version {found.version}", {"Location": address, **NO_CACHE})
    if version not in shelf[name]:
        raise RequestError(404, f"{shown(version)}: no such version of {name}")
    return shelf[name][version]


ItemOf = Annotated[Item, Depends(item_of)]


@router.get("/v/{name}/{version}", include_in_schema=False)
@router.get("/v/{name}/{version}/", include_in_schema=False)
async def store_root(item: ItemOf, request: Request) -> Response:
    """Say what the address of a store is for; it is no file."""
    line = catalogs.opening_line(item, base_of(request))
    raise RequestError(404, f"a Zarr store; open it with {line}, or see {catalogs.page_path(item)}")


@router.get(
    "/v/{name}/{version}/{key:path}", responses={**_BYTES, **MOVED, **NOT_FOUND, **BUSY}, tags=["stores"],
    response_class=Response, openapi_extra=_HEADERS,
)  # fmt: skip
async def store_file(item: ItemOf, key: str, request: Request) -> Response:
    """Return a file of a store: metadata or a chunk; whole, or one range of bytes."""
    return await respond(request, item.source, key, service_of(request).pool_of(item.source, key))


@router.get(
    "/files/{name}/{version}/{document:path}", responses={**_BYTES, **MOVED, **NOT_FOUND, **BUSY}, tags=["datasets"],
    response_class=Response, openapi_extra=_HEADERS,
)  # fmt: skip
async def document(item: ItemOf, document: str, request: Request) -> Response:
    """Return a file of a release by its path in the folder: README.md, croissant.json, or one of the store."""
    store, _, key = document.partition("/")
    if key and store == item.release.store:
        return await respond(request, item.source, key, service_of(request).pool_of(item.source, key))
    return await respond(request, item.documents, document, service_of(request).pool_of(item.documents, document))


@router.get("/catalog.json", tags=["catalogs"])
async def catalog_json(request: Request) -> JSONResponse:
    """Return the list of all releases."""
    return JSONResponse(catalogs.json_catalog(service_of(request).shelf, base_of(request)), headers=NO_CACHE)


@router.get("/catalog.yaml", tags=["catalogs"], responses={200: {"content": {_YAML: {}}}}, response_class=Response)
async def catalog_yaml(request: Request) -> Response:
    """Return the catalog of intake, version 2."""
    return Response(catalogs.intake_catalog(service_of(request).shelf), media_type=_YAML, headers=NO_CACHE)


@router.get("/catalog-v1.yaml", tags=["catalogs"], responses={200: {"content": {_YAML: {}}}}, response_class=Response)
async def catalog_v1_yaml(request: Request) -> Response:
    """Return the catalog of intake, version 1, for intake-xarray."""
    return Response(catalogs.intake_catalog_v1(service_of(request).shelf), media_type=_YAML, headers=NO_CACHE)


@router.get("/api/datasets", tags=["datasets"])
async def datasets(request: Request) -> JSONResponse:
    """Return the list of all releases, as `/catalog.json`."""
    return JSONResponse(catalogs.json_catalog(service_of(request).shelf, base_of(request)), headers=NO_CACHE)


@router.get("/api/datasets/{name}/{version}", responses={**MOVED, **NOT_FOUND}, tags=["datasets"])
async def dataset(item: ItemOf, request: Request) -> JSONResponse:
    """Return all that a release says of itself, with its addresses."""
    is_latest = item is service_of(request).shelf.latest(item.release.name)
    return JSONResponse(catalogs.details(item, base_of(request), is_latest=is_latest), headers=NO_CACHE)


@router.get("/healthz", response_class=PlainTextResponse, tags=["health"])
async def healthz() -> PlainTextResponse:
    """Say that the service runs."""
    return PlainTextResponse("ok\n", headers=NO_CACHE)


@router.get("/readyz", response_class=PlainTextResponse, responses=BUSY, tags=["health"])
async def readyz(request: Request) -> Response:
    """Say whether virtual releases have warmed up: before, their first chunks take long."""
    status = service_of(request).status
    if status != READY:
        raise RequestError(503, status, {"Retry-After": "5"})
    return PlainTextResponse("ready\n", headers=NO_CACHE)
