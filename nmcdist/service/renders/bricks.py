"""Bricks: the labels of an item at a few voxel sizes, for viewers in three dimensions, and the table of its grains."""

import gzip
from typing import Any

import numcodecs
import numpy as np

from nmcdist.errors import InputError
from nmcdist.service.renders.colours import TINTS
from nmcdist.service.renders.items import MOST_GRAINS, ParticleView, VolumeView

_GZIP_LEVEL, _ZSTD_LEVEL = 3, 3


def brick(view: ParticleView | VolumeView, edge: int, encoding: str) -> tuple[dict[str, str], bytes]:
    """Return the headers and the bytes of a brick, compressed if `encoding` is "gzip" or "zstd".

    Raises
    ------
    InputError
        If the item has no bricks.
    """
    if not view.bricks():
        raise InputError(_why_not(view))
    labels = np.ascontiguousarray(view.brick(edge))
    labels = labels.astype(labels.dtype.newbyteorder("<"), copy=False)
    headers = {
        "X-Shape": ",".join(map(str, labels.shape)),
        "X-Dtype": labels.dtype.name,
        "X-Voxel-Size-Nm": repr(view.grid(edge).voxel_size_nm),
    }
    if isinstance(view, ParticleView):
        headers["X-Item-Grains"] = str(view.count)
    return headers, _packed(labels.tobytes(), encoding)


def _why_not(view: ParticleView | VolumeView) -> str:
    if isinstance(view, ParticleView):
        return f"brick: found {view.count} grains, expected at most {MOST_GRAINS}; sections show all of them"
    shape = " x ".join(map(str, view.volumes.shape))
    return f"brick: found a volume of {shape} voxels, which is too large to be read for one; sections show it"


def grain_table(view: ParticleView) -> dict[str, Any]:
    """Return the grains in the order of their numbers in bricks."""
    angles = view.angles_deg
    return {
        "grains": view.labels.tolist(),
        "diameter_nm": view.diameters_nm.tolist(),
        "radial_angle_deg": [None if np.isnan(angle) else angle for angle in angles.tolist()],
        "radial_angle_of": "c axis" if view.has_c_axes else "longest axis",
        "colour": [TINTS[tint] for tint in view.tints.tolist()],
    }


def _packed(data: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(data, _GZIP_LEVEL, mtime=0)
    return bytes(numcodecs.Zstd(_ZSTD_LEVEL).encode(data)) if encoding == "zstd" else data
