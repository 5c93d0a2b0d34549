"""MetaImage files, as ITK, SimpleITK and 3D Slicer write them: lines of a header, and voxels after it or beside it.

VTK also reads them, but overwrites its memory where the voxels have eight bytes, as labels of SimpleITK often have.
"""

import math
import zlib
from pathlib import Path

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.images.said import Said, is_turned, whole_shape
from nmcdist.images.sources import Decoded, Source, reading
from nmcdist.inputs import ordinary_file

SUFFIXES = (".mhd", ".mha")
_HEADER_BYTES = 1 << 16
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")  # names of the same field
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip


def open_meta(where: Path) -> tuple[Source, Said]:
    """Open a MetaImage; ImageError if it is damaged, or has several values per voxel."""
    with reading(where):
        fields, shape, dtype, _ = _header(where)
        found = next((fields[name] for name in _DIRECTIONS if name in fields), None)
        turned = found is not None and is_turned(np.reshape(np.array(found.split(), float), (len(shape), -1)))
    said = Said("zyx"[-len(shape) :], is_planar=len(shape) == 2, is_turned=turned)
    return Decoded(where, whole_shape(shape, where), dtype, _read), said


def _header(where: Path) -> tuple[dict[str, str], tuple[int, ...], np.dtype, int]:
    """Return the fields, the shape, the type of the voxels, and the bytes of the header."""
    fields: dict[str, str] = {}
    with where.open("rb") as file:
        while "ElementDataFile" not in fields:
            line = file.readline(_HEADER_BYTES).decode("ascii", "replace")
            key, equals, value = line.partition("=")
            if not equals or file.tell() > _HEADER_BYTES:
                raise ImageError(f"{where}: cannot be read (its header does not end with ElementDataFile)")
            fields[key.strip()] = value.strip()
        size = file.tell()
    kind, channels = fields.get("ElementType", ""), fields.get("ElementNumberOfChannels", "1")
    if kind not in _TYPES:
        raise ImageError(f"{where}: found the ElementType {kind!r}, expected one of {', '.join(_TYPES)}")
    if channels != "1":
        raise ImageError(f"{where}: found {channels} values per voxel, expected one")
    shape = tuple(int(n) for n in reversed(fields["DimSize"].split()))
    is_big = "true" in (fields.get(f"{name}ByteOrderMSB", "").lower() for name in ("BinaryData", "Element"))
    return fields, shape, np.dtype(_TYPES[kind]).newbyteorder(">" if is_big else "<"), size


def _read(where: Path, dataset: str) -> np.ndarray:
    fields, shape, dtype, start = _header(where)
    name = fields["ElementDataFile"]
    if name.split()[0] == "LIST" or "%" in name or fields.get("BinaryData", "True").lower() != "true":
        raise ImageError(f"{where}: found voxels in several files or as text, expected one file of bytes")
    expected = math.prod(shape) * dtype.itemsize
    source = where if name == "LOCAL" else ordinary_file(where.parent / name, ImageError)
    start = start if name == "LOCAL" else int(fields.get("HeaderSize", 0))
    start = source.stat().st_size - expected if start < 0 else start  # -1: the voxels are at the end
    if fields.get("CompressedData", "").lower() == "true":
        found = zlib.decompressobj().decompress(source.read_bytes()[start:], expected + 1)
        if len(found) == expected:
            return np.frombuffer(found, dtype).reshape(shape)
        raise ImageError(f"{source}: found other than the {expected} bytes of shape {shape} and type {dtype}")
    if source.stat().st_size - start != expected:
        found_bytes = source.stat().st_size - start
        raise ImageError(f"{source}: found {found_bytes} bytes, expected {expected} of shape {shape}, type {dtype}")
    return np.memmap(source, dtype, "r", start, shape)
