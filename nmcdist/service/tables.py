"""Queries on the descriptors of a release: pages of items, and histograms under a filter."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from nmcdist.errors import InputError, StoreError
from nmcdist.log import log
from nmcdist.queries.columns import Columns
from nmcdist.service.problems import Problem, RequestError
from nmcdist.service.routes import BUSY, MOVED, NOT_FOUND, ItemOf, Responses, service_of
from nmcdist.service.shelf import Item
from nmcdist.service.state import Service
from nmcdist.wording import shown

MOST_ITEMS = 10_000
MOST_VALUES = 200_000  # items times columns of a page
MOST_HISTOGRAMS = 50
_QUERY = "query: "
KEPT = {"Cache-Control": "public, max-age=86400"}
REFUSED: Responses = {422: {"model": Problem, "description": "A parameter is malformed, or names an unknown column"}}

Q = TypeVar("Q")
T = TypeVar("T")

router = APIRouter(default_response_class=JSONResponse, tags=["queries"])

Where = Annotated[
    str, Field(max_length=2000, description="Condition, such as `d_max_nm > 8000 and sphericity > 0.9`; empty: all.")
]
NamedColumns = Annotated[str, Field(max_length=4000, description="Names of columns, with commas between them.")]


class Strict(BaseModel):
    """Parameters, of which none but the known ones may be given."""

    model_config = ConfigDict(extra="forbid")


class ItemsQuery(Strict):
    """The parameters of a page of items."""

    where: Where = ""
    after: Annotated[int, Field(ge=0, lt=2**53, description="Last item of the page before.")] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ITEMS, description="Most items of the page.")] = 100
    columns: NamedColumns = ""


class HistogramsQuery(Strict):
    """The parameters of histograms."""

    where: Where = ""
    columns: NamedColumns = ""
    bins: Annotated[int, Field(ge=1, le=200, description="Bins of one width.")] = 64


class ItemsPage(BaseModel):
    """A page of items."""

    total: int
    count: int
    next: int | None
    units: dict[str, str]
    items: list[dict[str, float | int | bool | None]]


class HistogramOf(BaseModel):
    """The values of a column among the selected items."""

    name: str
    unit: str
    edges: list[float]
    counts: list[int]
    missing: int


class Histograms(BaseModel):
    """Histograms of several columns."""

    total: int
    count: int
    histograms: list[HistogramOf]


@router.get(
    "/api/datasets/{name}/{version}/items", response_model=ItemsPage,
    responses={**MOVED, **NOT_FOUND, **REFUSED, **BUSY},
)  # fmt: skip
async def items(item: ItemOf, query: Annotated[ItemsQuery, Query()], request: Request) -> JSONResponse:
    """Return the items for which a condition holds, by number; `next` is the `after` of the next page."""
    refuse_repeated(request)
    service = service_of(request)
    return JSONResponse(await service.queries.run(guarded, _page, service, item, query), headers=KEPT)


@router.get(
    "/api/datasets/{name}/{version}/histograms", response_model=Histograms,
    responses={**MOVED, **NOT_FOUND, **REFUSED, **BUSY},
)  # fmt: skip
async def histograms(item: ItemOf, query: Annotated[HistogramsQuery, Query()], request: Request) -> JSONResponse:
    """Return the histograms of columns over the items for which a condition holds."""
    refuse_repeated(request)
    service = service_of(request)
    return JSONResponse(await service.queries.run(guarded, _histograms, service, item, query), headers=KEPT)


def refuse_repeated(request: Request) -> None:
    """Refuse a parameter that is given more than once."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1:
            raise RequestError(422, f"{shown(name)}: found {count} times, expected once")


def guarded(function: Callable[[Columns, Q], T], service: Service, item: Item, query: Q) -> T:
    """Return what a function makes of the columns of a release; what cannot be asked is refused in one line."""
    try:
        return function(service.columns(item), query)
    except InputError as error:
        text = str(error)  # the package calls a condition "query", the service "where"
        raise RequestError(422, f"where: {text.removeprefix(_QUERY)}" if text.startswith(_QUERY) else text) from None
    except StoreError as error:
        log.error("%s", error)
        raise RequestError(500, f"{item.path}: the server cannot read its columns") from None


def _page(columns: Columns, query: ItemsQuery) -> dict[str, Any]:
    names = columns.resolve(listed(query.columns)) or columns.named_in(query.where) or list(columns.names)
    if query.limit * len(names) > MOST_VALUES:
        most = max(1, MOST_VALUES // len(names))
        raise RequestError(422, f"limit: found {query.limit}, expected at most {most} for {len(names)} columns")
    mask = columns.mask(query.where)
    numbers = columns.page(mask, query.after, query.limit)
    values = {name: plain(columns.values(name)[numbers], columns.about[name].is_whole) for name in names}
    rows = [
        {"sample": number, **{name: column[k] for name, column in values.items()}}
        for k, number in enumerate(numbers.tolist())
    ]
    is_last = len(rows) < query.limit or not mask[numbers[-1] + 1 :].any()
    return {
        "total": columns.count,
        "count": int(np.count_nonzero(mask)),
        "next": None if is_last else rows[-1]["sample"],
        "units": {name: columns.about[name].unit for name in names},
        "items": rows,
    }


def _histograms(columns: Columns, query: HistogramsQuery) -> dict[str, Any]:
    names = columns.resolve(listed(query.columns)) or list(columns.names)[:MOST_HISTOGRAMS]
    if len(names) > MOST_HISTOGRAMS:
        raise RequestError(422, f"columns: found {len(names)}, expected at most {MOST_HISTOGRAMS}")
    found = columns.histograms(query.where, names, query.bins)
    return {
        "total": columns.count,
        "count": int(np.count_nonzero(columns.mask(query.where))),
        "histograms": [
            {
                "name": histogram.name,
                "unit": histogram.unit,
                "edges": histogram.edges.tolist(),
                "counts": histogram.counts.tolist(),
                "missing": histogram.missing,
            }
            for histogram in found
        ],
    }


def listed(text: str) -> list[str]:
    """Return the names in a list with commas, of which some may be in brackets."""
    names, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if character == "," and depth <= 0:
            names.append(text[start:place])
            start = place + 1
    return [name.strip() for name in [*names, text[start:]] if name.strip()]


def plain(values: np.ndarray, is_whole: bool) -> list[float | int | None]:
    """Return numbers for JSON, which has no NaN and no infinity."""
    return [(int(v) if is_whole else v) if math.isfinite(v) else None for v in values.tolist()]
