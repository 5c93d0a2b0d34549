"""What is refined: the volumes of a finished store, or an image of labels; either is read in boxes."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.datasets.integrity import manifest_hash, read_manifest
from nmcdist.datasets.layout import Box, Shape
from nmcdist.datasets.published import store_in
from nmcdist.datasets.store import MANIFEST, is_virtual, read_attributes
from nmcdist.datasets.volumes import Volumes
from nmcdist.errors import ImageError, InputError, StoreError
from nmcdist.images import Image, open_image
from nmcdist.inputs import local_path
from nmcdist.measurement.phases import labels_in, labels_of, slabs
from nmcdist.wording import shown

Phases = dict[str, tuple[int, ...]]  # labels of each phase, by its name


@dataclass(frozen=True)
class Source:
    """Volumes of labels.

    Attributes
    ----------
    path : Path
    count : int
        Number of volumes.
    shape : tuple of int
        Voxels of each along z, y, x.
    voxel_size_nm : float
        Edge of a voxel.
    content : Volumes or Image
        Volumes of a store, or an image.
    """

    path: Path
    count: int
    shape: Shape
    voxel_size_nm: float
    content: Volumes | Image

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the manifest of a store; of an image, of its type, shape and voxels."""
        if isinstance(self.content, Volumes):
            return manifest_hash(self.path)
        found = hashlib.sha256(f"{self.content.dtype.str} {self.content.shape}".encode())
        for slab in slabs(self.content):
            found.update(np.ascontiguousarray(slab).data)
        return found.hexdigest()

    def read(self, item: int, box: Box) -> np.ndarray:
        """Return the labels of a box of a volume; StoreError or ImageError if its bytes are damaged."""
        if isinstance(self.content, Volumes):
            return self.content.block(item, box)
        return self.content.read(*(slice(*span) for span in box))


def is_store(path: Path) -> bool:
    """Return whether a path is that of a store of this package, or of a release."""
    try:
        read_attributes(store_in(path))
    except StoreError:
        return False
    return True


def open_source(path: Path, voxel_size_nm: Any = None, axes: str | None = None) -> Source:
    """Open the volumes of a finished store, or an image of labels; only metadata is read.

    Parameters
    ----------
    path : Path
        A store, a TIFF file, a folder of TIFF or PNG slices, a .npy file, or a Zarr or OME-Zarr array.
    voxel_size_nm, axes
        Of an image: see :func:`nmcdist.images.open_image`.

    Raises
    ------
    StoreError
        If the store is damaged, was never finished, holds no volumes, or is virtual.
    ImageError
        If the image cannot be read, or its voxels are not cubes.
    InputError
        If a voxel size or axes are given for a store.
    """
    path = local_path(path)
    if is_store(path) or (path / MANIFEST).is_file():
        store = store_in(path)
        read_attributes(store)  # says what is damaged in a store that was finished
        if voxel_size_nm is not None or axes is not None:
            raise InputError(f"{store}: is a store, which says its voxel size and axes; expected neither for it")
        if is_virtual(store):
            raise StoreError(f"{store}: is a virtual store, expected a finished one: `nmcdist run` makes it")
        read_manifest(store)  # refuses a store that was never finished
        volumes = Volumes.of(store)
        return Source(store, volumes.count, volumes.shape, volumes.voxel_size_nm, volumes)
    image = open_image(path, voxel_size_nm, axes)
    z, y, x = image.voxel_size_nm
    if not (math.isclose(z, y, rel_tol=1e-6) and math.isclose(z, x, rel_tol=1e-6)):
        raise ImageError(f"{path}: found voxels of {z:g} x {y:g} x {x:g} nm, expected cubes")
    return Source(image.path, 1, image.shape, z, image)


def phases_of(source: Source, names: Sequence[str], given: Mapping[str, Any] | None) -> Phases:
    """Return the labels of the source that each phase consists of, after a check that every label has a phase.

    Parameters
    ----------
    source : Source
    names : sequence of str
        Phases that can be refined.
    given : mapping of str to int or list of int, or None
        Labels by phase, for an image or in place of the names that a store says.

    Raises
    ------
    InputError
        If a phase is not among the names, a label belongs to none or to two, or an image comes without phases.
    """
    expected = ", ".join(names)
    if given is not None:
        labels = labels_of(given)
    elif isinstance(source.content, Volumes):
        labels = {name: (value,) for value, name in source.content.names.items()}
    else:
        raise InputError(f"{source.path}: found no names of its labels: give them (--phases), of {expected}")
    if strange := [name for name in labels if name not in names]:
        raise InputError(f"{source.path}: phases: found {shown(strange[0])}, which the net does not know: {expected}")
    held = [value for values in labels.values() for value in values]
    if len(set(held)) < len(held):
        twice = next(value for value in held if held.count(value) > 1)
        raise InputError(f"{source.path}: phases: found label {twice} twice, expected each label once")
    present = labels_in(source.content) if isinstance(source.content, Image) else source.content.names
    if unknown := [value for value in present if value not in held]:
        raise InputError(f"{source.path}: phases: label {unknown[0]} has no name: add NAME={unknown[0]}")
    return labels


def as_phases(labels: np.ndarray, phases: Mapping[str, Sequence[int]], names: Sequence[str]) -> np.ndarray:
    """Return labels as numbers of the names, uint8; InputError if one belongs to no phase."""
    found = np.full(labels.shape, len(names), np.uint8)
    for name, values in phases.items():
        for value in values:
            found[labels == value] = names.index(name)
    if (found == len(names)).any():
        raise InputError(f"phases: found label {labels[found == len(names)][0]:g}, expected one of {dict(phases)}")
    return found
