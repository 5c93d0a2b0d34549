"""Reads groups of an untrusted HDF5 file: nothing outside the file, and nothing larger than declared."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.calibration.ebsd.text import Field
from nmcdist.errors import ImageError

if TYPE_CHECKING:
    import h5py

_MOST_LINKS = 8  # links followed one after another
_LONGEST_TEXT = 1 << 16  # bytes
_LONGEST_RECORD = 512  # bytes
_LARGEST_CHUNK = 1 << 26  # bytes, for a chunk larger than its dataset


class Group:
    """A group of an HDF5 file; errors name missing or misshapen datasets.

    Links to other files are never followed: the target may be any file, or a pipe.
    """

    def __init__(self, path: Path, node: "h5py.Group") -> None:
        self.path, self.node = path, node

    @property
    def name(self) -> str:
        """Return the path of the group in the file."""
        return str(self.node.name).strip("/")

    def where(self, name: str = "") -> str:
        """Name the file and the dataset, or the group."""
        return f"{self.path}: " + f"{self.node.name}/{name}".strip("/")

    def has(self, name: str) -> bool:
        """Return whether an object of this name exists."""
        return self._find(name) is not None

    def is_group(self, name: str) -> bool:
        """Return whether a group of this name exists."""
        return hasattr(self._find(name), "items")

    def first(self, *names: str) -> str:
        """Return the first of these names that exists, else the first name."""
        return next((name for name in names if self.has(name)), names[0])

    def group(self, name: str) -> "Group":
        """Return a group inside this one."""
        node = self._find(name)
        if not hasattr(node, "items"):
            raise ImageError(f"{self.where(name)} is missing")
        return Group(self.path, node)

    def array(self, name: str, *shape: int) -> np.ndarray:
        """Return a dataset as numbers of this shape."""
        data = self._dataset(name)
        if data.dtype.kind not in "iufb":
            raise ImageError(f"{self.where(name)} holds {_kind(data.dtype)}, expected numbers")
        if data.size != math.prod(shape):
            raise ImageError(f"{self.where(name)} has shape {data.shape}, expected {shape} numbers")
        self._check_stored(name, data)
        return np.asarray(data[()]).reshape(shape).astype(np.float64)

    def records(self, name: str, size: int) -> np.ndarray:
        """Return a dataset of this many records with several fields."""
        data = self._dataset(name)
        if data.size != size or data.dtype.itemsize > _LONGEST_RECORD:
            found = f"{data.size} entries of {data.dtype.itemsize} bytes"
            raise ImageError(f"{self.where(name)} has {found}, expected {size} of at most {_LONGEST_RECORD} bytes")
        self._check_stored(name, data)
        return np.asarray(data[()]).reshape(size)

    def optional(self, name: str, size: int) -> np.ndarray:
        """Return a dataset as an array of numbers; NaN if the dataset does not exist."""
        return self.array(name, size) if self.has(name) else np.full(size, np.nan)

    def count(self, name: str) -> int:
        """Return the number of entries of a dataset."""
        return int(self._dataset(name).size)

    def whole(self, name: str) -> int:
        """Return a positive whole number."""
        return Field(self.where(name), name, f"{self.array(name, 1)[0]:.0f}").whole()

    def positive(self, name: str) -> float:
        """Return a positive number."""
        return Field(self.where(name), name, str(self.array(name, 1)[0])).positive()

    def text(self, name: str) -> str:
        """Return a text from a dataset of one entry."""
        data = self._dataset(name)
        if data.size != 1 or data.dtype.itemsize > _LONGEST_TEXT:
            raise ImageError(f"{self.where(name)} has {data.size} entries of {data.dtype.itemsize} bytes, expected 1")
        value: Any = np.ravel(data[()])[0]
        return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip("\0 ")

    def numbered(self, name: str) -> dict[int, "Group"]:
        """Return the numbered groups inside a group, in order."""
        inside = self.group(name)
        numbered = {int(key): inside.group(key) for key in inside.node if key.isdecimal() and inside.is_group(key)}
        if not numbered:
            raise ImageError(f"{self.where(name)} holds no phase, expected 1")
        return dict(sorted(numbered.items()))

    def walk(self, outside: list[str]) -> Iterator["Group"]:
        """Visit this group and all groups within it once; `outside` receives the names of links to other files."""
        import h5py

        stack, seen = [self], set()
        while stack:
            group = stack.pop()
            address = h5py.h5o.get_info(group.node.id).addr
            if address in seen:
                continue
            seen.add(address)
            yield group
            for key in group.node:
                if group._leads_outside(key):
                    outside.append(group.where(key))
                elif group.is_group(key):
                    stack.append(group.group(key))

    def _leads_outside(self, key: str) -> bool:
        import h5py

        kind = self.node.id.links.get_info(_bytes(key)).type
        return kind not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT)

    def _dataset(self, name: str) -> "h5py.Dataset":
        node = self._find(name)
        # The size of a dataset without an array, even an empty one, is None.
        if getattr(node, "size", None) is None:
            raise ImageError(f"{self.where(name)} is missing")
        return node

    def _find(self, name: str, hops: int = _MOST_LINKS) -> Any:
        """Return the object at a path below this group, or None, without leaving the file."""
        import h5py

        node: Any = self.node
        parts = [part for part in name.split("/") if part not in ("", ".")]
        for k, part in enumerate(parts):
            key = _bytes(part)
            if not isinstance(node, h5py.Group) or not node.id.links.exists(key):
                return None
            if Group(self.path, node)._leads_outside(part):
                link = self.where("/".join(parts[: k + 1]))
                raise ImageError(f"{link} is a link to another file, expected data in the file itself")
            if node.id.links.get_info(key).type == h5py.h5l.TYPE_HARD:
                node = node[part]
                continue
            target = node.id.links.get_val(key).decode("utf-8", "surrogateescape")
            if not hops:
                raise ImageError(f"{self.where(name)} is a circular link, expected data")
            base = Group(self.path, node.file if target.startswith("/") else node)
            return base._find("/".join([target, *parts[k + 1 :]]), hops - 1)
        return node

    def _check_stored(self, name: str, data: "h5py.Dataset") -> None:
        """Check that a dataset is completely in the file: a few bytes can declare any number of fill values."""
        if data.external or data.is_virtual:
            raise ImageError(f"{self.where(name)} is stored in another file, expected data in the file itself")
        if data.chunks is None:
            found, wanted, unit = data.id.get_storage_size(), data.nbytes, "bytes"
        else:
            found, unit = data.id.get_num_chunks(), "chunks"
            wanted = math.prod(-(-size // chunk) for size, chunk in zip(data.shape, data.chunks, strict=True))
            chunk_bytes = math.prod(data.chunks) * data.dtype.itemsize
            if chunk_bytes > max(data.nbytes, _LARGEST_CHUNK):
                raise ImageError(f"{self.where(name)} has chunks of {chunk_bytes} bytes, expected {data.nbytes}")
        if found < wanted:
            raise ImageError(f"{self.where(name)} has {found} of its {wanted} {unit}, expected all of them")


def _kind(dtype: np.dtype) -> str:
    """Return in words the content of a dataset that does not hold real numbers."""
    import h5py

    if h5py.check_string_dtype(dtype) is not None:
        return "text"
    return {"V": "records", "c": "complex numbers"}.get(dtype.kind, f"values of type {dtype}")


def _bytes(name: str) -> bytes:
    """Return a name as stored in the file."""
    return name.encode("utf-8", "surrogateescape")
