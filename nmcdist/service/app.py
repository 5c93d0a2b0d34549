"""The application: routes, errors as one line of JSON, and a description of it all (OpenAPI)."""

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp

from nmcdist.datasets.export.formats import FORMATS
from nmcdist.errors import Busy
from nmcdist.releases.versions import LATEST
from nmcdist.service import bins, routes, tables
from nmcdist.service.jobs import routes as jobs
from nmcdist.service.jobs.desk import Desk
from nmcdist.service.jobs.queue import QueueError
from nmcdist.service.limits import Guard
from nmcdist.service.pages import routes as pages
from nmcdist.service.pages.problem import problem_page
from nmcdist.service.pools import TooManyError
from nmcdist.service.problems import RequestError, busy
from nmcdist.service.renders import export_routes
from nmcdist.service.renders import routes as items
from nmcdist.service.renders.studio import Studio
from nmcdist.service.settings import Settings
from nmcdist.service.shelf import Shelf
from nmcdist.service.state import Service
from nmcdist.version import __version__
from nmcdist.wording import shown

_EXAMPLES = {"key": "zarr.json", "document": "README.md"}
_NO_WHOLE = ("int_parsing", "int_parsing_size", "int_from_float")  # types of faults
_SUBJECT = re.compile("^(Input should be|String should have) ")


def build_app(shelf: Shelf, settings: Settings) -> ASGIApp:
    """Return the application that serves a shelf, behind its guard."""
    service = Service(shelf, settings)
    desk = Desk(settings.jobs, shelf) if settings.jobs is not None else None
    studio = Studio(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        studio.start(shelf)
        if desk is not None:
            desk.start()
        yield
        studio.close()
        if desk is not None:
            desk.stop()
        service.stop()

    app = FastAPI(
        title=shelf.title,
        version=__version__,
        description="Releases of virtual microstructures: stores for any Zarr client, catalogs, and queries.",
        lifespan=lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service, app.state.studio = service, studio
    app.include_router(routes.router)
    app.include_router(tables.router)
    app.include_router(bins.router)
    app.include_router(items.router)
    app.include_router(export_routes.router)
    app.include_router(pages.router)
    if desk is not None:
        app.state.desk = desk
        app.include_router(jobs.router)
        app.include_router(pages.jobs)
    _answer_errors(app)
    described = app.openapi
    app.openapi = lambda: with_names(described(), shelf)  # type: ignore[method-assign]
    return Guard(app, settings)


def with_names(document: dict[str, Any], shelf: Shelf) -> dict[str, Any]:
    """Add the names of all datasets, versions, documents and formats to the description of the application."""
    known = {
        "name": list(shelf),
        "version": sorted({version for name in shelf for version in shelf[name]} | {LATEST}),
        "file_format": list(FORMATS),
        "document": sorted({name for item in shelf.items_in_order() for name in item.documents.names}),
    }
    for path in document["paths"].values():
        for parameter in (one for operation in path.values() for one in operation.get("parameters", [])):
            if known.get(parameter["name"]) and parameter["in"] == "path":
                parameter["schema"]["enum"] = known[parameter["name"]]
            elif parameter["name"] in _EXAMPLES:
                parameter["example"] = _EXAMPLES[parameter["name"]]
    return document


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> Response:
        return _answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"] if part not in ("query", "path"))
        what = "a whole number" if fault["type"] in _NO_WHOLE else _SUBJECT.sub("", fault["msg"])
        if fault["type"] == "extra_forbidden":
            return _answer(request, RequestError(422, f"{shown(where)}: unknown parameter"))
        return _answer(request, RequestError(422, f"{where}: found {shown(fault['input'])}, expected {what}"))

    @app.exception_handler(Busy)
    async def making(request: Request, error: Busy) -> Response:
        return _answer(request, busy(str(error), error.retry_after_s))

    @app.exception_handler(TooManyError)
    async def waiting(request: Request, error: TooManyError) -> Response:
        return _answer(request, busy(str(error)))

    @app.exception_handler(QueueError)
    async def unwritten(_: Request, error: QueueError) -> JSONResponse:
        return busy(f"{error}; try again later").response()

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        detail = "no such address" if error.status_code == 404 else str(error.detail)
        return _answer(request, RequestError(error.status_code, detail, error.headers))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return _answer(request, RequestError(500, f"the server failed ({type(error).__name__})"))


def _answer(request: Request, error: RequestError) -> Response:
    """Return an error as JSON, or as a page for people: their browsers ask for HTML, scripts on a page do not."""
    response = error.response()
    if "text/html" not in request.headers.get("accept", ""):
        return response
    headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    return HTMLResponse(problem_page(error.status, error.detail), error.status, headers)
