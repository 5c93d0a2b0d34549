"""The addresses of single items: what they are, sections, bricks and grains."""

import json
from enum import IntEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from nmcdist.errors import QueryError
from nmcdist.queries.columns import Columns
from nmcdist.service.problems import RequestError
from nmcdist.service.ranges import encoding_for, is_unchanged
from nmcdist.service.renders.places import EDGES, Made
from nmcdist.service.renders.studio import Studio
from nmcdist.service.routes import BUSY, MOVED, NOT_FOUND, ItemOf, Responses, service_of
from nmcdist.service.shelf import Item
from nmcdist.service.tables import KEPT, REFUSED, Strict, guarded, plain, refuse_repeated

ITEM = "/api/datasets/{name}/{version}/items/{number}"
COMMON: Responses = {**MOVED, **NOT_FOUND, **REFUSED, **BUSY}
_UNCHANGED: Responses = {304: {"description": "The client has it already"}}
_PNG: Responses = {200: {"content": {"image/png": {}}, "description": "The picture"}}
_BRICK: Responses = {200: {"content": {"application/octet-stream": {}}, "description": "Labels, x fastest"}}
_ENCODINGS = ("gzip", "zstd")

router = APIRouter(default_response_class=JSONResponse, tags=["items"])


class SectionQuery(Strict):
    """The parameters of a section."""

    axis: Annotated[Literal["z", "y", "x"], Field(description="Normal to the section.")] = "z"
    at: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, description="Place along the axis, 0 to 1.")] = 0.5
    size: Annotated[int, Field(ge=64, le=1024, description="Pixels of the longer side.")] = 256
    colouring: Annotated[
        Literal["grain", "radius", "size", "phase"] | None,
        Field(description="`grain`, `radius` or `size` of particles, `phase` of volumes; else the first of these."),
    ] = None


class Edge(IntEnum):
    """The edges of bricks."""

    COARSE, MEDIUM, FINE = EDGES


class BrickQuery(Strict):
    """The parameters of a brick."""

    edge: Annotated[Edge, Field(description="Voxels of the longest edge, at most.")] = Edge.COARSE


class NoQuery(Strict):
    """No parameters."""


class PhaseOf(BaseModel):
    """A phase of a volume."""

    name: str
    colour: str


class GridOf(BaseModel):
    """Voxels that cover an item."""

    voxel_size_nm: float
    shape: list[int]


class BrickOf(GridOf):
    """A brick of an item."""

    edge: int


class FormatOf(BaseModel):
    """A format in which an item can be saved."""

    name: str
    suffix: str
    what: str
    voxel_size_nm: bool


class ItemAbout(BaseModel):
    """What an item is, and what can be shown of it."""

    item: int
    kind: Literal["particle", "volume", "none"]
    title: str
    values: dict[str, float | int | bool | None]
    units: dict[str, str]
    phases: dict[str, PhaseOf] | None
    grains: int | None
    extent_nm: list[float] | None
    colourings: list[str]
    bricks: list[BrickOf]
    section: GridOf | None
    formats: list[FormatOf]
    previous: int | None
    next: int | None


class GrainTable(BaseModel):
    """The grains of a particle, in the order of their numbers in bricks."""

    grains: list[int]
    diameter_nm: list[float]
    radial_angle_deg: list[float | None]
    radial_angle_of: Literal["c axis", "longest axis"]
    colour: list[str]


def studio_of(request: Request) -> Studio:
    """Return what renders items."""
    found: Studio = request.app.state.studio
    return found


def number_of(item: ItemOf, number: Annotated[int, Path(ge=0, lt=2**53, description="Number of the item.")]) -> int:
    """Return the number of an item of a release.

    Raises
    ------
    RequestError
        404 if there is no such item.
    """
    count = item.release.sizes.items
    if number >= count:
        raise RequestError(404, f"item {number}: not in {item.path}, expected 0 to {count - 1}")
    return number


NumberOf = Annotated[int, Depends(number_of)]


@router.get(ITEM, response_model=ItemAbout, responses=COMMON)
async def about(item: ItemOf, number: NumberOf, query: Annotated[NoQuery, Query()], request: Request) -> JSONResponse:
    """Return what an item is: its values, its size, its phases, and what can be shown and saved of it."""
    refuse_repeated(request)
    service = service_of(request)
    _, body = await studio_of(request).made("describe", item, number)
    found = json.loads(body)
    drawn = found.pop("drawn")
    values, units = {name: one for name, (one, _) in drawn.items()}, {name: unit for name, (_, unit) in drawn.items()}
    if not item.release.virtual:
        values, units = await service.queries.run(guarded, _values, service, item, number)
    count = item.release.sizes.items
    content = {
        "item": number, "title": f"{item.release.title}, item {number}", "values": values, "units": units, **found,
        "previous": number - 1 if number else None, "next": number + 1 if number + 1 < count else None,
    }  # fmt: skip
    return JSONResponse(content, headers=KEPT)


@router.get(f"{ITEM}/section.png", responses={**_PNG, **_UNCHANGED, **COMMON}, response_class=Response)
async def section(
    item: ItemOf, number: NumberOf, query: Annotated[SectionQuery, Query()], request: Request
) -> Response:  # fmt: skip
    """Return a section through an item as a picture, transparent outside.

    Of the other two axes, the first one runs downwards, the second one to the right.
    """
    refuse_repeated(request)
    asked = number, query.axis, query.at, query.size, query.colouring or ""
    return await _kept(request, item, "image/png", "section", *asked)


@router.get(f"{ITEM}/brick", responses={**_BRICK, **_UNCHANGED, **COMMON}, response_class=Response)
async def brick(
    item: ItemOf, number: NumberOf, query: Annotated[BrickQuery, Query()], request: Request
) -> Response:  # fmt: skip
    """Return the labels of an item at the voxels of a brick, little-endian, in the order z, y, x.

    0 is outside a particle, whose grains are numbered from 1; of a volume, labels are those of its phases. Headers:
    X-Shape, X-Dtype, X-Voxel-Size-Nm, and X-Item-Grains of a particle.
    """
    refuse_repeated(request)
    encoding = encoding_for(request.headers.get("accept-encoding"), _ENCODINGS)
    response = await _kept(request, item, "application/octet-stream", "brick", number, int(query.edge), encoding)
    response.headers["Vary"] = "Accept-Encoding"
    if encoding != "identity" and response.status_code == 200:
        response.headers["Content-Encoding"] = encoding
    return response


@router.get(f"{ITEM}/grains", response_model=GrainTable, responses={**_UNCHANGED, **COMMON})
async def grains(item: ItemOf, number: NumberOf, query: Annotated[NoQuery, Query()], request: Request) -> Response:
    """Return the grains of a particle, in the order of their numbers in bricks.

    `radial_angle_deg` is the angle between the radius and the c axis, or the longest axis of a grain of particles
    without crystal orientations.
    """
    refuse_repeated(request)
    return await _kept(request, item, "application/json", "grains", number)


async def _kept(request: Request, item: Item, kind: str, task: str, *arguments: Any) -> Response:
    """Return what a task makes, or that the client has it already."""
    studio = studio_of(request)
    headers = {**KEPT, "ETag": f'"{studio.name(task, item, *arguments)}"'}
    if is_unchanged(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    made: Made = await studio.made(task, item, *arguments)
    return Response(made[1], headers={**headers, **made[0]}, media_type=kind)


def _values(found: Columns, number: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of an item, and their units, by the names of the columns."""
    values = {}
    for name, about in found.about.items():
        try:
            values[name] = plain(found.values(name)[number : number + 1], about.is_whole)[0]
        except QueryError:  # whole numbers that no float holds
            continue
    return values, {name: found.about[name].unit for name in values}
