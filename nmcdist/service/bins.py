"""The columns of a release as bytes: each value is the number of its bin, so that a page can filter them by itself."""

import gzip
import re
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from nmcdist.queries.columns import Columns
from nmcdist.queries.histograms import MOST_BINS, OTHERS
from nmcdist.service.problems import RequestError
from nmcdist.service.ranges import accepts_gzip
from nmcdist.service.routes import BUSY, MOVED, NOT_FOUND, ItemOf, Responses, service_of
from nmcdist.service.tables import KEPT, REFUSED, NamedColumns, Strict, guarded, listed, refuse_repeated

MOST_COLUMNS = 50
MOST_ROWS = 2_000_000
_LEVEL = 5  # of compression
# Numbers that identify items rather than describe them.
_HIDDEN = re.compile("sample|seed|stream|level|realisation|fidelity|partner|first_row|rows|shell_rejections")
# What readers look for first; the others follow, means over directions before single directions.
_FIRST = (
    "shell_d_max_nm", "shell_volume_nm3", "shell_sphericity", "shell_aspect_ratio", "kept_grains", "grain_volume_nm3",
    "volume_fraction", "surface_area", "geodesic_tortuosity_mean", "constrictivity_mean", "m_factor_mean", "r_max_nm",
    "surface_grain_share", "neighbours_mean",
)  # fmt: skip

router = APIRouter(default_response_class=JSONResponse, tags=["queries"])
_Bins = Annotated[int, Field(ge=1, le=MOST_BINS, description="Bins of one width.")]


class ColumnsQuery(Strict):
    """The parameters of the list of columns."""

    bins: _Bins = 64


class BinsQuery(Strict):
    """The parameters of the bins of columns."""

    columns: NamedColumns
    bins: _Bins = 64


class ColumnOf(BaseModel):
    """A column, and the edges of its bins."""

    name: str
    title: str
    unit: str
    is_whole: bool
    edges: list[float]
    missing: int


class ColumnList(BaseModel):
    """The columns that a page shows, the most wanted first."""

    total: int
    rows: int
    columns: list[ColumnOf]
    further: int


_BYTES: Responses = {200: {"content": {"application/octet-stream": {}}, "description": "A byte per column and row"}}


@router.get(
    "/api/datasets/{name}/{version}/columns", response_model=ColumnList,
    responses={**MOVED, **NOT_FOUND, **REFUSED, **BUSY},
)  # fmt: skip
async def columns(item: ItemOf, query: Annotated[ColumnsQuery, Query()], request: Request) -> JSONResponse:
    """Return the columns that describe items, with the edges of their bins; none of a virtual release.

    `further` is the number of such columns beyond the first 50.
    """
    refuse_repeated(request)
    if item.release.virtual:
        return JSONResponse({"total": item.release.sizes.items, "rows": 0, "columns": [], "further": 0}, headers=KEPT)
    service = service_of(request)
    return JSONResponse(await service.queries.run(guarded, _columns, service, item, query), headers=KEPT)


@router.get(
    "/api/datasets/{name}/{version}/bins", response_class=Response,
    responses={**_BYTES, **MOVED, **NOT_FOUND, **REFUSED, **BUSY},
)  # fmt: skip
async def bins(item: ItemOf, query: Annotated[BinsQuery, Query()], request: Request) -> Response:
    """Return for each column, in the order asked, the bin of each row; 255: no value.

    Bin k holds the values from edge k up to edge k + 1 of `/columns`, without the latter but for the last bin.
    """
    refuse_repeated(request)
    service, is_packed = service_of(request), accepts_gzip(request.headers.get("accept-encoding"))
    shape, body = await service.queries.run(guarded, _bins, service, item, (query, is_packed))
    headers = {**KEPT, "X-Shape": shape, "Vary": "Accept-Encoding"}
    return Response(
        body, headers={**headers, "Content-Encoding": "gzip"} if is_packed else headers,
        media_type="application/octet-stream",
    )  # fmt: skip


def wanted(names: tuple[str, ...]) -> list[str]:
    """Return the columns that describe items, the most wanted first."""
    return sorted((name for name in names if not _HIDDEN.fullmatch(name)), key=_rank)


def rows_of(total: int) -> np.ndarray | slice:
    """Return which items are the rows: all, or one from each of two million parts of equal length."""
    if total <= MOST_ROWS:
        return slice(0, total)
    number = np.arange(MOST_ROWS, dtype=np.float64)
    return np.asarray(np.floor((number + number * 0.6180339887498949 % 1.0) * (total / MOST_ROWS)).astype(np.int64))


def _rank(name: str) -> tuple[int, int]:
    variable, *labels = name.split(".")
    return _FIRST.index(variable) if variable in _FIRST else len(_FIRST), len(labels)


def _columns(found: Columns, query: ColumnsQuery) -> dict[str, Any]:
    names, rows = wanted(found.names), rows_of(found.count)
    listing = []
    for name in names[:MOST_COLUMNS]:
        about, binned = found.about[name], found.binned(name, query.bins)
        missing = int(np.count_nonzero(binned.bins[rows] == OTHERS))
        listing.append({
            "name": name, "title": about.long_name or name.replace("_", " "), "unit": about.unit,
            "is_whole": about.is_whole, "edges": binned.edges.tolist(), "missing": missing,
        })  # fmt: skip
    further = len(names) - len(listing)
    return {"total": found.count, "rows": min(found.count, MOST_ROWS), "columns": listing, "further": further}


def _bins(found: Columns, asked: tuple[BinsQuery, bool]) -> tuple[str, bytes]:
    query, is_packed = asked
    names, rows = found.resolve(listed(query.columns)), rows_of(found.count)
    if not 1 <= len(names) <= MOST_COLUMNS:
        raise RequestError(422, f"columns: found {len(names)}, expected 1 to {MOST_COLUMNS}")
    data = b"".join(found.binned(name, query.bins).bins[rows].tobytes() for name in names)
    shape = f"{len(names)},{min(found.count, MOST_ROWS)}"
    return shape, gzip.compress(data, _LEVEL, mtime=0) if is_packed else data
