"""Files of single items for other programs: the formats that an item has, and what writes them."""

from typing import Any

from nmcdist.datasets.export.content import GRAIN_TABLE, SHELL
from nmcdist.datasets.export.formats import FORMATS, Format
from nmcdist.datasets.store import holds
from nmcdist.extras import EXTRAS, is_installed
from nmcdist.service.renders.items import ParticleView, VolumeView
from nmcdist.service.renders.places import Place

_MEASURED = "volume_nm3"  # a column of the grains that is there if they were measured


def formats_of(place: Place, view: ParticleView | VolumeView | None) -> list[dict[str, Any]]:
    """Return the formats in which an item can be saved, as plain data."""
    return [
        {"name": row.name, "suffix": row.suffix, "what": row.about, "voxel_size_nm": _is_rendered(row, view)}
        for row in FORMATS.values()
        if view is not None and _has(place, view, row)
    ]


def _has(place: Place, view: ParticleView | VolumeView, row: Format) -> bool:
    if row.extra and not all(map(is_installed, EXTRAS[row.extra])):
        return False
    if isinstance(view, VolumeView):
        return row.content.of_voxels is not None and (row.name != "damask" or bool(view.volumes.names))
    if row.content is GRAIN_TABLE:
        return not place.is_virtual and holds(place.store, _MEASURED)
    return row.content is SHELL or row.name not in ("damask", "network") or (row.name == "damask" and view.has_c_axes)


def _is_rendered(row: Format, view: ParticleView | VolumeView | None) -> bool:
    return isinstance(view, ParticleView) and row.content.of_voxels is not None
