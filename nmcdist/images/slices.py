"""Folders of slices, one file each: TIFF files, or pictures such as PNG."""

import re
from pathlib import Path

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.extras import need
from nmcdist.images import decoded, tiff
from nmcdist.images.said import Said
from nmcdist.images.sources import Source, Stack, reading

SUFFIXES = (*tiff.SUFFIXES, *decoded.PICTURES)
_NUMBER = re.compile(r"(\d+)\D*$")


def read_slice(where: Path) -> np.ndarray:
    """Return what the file of a single slice holds.

    Raises
    ------
    ImageError
        If it is damaged, or a picture with colours.
    MissingPackageError
        If it is a picture, and the extra that reads pictures is missing.
    """
    with reading(where):
        if where.suffix.lower() in tiff.SUFFIXES:
            return tiff.read_slice(where)
    need("images", f"reading {where.name}")
    with reading(where):
        return decoded.read_picture(where)


def number_in(name: str) -> int | None:
    """Return the last number in the name of a slice, without its suffix; None if there is none."""
    found = _NUMBER.search(Path(name).stem)
    return int(found[1]) if found else None


def open_slices(where: Path) -> tuple[Source, Said]:
    """Open a folder of slices, in the order of the last numbers in their names; TIFF files, or else pictures.

    Raises
    ------
    ImageError
        If a slice is missing, repeated or damaged, or there are fewer than two.
    MissingPackageError
        If they are pictures, and the extra that reads pictures is missing.
    """
    names = [path.name for path in where.iterdir() if path.is_file() and not path.name.startswith(".")]
    files = _with(tiff.SUFFIXES, names) or _with(decoded.PICTURES, names)
    if len(files) < 2:
        raise ImageError(
            f"{where}: found {len(files)} slices, expected a TIFF file, a folder of TIFF or PNG slices, or Zarr"
        )
    ordered = _in_order(where, files)
    first = read_slice(where / ordered[0])
    if first.ndim != 2:
        raise ImageError(f"{where / ordered[0]}: found shape {first.shape}, expected a grey image of two dimensions")
    return Stack(where, (len(ordered), *first.shape), first.dtype, ordered, read_slice), Said("zyx")


def _with(suffixes: tuple[str, ...], names: list[str]) -> list[str]:
    return sorted(name for name in names if Path(name).suffix.lower() in suffixes)


def _in_order(where: Path, files: list[str]) -> tuple[str, ...]:
    numbers: dict[int, str] = {}
    for name in files:
        number = number_in(name)
        if number is None:
            raise ImageError(f"{where / name}: expected a number in the name, which gives the order of the slices")
        if number in numbers:
            raise ImageError(
                f"{where / name}: the last number of its name is that of {numbers[number]}: a slice is repeated"
            )
        numbers[number] = name
    ordered = sorted(numbers)
    steps = np.diff(ordered)
    for before, after, step in zip(ordered, ordered[1:], steps, strict=False):
        if step != steps.min():
            raise ImageError(f"{where}: no slice between {numbers[before]} and {numbers[after]}: one is missing")
    return tuple(numbers[number] for number in ordered)
