"""Measure an image of labels: names of its phases in, one labelled dataset of descriptors out."""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import xarray as xr

from nmcdist.arguments import check_whole
from nmcdist.descriptors.labelled import COORDINATES
from nmcdist.descriptors.planar import FAR
from nmcdist.descriptors.two_point import lag_lengths
from nmcdist.errors import InputError, StoreError
from nmcdist.images import Image, open_labels
from nmcdist.images.sources import InMemory
from nmcdist.images.spacing import checked_size
from nmcdist.measurement.groups import FLOW, GROUPS, PLANAR, SUMMED, Group, Variables, from_sums, problems, summed
from nmcdist.measurement.phases import Phases, labels_in, named_phases, slabs
from nmcdist.measurement.sums import Summed, Wanted, added, sums_of
from nmcdist.measurement.tables import CURVES
from nmcdist.measurement.volume import Choices, Volume, checked_choices
from nmcdist.measurement.windows import check_windows, study_windows
from nmcdist.version import __version__
from nmcdist.wording import in_utf8, shown

_COORDINATES = COORDINATES | {
    "interface": {"units": "1", "long_name": "pair of phases"},
    "triple": {"units": "1", "long_name": "three phases"},
    "contact": {"units": "1", "long_name": "phase connected to the first face > phase connected to the last"},
    "fluid": {"units": "1", "long_name": "phase through which a fluid flows"},
    "length_nm": {"units": "nm", "long_name": "length of chords"},
    "plane": {"units": "1", "long_name": "number of the planar image in the stack"},
}


def measure(
    image: Any,
    phases: Mapping[str, int | Sequence[int]] | None = None,
    voxel_size_nm: float | Sequence[float] | None = None,
    *,
    descriptors: Iterable[str] | None = None,
    conductivity: Mapping[str, float] | None = None,
    fluid: str | Iterable[str] | None = None,
    boundary: str = "open",
    along: Iterable[str] | None = None,
    axes: str | None = None,
    dataset: str | None = None,
    periodic: bool = False,
    planes: bool = False,
    blocks: int | None = None,
    windows: Iterable[int] | None = None,
    max_lag_nm: float | None = None,
    max_radius_nm: float | None = None,
    progress: Callable[[str], None] | None = None,
    spread: Callable[..., Iterable[Any]] = map,
) -> xr.Dataset:
    """Measure an image of labelled phases, in two or three dimensions.

    Parameters
    ----------
    image : path or array of int or bool, shape (nz, ny, nx) or (ny, nx)
        TIFF, Zarr or OME-Zarr, .npy, HDF5, NRRD, MetaImage, VTK image data or PNG; a folder of TIFF or PNG slices; or
        an array of NumPy, Dask or xarray.
    phases : mapping of str to int or sequence of int, optional
        Label of each phase by name; several labels make a union. Every label of the image needs a name. Default: each
        label is a phase "label N".
    voxel_size_nm : float or sequence of float, optional
        Edge of a voxel in nm, or its edges along z, y, x (y, x of a planar image); needed if the file does not say it,
        and for arrays, but for those of xarray with an attribute of this name.
    descriptors : iterable of str, optional
        Groups to compute: "volumes", "coverage", "interfaces", "chords", "sizes", "paths", "connections",
        "conduction". Default: all.
    conductivity : mapping of str to float, optional
        Conductivity of phases that conduct together, as the problem "together"; others do not conduct. Each phase is
        also solved alone.
    fluid : str or iterable of str, optional
        Phases whose permeability is computed.
    boundary : {"open", "periodic", "walls"}
        Of the flow: see :func:`nmcdist.descriptors.permeability`.
    along : iterable of {"z", "y", "x"}, optional
        Directions of the directional descriptors. Default: all.
    axes : str, optional
        The order of the axes in the file, such as "zyx", if it does not say it. Arrays are in the order z, y, x.
    dataset : str, optional
        The array in an HDF5 file, a group of Zarr or a VTK file with several, or the number of an image in a TIFF file.
    periodic : bool
        Whether the image continues itself across its faces: in volumes, coverage, interfaces and size distributions.
        Paths, currents, chords and connections end at the faces all the same.
    planes : bool
        Whether the planes along z are planar images, each measured alone.
    blocks : int, optional
        Edge in voxels of blocks that are read and measured one by one, for images larger than the memory. Then only
        "volumes", "coverage" and "interfaces" can be computed.
    windows : iterable of int, optional
        Study of the representative volume: the image is also cut into 2, 3, ... parts along each axis, and each part
        measured. Means and standard deviations over the parts are added as `NAME_windows_mean` and
        `NAME_windows_sd`.
    max_lag_nm, max_radius_nm : float, optional
        Ends of the curves. Default: 100 voxels for lags; both are cut at half of the shortest side.
    progress : callable, optional
        Takes a line on what is computed next.
    spread : callable, optional
        Like :func:`map`, for blocks: runs a function on each, also on workers.

    Returns
    -------
    xarray.Dataset
        Scalars and curves by phase, pair of phases, conduction problem, axis and plane, each with units and estimator.

    Raises
    ------
    ImageError
        If the image cannot be read, or its voxel size or the order of its axes is not known.
    InputError
        If it holds no labels, one has no name or is missing, or an argument is impossible.
    """
    opened = _opened(image, voxel_size_nm, axes, dataset, planes)
    is_planar = opened.is_planar or planes
    parts = check_windows(windows, opened.shape, is_planar)
    if parts and planes:
        raise InputError("windows: found planes, too, expected one image: measure each plane alone")
    groups = _chosen(descriptors, is_planar, fluid)
    named = named_phases(phases, labels_in(opened), opened.path)
    choices = checked_choices(
        named.codes, is_planar, along, conductivity, fluid, boundary, periodic, max_lag_nm, max_radius_nm
    )
    if blocks is not None:
        more = set(groups) - set(GROUPS if descriptors is None else SUMMED)
        if more or is_planar or periodic or parts or choices.conductivity:
            raise InputError(
                "blocks: found other choices, expected a volume that is not periodic, without windows and "
                f"conductivity, and only {', '.join(SUMMED)}"
            )
        result = _in_blocks(opened, named, choices, groups, check_whole("blocks", blocks, 8), spread)
    else:
        _check_memory(opened, groups)
        codes = np.concatenate([named.encode(slab) for slab in slabs(opened)])
        whole = Volume(codes, named, opened.voxel_size_nm, is_planar, choices, progress or (lambda text: None))
        result = _measured_planes(whole, groups) if planes else _measured(whole, groups)
        if parts:
            result = result.merge(study_windows(whole, parts, partial(_measured, groups=groups), CURVES))
    return result.assign_attrs(_about(opened, named, choices, is_planar))


def _opened(image: Any, voxel_size_nm: Any, axes: str | None, dataset: str | None, planes: bool) -> Image:
    """Return the image, from a file or an array."""
    if not isinstance(planes, bool):
        raise InputError(f"planes: found {shown(planes)}, expected True or False")
    size = voxel_size_nm.tolist() if isinstance(voxel_size_nm, np.ndarray) else voxel_size_nm
    if isinstance(image, str | os.PathLike):
        if dataset is None:
            _refuse_store(image)
        found = open_labels(image, size, axes, dataset, samples_are_slices=planes)
    else:
        for name, value in (("axes", axes), ("dataset", dataset)):
            if value is not None:
                raise InputError(f"{name}: found {shown(value)}, expected None: an array has the order z, y, x")
        found = _of_array(image, size)
    edges = found.voxel_size_nm[1:] if found.is_planar or planes else found.voxel_size_nm
    if not found.says_axes and len(set(edges)) > 1:
        raise InputError(
            f"{found.path}: does not say the order of its axes, which voxels with several edges need: "
            "give it (--axes), such as zyx"
        )
    if found.is_planar and planes:
        raise InputError(f"{found.path}: is one planar image, expected a stack of them for planes")
    if min(found.shape[1 if found.is_planar or planes else 0 :]) < 2:
        raise InputError(f"{found.path}: found shape {found.shape}, expected two voxels or more along each axis")
    return found


def _refuse_store(path: str | os.PathLike[str]) -> None:
    """Refuse a dataset of nmcdist, and say how one of its items becomes an image."""
    where = Path(path)
    if not where.is_dir():
        return
    from nmcdist.datasets.store import read_attributes

    with contextlib.suppress(StoreError):
        read_attributes(where)
        how = f"write one as an image first: nmcdist export {where} --item 0 --format tiff"
        raise InputError(f"{where}: is a dataset of items, expected an image; {how}")


def _of_array(array: Any, size: Any) -> Image:
    dims = [str(dim) for dim in getattr(array, "dims", ())]
    try:
        array = array if hasattr(array, "shape") and hasattr(array, "dtype") else np.asarray(array)
    except (TypeError, ValueError):  # a dataset of xarray, or lists of several lengths
        raise InputError(f"image: found {shown(array)}, expected an array of labels") from None
    is_sound = len(array.shape) in (2, 3) and all(isinstance(n, Integral) and n for n in array.shape)
    if not is_sound or array.dtype.kind not in "buif":
        found = f"shape {tuple(array.shape)} and type {array.dtype}"
        raise InputError(f"image: found {found}, expected labels in two or three dimensions")
    expected = "zyx"[-len(array.shape) :]
    if any(dim in ("z", "y", "x") and dim != name for dim, name in zip(dims, expected, strict=False)):
        order = ", ".join(expected)
        raise InputError(f"image: found dimensions {', '.join(dims)}, expected the order {order}: transpose it")
    if np.ma.is_masked(array):
        raise InputError("image: found voxels that are masked, expected a label for each: fill them")
    if size is None:
        size = getattr(array, "attrs", {}).get("voxel_size_nm")
        size = size.tolist() if isinstance(size, np.ndarray) else size  # as NetCDF gives it
    if size is None:
        raise InputError("voxel_size_nm: found None, expected the edge of a voxel in nm, or edges along z, y, x")
    is_planar = len(array.shape) == 2
    if is_planar and isinstance(size, list | tuple) and len(size) == 2:
        size = [size[0], *size]
    shape = (1, *array.shape) if is_planar else tuple(array.shape)
    source = InMemory(Path("image"), shape, np.dtype(array.dtype), array)
    return Image(source, (0, 1, 2), checked_size(size, "voxel_size_nm"), is_planar)


def _chosen(descriptors: Iterable[str] | None, is_planar: bool, fluid: Any) -> dict[str, Group]:
    known = PLANAR if is_planar else GROUPS
    names = tuple(known) if descriptors is None else descriptors
    names = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, Iterable) else (names,)
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise InputError(f"descriptors: found {shown(name)}, expected some of {', '.join(known)}")
    chosen = {name: known[name] for name in dict.fromkeys(names)} | ({"flow": FLOW} if fluid else {})
    if not chosen:
        raise InputError(f"descriptors: found none, expected some of {', '.join(known)}")
    return chosen


def _check_memory(image: Image, groups: Mapping[str, Group]) -> None:
    """Refuse an image that does not fit into the memory of this machine with what its descriptors need."""
    voxels = int(np.prod([float(n) for n in image.shape]))
    hungry = max(groups, key=lambda name: groups[name].work)
    needed, memory = voxels * (1 + groups[hungry].work), psutil.virtual_memory().total
    if needed > memory:
        raise InputError(
            f"{image.path}: {hungry} of shape {image.shape} needs {needed / 2**30:,.1f} GiB of memory; this machine "
            f"has {memory / 2**30:,.1f} GiB: choose other descriptors, measure a part, or use blocks"
        )


def _measured(volume: Volume, groups: Mapping[str, Group]) -> xr.Dataset:
    """Return the groups of descriptors of a volume as one dataset."""
    found: Variables = {}
    together = [name for name in groups if name in SUMMED] if not volume.is_planar else []
    if together:
        volume.announce(", ".join(together))
        found |= from_sums(summed(volume, together), together)
    for name, group in groups.items():
        if name not in together:
            volume.announce(name)
            found |= group.measure(volume)
    return _as_dataset(found, volume)


def _measured_planes(stack: Volume, groups: Mapping[str, Group]) -> xr.Dataset:
    each = []
    for number in range(len(stack.codes)):
        stack.announce(f"plane {number + 1} of {len(stack.codes)}")
        each.append(_measured(stack.window((slice(number, number + 1),)), groups))
    joined = xr.concat(each, "plane", combine_attrs="override", join="exact")
    return joined.assign_coords(plane=("plane", np.arange(len(each)), _COORDINATES["plane"]))


def _as_dataset(found: Variables, volume: Volume) -> xr.Dataset:
    phases = volume.phases
    coordinates: dict[str, Any] = {
        "phase": list(phases.codes),
        "interface": [" / ".join(pair) for pair in phases.pairs],
        "triple": [" / ".join(triple) for triple in phases.triples],
        "contact": [" > ".join(pair) for pair in phases.ordered_pairs],
        "conduction": list(problems(volume)),
        "fluid": list(volume.choices.fluid),
        "axis": volume.axis_names,
        "lag_nm": lag_lengths(volume.lags, (FAR, *volume.edges[1:]) if volume.is_planar else volume.edges),
        "radius_nm": volume.radii_nm,
        "length_nm": volume.lengths_nm,
    }
    kept = {name: variable for name, variable in found.items() if variable[1].size}
    used = {dim for dims, _, _ in kept.values() for dim in dims}
    return xr.Dataset(
        kept, {name: (name, values, _COORDINATES[name]) for name, values in coordinates.items() if name in used}
    )


# ---- In blocks -----------------------------------------------------------------------------------------------


def _in_blocks(
    image: Image, phases: Phases, choices: Choices, groups: Mapping[str, Group], edge: int,
    spread: Callable[..., Iterable[Any]],
) -> xr.Dataset:  # fmt: skip
    names = [name for name in groups if name in SUMMED]
    empty = Volume(np.empty(image.shape, np.uint8), phases, image.voxel_size_nm, False, choices)
    wanted = Wanted(phases, image.voxel_size_nm, empty.lags if "coverage" in names else None, "interfaces" in names)
    starts = product(*(range(0, n, edge) for n in image.shape))
    total: dict[str, np.ndarray] = {}
    for sums in spread(partial(_block_sums, image, wanted, edge), list(starts)):
        total = added(total, sums)
    return _as_dataset(from_sums(Summed(wanted, total), names), empty)


def _block_sums(image: Image, wanted: Wanted, edge: int, start: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the sums of the block that begins at a voxel."""
    reach = wanted.reach()
    stop = [min(first + edge, n) for first, n in zip(start, image.shape, strict=True)]
    box = [
        slice(max(0, first - r), min(last + r, n))
        for first, last, r, n in zip(start, stop, reach, image.shape, strict=True)
    ]
    window = wanted.phases.encode(image.read(*box))
    core = tuple(slice(first - b.start, last - b.start) for first, last, b in zip(start, stop, box, strict=True))
    return sums_of(wanted, window, core)


def _about(image: Image, phases: Phases, choices: Choices, is_planar: bool) -> dict[str, Any]:
    first = 1 if is_planar else 0
    named = {name: [phases.values[code] for code in codes] for name, codes in phases.codes.items()}
    about = {
        "image": in_utf8(image.path.name),
        "shape": list(image.shape[first:]),
        "voxel_size_nm": list(image.voxel_size_nm[first:]),
        "phases": json.dumps(named),
        "periodic": int(choices.periodic),
        "nmcdist_version": __version__,
    }
    return about | ({"conductivity": json.dumps(choices.conductivity)} if choices.conductivity else {})
