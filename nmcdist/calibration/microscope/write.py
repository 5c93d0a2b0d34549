"""Phantoms in files: the image, the truth beside it, and a JSON file that says how they were made."""

import dataclasses
import json
import math
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.calibration.fibsem.tiff import write_planes, write_stack
from nmcdist.calibration.microscope.packing import pack
from nmcdist.calibration.microscope.sections import drifts_px, fib_sem_slice, needed_shape
from nmcdist.calibration.microscope.settings import FIB_SEM, NANO_CT, FibSem
from nmcdist.calibration.microscope.tomogram import nano_ct
from nmcdist.calibration.spread import Spread
from nmcdist.datasets.files import write_text
from nmcdist.models.cba import generate_cba

IMAGE, TRUTH, ABOUT = "image.tif", "truth.tif", "phantom.json"
_MOST_SLICES = 16  # of a piece of work
_PIECE_BYTES = 800_000_000
_BASE_BYTES, _BYTES_PER_VOXEL = 250_000_000, 4  # that a piece needs, by the voxels of its structure, measured
Shape = tuple[int, int, int]


def write_fib_sem(
    bundle: Bundle, out: Path, setting: str, shape: Shape, pixel_nm: float, seed: int, bits: int = 8,
    spread: Spread = map,
) -> None:  # fmt: skip
    """Write a virtual FIB-SEM stack of a realisation, its labels without drift, and the drift, piece by piece.

    Parameters
    ----------
    bundle : Bundle
        Of model "cba".
    out : Path
        An existing folder.
    setting : str
        A name in :data:`FIB_SEM`.
    shape : tuple of int
        Slices, rows and columns of the stack.
    pixel_nm : float
        Size of a pixel; slices are twice as thick.
    seed : int
        Of the realisation and of the image.
    bits : 8, 16 or 32
        Of a grey value; 32 are those of float32.
    spread : callable
        Applies a function to items as `map` does, in order.

    Raises
    ------
    BundleError, InputError
        If the bundle is of another model, or an argument is impossible.
    """
    settings = FIB_SEM[setting]
    drift = drifts_px(shape[0], settings, seed)
    count = _slices(settings, shape)
    piece = partial(_fib_sem_piece, bundle, settings, shape, pixel_nm, seed, bits, drift, count)
    size = (settings.pixels_per_slice * pixel_nm, pixel_nm, pixel_nm)
    with tempfile.TemporaryFile(dir=out) as aside:  # labels wait here: two TIFF files are not written at a time
        planes = _set_aside(spread(piece, range(0, shape[0], count)), aside)
        write_planes(out / IMAGE, planes, shape, np.dtype("float32" if bits == 32 else f"uint{bits}"), size)
        aside.flush()
        labels = np.memmap(aside, np.uint8, "r", shape=shape)
        write_planes(out / TRUTH, labels, shape, labels.dtype, size)
    _write_about(out, bundle, setting, settings, shape, size, seed, drift_px=drift.round(6).tolist())


def pieces_of(setting: str, shape: Shape) -> tuple[int, int]:
    """Return the bytes that a piece of a virtual FIB-SEM stack needs, and the number of pieces."""
    count = _slices(FIB_SEM[setting], shape)
    return _bytes(FIB_SEM[setting], shape, count), -(-shape[0] // count)


def _bytes(settings: FibSem, shape: Shape, count: int) -> int:
    return _BASE_BYTES + _BYTES_PER_VOXEL * math.prod(needed_shape((count, *shape[1:]), settings))


def _slices(settings: FibSem, shape: Shape) -> int:
    """Return the slices of a piece: as many as fit, at least one."""
    most = min(_MOST_SLICES, shape[0])
    return next((n for n in range(most, 1, -1) if _bytes(settings, shape, n) <= _PIECE_BYTES), 1)


def _set_aside(parts: Iterable[tuple[np.ndarray, np.ndarray]], file: BinaryIO) -> Iterator[np.ndarray]:
    """Yield grey planes, and write those of the labels to a file."""
    for grey, labels in parts:
        file.write(np.ascontiguousarray(labels).data)
        yield from grey


def _fib_sem_piece(
    bundle: Bundle, settings: FibSem, shape: Shape, pixel_nm: float, seed: int, bits: int, drift: np.ndarray,
    most: int, first: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return slices [first, first + most) of the stack, and their labels."""
    count, step, rim = min(most, shape[0] - first), settings.pixels_per_slice, settings.margin_px
    window = needed_shape((count, *shape[1:]), settings)
    labels = generate_cba(bundle, window, pixel_nm, seed, origin=(first * step, -rim, -rim))
    grey = [
        fib_sem_slice(
            labels[step * k : step * k + settings.depth_px], first + k, drift[first + k], settings, seed, bits
        )
        for k in range(count)
    ]
    return np.stack(grey), labels[: step * count : step, rim : rim + shape[1], rim : rim + shape[2]]


def write_nano_ct(
    bundle: Bundle, out: Path, setting: str, shape: Shape, voxel_size_nm: float, seed: int, share: float,
    gap: float = 0.0,
) -> None:  # fmt: skip
    """Write a virtual nano-CT image of a packing of shells, the label of each particle, and their list.

    Parameters
    ----------
    bundle : Bundle
        A particle bundle.
    out : Path
        An existing folder.
    setting : str
        A name in :data:`NANO_CT`.
    shape : tuple of int
    voxel_size_nm : float
    seed : int
        Of the shells, the packing and the image.
    share : float
        Share of the window, see :func:`pack`.
    gap : float
        Between particles in voxels, see :func:`pack`.

    Raises
    ------
    BundleError, InputError
        If the bundle is of another model, or an argument is impossible.
    PlanError
        If the image or a particle does not fit into memory.
    """
    packing = pack(bundle, shape, voxel_size_nm, seed, share, gap)
    size = (voxel_size_nm,) * 3
    write_stack(out / IMAGE, nano_ct(packing.labels, NANO_CT[setting], seed), size)
    write_stack(out / TRUTH, packing.labels.astype(np.uint16), size)
    _write_about(
        out, bundle, setting, NANO_CT[setting], shape, size, seed, gap_px=gap, dropped=packing.dropped,
        solid_share=round(float((packing.labels > 0).mean()), 6),
        particles=[{"label": k + 1, "item": item, "centre_px": centre.round(4).tolist()}
                   for k, (item, centre) in enumerate(zip(packing.items, packing.centres_px, strict=True))],
    )  # fmt: skip


def _write_about(
    out: Path,
    bundle: Bundle,
    setting: str,
    settings: Any,
    shape: Shape,
    size: tuple[float, ...],
    seed: int,
    **more: Any,
) -> None:
    about = {
        "bundle": {"name": bundle.name, "sha256": bundle.content_hash}, "setting": setting,
        "settings": dataclasses.asdict(settings), "shape": list(shape), "voxel_size_nm": list(size),
        "seed": seed, **more,
    }  # fmt: skip
    write_text(out / ABOUT, json.dumps(about, indent=1) + "\n")
