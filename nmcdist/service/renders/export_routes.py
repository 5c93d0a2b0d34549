"""The addresses of files: of one item in any format, and of the selected items as a table or as a zip file of files."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from nmcdist.datasets.export.formats import FORMATS
from nmcdist.datasets.layout import SAMPLE
from nmcdist.queries.columns import Columns
from nmcdist.queries.query import texts
from nmcdist.service.files import respond
from nmcdist.service.problems import RequestError
from nmcdist.service.ranges import is_unchanged
from nmcdist.service.renders.files import file_name
from nmcdist.service.renders.routes import COMMON, ITEM, NumberOf, studio_of
from nmcdist.service.renders.spool import Spool
from nmcdist.service.routes import ItemOf, Responses, service_of
from nmcdist.service.shelf import Item
from nmcdist.service.sources import Content
from nmcdist.service.state import Service
from nmcdist.service.tables import KEPT, NamedColumns, Strict, Where, guarded, listed, plain, refuse_repeated
from nmcdist.wording import shown

MOST_FILES = 100  # of a zip file
_BLOCK = 4096  # rows of a table at a time
_ZIP = "-zip"
_TABLES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_FILE: Responses = {
    200: {"content": {"application/octet-stream": {}}, "description": "The file"},
    206: {"content": {"application/octet-stream": {}}, "description": "The range"},
    304: {"description": "The client has it already"},
    412: {"description": "If-Match names another version"},
    416: {"description": "Several ranges, or one outside the file"},
}
_SIZE = Field(gt=0, le=1e9, allow_inf_nan=False, description="Voxel size for formats of rendered particles.")
_FORMAT = Field(
    description="`csv` or `json`: a table of the items; `stl-zip` and the like: a zip file of at most 100 files.",
    json_schema_extra={"enum": [*_TABLES, *(f"{name}{_ZIP}" for name in FORMATS)]},
)

router = APIRouter(tags=["items"])


class FileQuery(Strict):
    """The parameters of the file of an item."""

    voxel_size_nm: Annotated[float, _SIZE] | None = None


class ExportQuery(Strict):
    """The parameters of the files of several items."""

    where: Where = ""
    format: Annotated[str, _FORMAT] = "csv"
    columns: NamedColumns = ""


@router.get(
    f"{ITEM}/exports/{{file_format}}", responses={**_FILE, **COMMON}, response_class=Response
)  # fmt: skip
async def file(
    item: ItemOf, number: NumberOf, file_format: str, query: Annotated[FileQuery, Query()], request: Request
) -> Response:
    """Return the file of an item that `nmcdist export` writes; a format of several files comes as a zip file."""
    refuse_repeated(request)
    if file_format not in FORMATS:
        raise RequestError(404, f"format: found {shown(file_format)}, expected one of {', '.join(FORMATS)}")
    asked = number, file_format, query.voxel_size_nm
    name = await service_of(request).reads.run(file_name, item.store, number, file_format)
    return await _spooled(request, item, "file", asked, name)


@router.get("/api/datasets/{name}/{version}/exports", responses={**_FILE, **COMMON}, response_class=Response)
async def export(item: ItemOf, query: Annotated[ExportQuery, Query()], request: Request) -> Response:
    """Return the items for which a condition holds: as a table, or as a zip file with a file of each."""
    refuse_repeated(request)
    service = service_of(request)
    if query.format in _TABLES:
        rows = await service.queries.run(guarded, _Rows.of, service, item, query)
        headers = {**KEPT, **_attachment(f"{item.release.label}.{query.format}")}
        return StreamingResponse(_written(service, rows), headers=headers, media_type=_TABLES[query.format])
    file_format = query.format.removesuffix(_ZIP)
    if not query.format.endswith(_ZIP) or file_format not in FORMATS:
        raise RequestError(422, f"format: found {shown(query.format)}, expected csv, json, or a format with {_ZIP}")
    numbers = await service.queries.run(guarded, _few, service, item, query.where)
    return await _spooled(request, item, "several", (numbers, file_format), f"{item.release.label}-{file_format}.zip")


async def _spooled(request: Request, item: Item, task: str, asked: tuple[Any, ...], called: str) -> Response:
    """Return a file from the spool; it is made first, but not for a question about its headers."""
    studio = studio_of(request)
    name = studio.name(task, item, *asked)
    is_known = is_unchanged(request.headers.get("if-none-match"), f'"{name}"')
    if not is_known and not request.scope.get("nmcdist.head", False):
        client = request.client.host if request.client else ""
        arguments = studio.place(item), *asked

        def make(target: Path, deadline_s: float) -> None:
            studio.run(task, item, (*arguments, str(target)), deadline_s)

        await studio.exports.ensure(name, client, make)
    source = _Spooled(studio.exports.spool, name)
    response = await respond(request, source, called, service_of(request).reads)
    response.headers.update({**KEPT, **_attachment(called)})
    return response


class _Spooled:
    """One file of the spool as a source of bytes."""

    def __init__(self, spool: Spool, name: str) -> None:
        self._spool, self._name = spool, name

    def computes(self, key: str) -> bool:
        """Return whether it is not there yet."""
        return not self._spool.has(self._name)

    def is_checked(self, key: str) -> bool:
        """Return True: the service has made it."""
        return True

    def etag(self, key: str) -> str:
        """Return its name in quotes."""
        return f'"{self._name}"'

    def open(self, key: str) -> Content:
        """Open it."""
        return self._spool.open(self._name)


class _Rows:
    """The selected rows of some columns, as text in parts."""

    def __init__(self, columns: Columns, names: list[str], numbers: np.ndarray, form: str) -> None:
        self._columns, self._names, self._numbers, self._form = columns, names, numbers, form

    @classmethod
    def of(cls, columns: Columns, query: ExportQuery) -> "_Rows":
        """Return the rows that a query selects; what cannot be read is refused here, before anything is sent."""
        names = columns.resolve(listed(query.columns)) or list(columns.names)
        for name in names:
            columns.values(name)
        numbers = np.flatnonzero(columns.mask(query.where))
        return cls(columns, [name for name in names if name != SAMPLE], numbers, query.format)

    def parts(self) -> Iterator[str]:
        """Yield the text."""
        yield "[" if self._form == "json" else ",".join([SAMPLE, *self._names]) + "\n"
        for start in range(0, len(self._numbers), _BLOCK):
            numbers = self._numbers[start : start + _BLOCK]
            yield self._objects(numbers, start) if self._form == "json" else self._lines(numbers)
        if self._form == "json":
            yield "\n]\n"

    def _lines(self, numbers: np.ndarray) -> str:
        columns = [map(str, numbers.tolist()), *(texts(self._columns.values(name)[numbers]) for name in self._names)]
        return "".join(f"{','.join(row)}\n" for row in zip(*columns, strict=True))

    def _objects(self, numbers: np.ndarray, start: int) -> str:
        about = self._columns.about
        columns = [plain(self._columns.values(name)[numbers], about[name].is_whole) for name in self._names]
        rows = [
            json.dumps({SAMPLE: number, **dict(zip(self._names, row, strict=True))})
            for number, *row in zip(numbers.tolist(), *columns, strict=True)
        ]
        return ("," if start else "") + "\n" + ",\n".join(rows)


async def _written(service: Service, rows: _Rows) -> AsyncIterator[str]:
    parts = rows.parts()
    while (part := await service.reads.run(next, parts, None)) is not None:
        yield part


def _few(columns: Columns, where: str) -> tuple[int, ...]:
    """Return the numbers of the selected items, of which there must be few."""
    numbers = np.flatnonzero(columns.mask(where))
    if not 1 <= len(numbers) <= MOST_FILES:
        raise RequestError(422, f"where: found {len(numbers)} items, expected 1 to {MOST_FILES} for a zip file")
    return tuple(numbers.tolist())


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename=\"{name}\"; filename*=UTF-8''{quote(name)}"}
