"""What the renderers do, each function in a process of its own kind: it gets and returns plain data."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nmcdist.service.renders import bricks, files, sections
from nmcdist.service.renders.colours import phase_colours
from nmcdist.service.renders.items import ParticleView, VolumeView, view_of
from nmcdist.service.renders.places import Made, NotShownError, Place


def describe(place: Place, item: int) -> Made:
    """Return what can be shown and saved of an item, as JSON."""
    view = view_of(place, item)
    found: dict[str, Any] = {
        "kind": "none", "phases": None, "grains": None, "extent_nm": None, "colourings": [], "bricks": [],
        "section": None, "formats": files.formats_of(place, view), "drawn": {},
    }  # fmt: skip
    if view is not None:
        grid = view.section_grid()
        found |= {
            "kind": "particle" if isinstance(view, ParticleView) else "volume",
            "extent_nm": [n * grid.voxel_size_nm for n in grid.shape],
            "colourings": list(sections.colourings(view)),
            "bricks": [{"edge": edge, **one.content} for edge, one in view.bricks()],
            "section": grid.content,
        }
    if isinstance(view, ParticleView):
        found |= {"grains": view.count, "drawn": _drawn(view) if place.is_virtual else {}}
    if isinstance(view, VolumeView):
        colours, names = phase_colours(view.volumes.names), view.volumes.names
        found["phases"] = {str(label): {"name": names[label], "colour": colours[label]} for label in names}
    return {}, json.dumps(found).encode()


def section(place: Place, item: int, axis: str, at: float, size: int, colouring: str) -> Made:
    """Return a section as a PNG file; without a colouring, with the first one of the item."""
    view = _shown(place, item)
    return {}, sections.section(view, axis, at, size, colouring or sections.colourings(view)[0])


def brick(place: Place, item: int, edge: int, encoding: str) -> Made:
    """Return a brick, compressed."""
    return bricks.brick(_shown(place, item), edge, encoding)


def grains(place: Place, item: int) -> Made:
    """Return the table of the grains of a particle, as JSON."""
    view = view_of(place, item)
    if not isinstance(view, ParticleView):
        raise NotShownError("the items of this dataset have no grains")
    return {}, json.dumps(bricks.grain_table(view)).encode()


def file(place: Place, item: int, file_format: str, voxel_size_nm: float | None, target: str) -> Made:
    """Write the file of an item in a format."""
    files.write_item(place, item, file_format, voxel_size_nm, Path(target))
    return {}, b""


def several(place: Place, items: tuple[int, ...], file_format: str, target: str) -> Made:
    """Write a zip file with the files of several items."""
    files.write_items(place, items, file_format, Path(target))
    return {}, b""


def warm(place: Place) -> Made:
    """Compile what draws the items of a release, by drawing the first one."""
    view = view_of(place, 0)
    if view is not None:
        for colouring in sections.colourings(view):
            sections.section(view, "z", 0.5, 96, colouring)
    return {}, b""


def _shown(place: Place, item: int) -> ParticleView | VolumeView:
    view = view_of(place, item)
    if view is None:
        raise NotShownError("the items of this dataset hold no particles or volumes to show")
    return view


def _drawn(view: ParticleView) -> Mapping[str, Any]:
    """Return the numbers of a particle that no store holds, with their units, by name."""
    from nmcdist.descriptors.shell import VARIABLES, measure_shells

    measured = measure_shells(view.particle.coefficients_nm[None])
    values = {f"shell_{name}": (float(one[0]), VARIABLES[name].unit) for name, one in measured.items()}
    return {**values, "kept_grains": (view.count, "1")}


TASKS: dict[str, Callable[..., Made]] = {
    function.__name__: function for function in (describe, section, brick, grains, file, several, warm)
}


def run(name: str, arguments: tuple[Any, ...]) -> Made:
    """Run a task by its name."""
    return TASKS[name](*arguments)
