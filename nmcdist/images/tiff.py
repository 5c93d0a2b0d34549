"""TIFF files: their pages, and the voxel sizes of ImageJ and OME."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.images.said import STRAYS, Said, whole_shape
from nmcdist.images.sources import Pages, Source, reading
from nmcdist.images.spacing import Size, in_nm
from nmcdist.images.truncated import check_tiff
from nmcdist.wording import shown

SUFFIXES = (".tif", ".tiff")
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # it logs faults before it raises them
_LISTED = 6  # most images that a message names


def open_pages(
    where: Path, dataset: str | None = None, *, samples_are_slices: bool = False
) -> tuple[Source, Said]:  # fmt: skip
    """Open a TIFF file; some programs write the slices of a stack as samples of one page, plane after plane.

    `dataset` is the number of the image, from 0, if there are several.

    Raises
    ------
    ImageError
        If it is truncated or damaged, or holds colours, channels or times, or several images and none is chosen.
    """
    import tifffile

    with reading(where):
        check_tiff(where)
    with reading(where), tifffile.TiffFile(where) as file:
        if not file.series:
            raise ValueError("found no pages")
        images = [k for k, each in enumerate(file.series) if not each.keyframe.is_reduced]
        number = _chosen(dataset, images, where) if dataset is not None else images[0]
        series = file.series[number]
        axes, shape, dtype = series.axes, tuple(map(int, series.shape)), np.dtype(series.dtype)
        says_axes = file.is_ome or file.is_imagej
        others = [file.series[k] for k in images[1:]] if dataset is None else []
        if others and len(shape) == 2 and not says_axes:  # pages that were appended one by one
            for page, each in enumerate(others, 2):
                if tuple(each.shape) != shape or np.dtype(each.dtype) != dtype:
                    found, expected = f"{each.dtype} of shape {tuple(each.shape)}", f"{dtype} of shape {shape}"
                    raise ImageError(f"{where}: page {page}: found {found}, expected {expected} as in the first")
            axes, shape = "Z" + axes, (1 + len(others), *shape)
        elif others:
            listed = ", ".join(f"{k}: {' x '.join(map(str, file.series[k].shape))}" for k in images[:_LISTED])
            raise ImageError(f"{where}: found {len(images)} images ({listed}); choose one by its number (--dataset)")
        kept = [k for k, n in enumerate(shape) if n > 1 or axes[k] in "ZYX"]
        axes, shape = "".join(axes[k] for k in kept), tuple(shape[k] for k in kept)
        size = _ome_size(file.ome_metadata, number) if file.is_ome else _imagej_size(file, is_planar=len(shape) == 2)
    if "S" in axes and shape[axes.index("S")] > 1 and not (samples_are_slices and axes[0] == "S"):
        raise ImageError(f"{where}: found {shape[axes.index('S')]} colours, expected a grey image")
    if says_axes and len(shape) > 3:
        raise ImageError(f"{where}: found axes {axes}, expected z, y and x, without channels or times")
    named = axes.lower() if len(shape) == 2 or says_axes else ""
    if set(named) & set(STRAYS):  # the distance between slices that pass for them is not said
        size = None
    said = Said(named if set(named) <= set("zyx" + STRAYS) else "", size, len(shape) == 2)
    return Pages(where, whole_shape(shape, where), dtype, number), said


def _chosen(dataset: str, images: list[int], where: Path) -> int:
    number = int(dataset) if dataset.isascii() and dataset.isdigit() else -1
    if number not in images:
        expected = (
            f"the number of an image, {images[0]} to {images[-1]}" if len(images) > 1 else "none: it has one image"
        )
        raise ImageError(f"{where}: found the dataset {shown(dataset)}, expected {expected}")
    return number


def read_slice(where: Path) -> np.ndarray:
    """Return what a TIFF file of a single slice holds; ImageError if it is truncated."""
    import tifffile

    check_tiff(where)
    return np.asarray(tifffile.imread(where))


def _imagej_size(file: Any, *, is_planar: bool) -> Size | None:
    facts: Mapping[str, Any] = file.imagej_metadata or {}
    tags = file.pages[0].tags
    try:
        per_x, per_y = (tags[name].value[0] / tags[name].value[1] for name in ("XResolution", "YResolution"))
        across = 1 / per_y if is_planar else float(facts["spacing"])
        lengths = (across, 1 / per_y, 1 / per_x)
    except (KeyError, TypeError, ZeroDivisionError, ValueError):
        return None
    unit = str(facts.get("unit", "")).encode().decode("unicode_escape", "ignore")
    return in_nm(lengths, [unit] * 3)


def _ome_size(text: str | None, number: int) -> Size | None:
    from xml.etree import ElementTree

    images = [e for e in ElementTree.fromstring(text or "<OME/>").iter() if e.tag.endswith("}Pixels")]
    if number >= len(images):
        return None
    pixels = images[number]
    across = "Z" if pixels.get("PhysicalSizeZ") is not None or pixels.get("SizeZ") != "1" else "Y"
    lengths = [pixels.get(f"PhysicalSize{axis}") for axis in (across, "Y", "X")]
    units = [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in (across, "Y", "X")]
    return None if None in lengths else in_nm([float(length or 0) for length in lengths], units)
