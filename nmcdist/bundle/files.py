"""Bundles on disk: a folder with ``bundle.json`` and, if the model has arrays, ``arrays.safetensors``."""

import contextlib
import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

from nmcdist.bundle.schema import SCHEMA_VERSION, Bundle, validated
from nmcdist.errors import BundleError
from nmcdist.faults import proposal
from nmcdist.inputs import existing_folder, local_path, ordinary_file
from nmcdist.json_text import load_json
from nmcdist.wording import shown

_BUILTIN = Path(__file__).parent / "builtin"
_JSON = "bundle.json"
_ARRAYS = "arrays.safetensors"
BUNDLE_FILES = {_JSON, _ARRAYS}
_TYPES = {"float32": "F32", "float64": "F64"}  # names in safetensors
JSON_LIMIT = 16 << 20  # bytes
HEADER_LIMIT = 1 << 20  # bytes of the header of the arrays' file


def list_bundles() -> list[str]:
    """Return the names of the built-in bundles."""
    return sorted(path.parent.name for path in _BUILTIN.glob(f"*/{_JSON}"))


def load_bundle(name_or_path: str | Path) -> Bundle:
    """Load a bundle, built-in or from a folder, with its arrays, and check it completely.

    Parameters
    ----------
    name_or_path : str or Path
        A built-in name (see :func:`list_bundles`) or the path of a bundle folder.

    Returns
    -------
    Bundle

    Raises
    ------
    BundleError
        If it is unknown, unreadable, incomplete, of another schema version, or fails its digests.
    """
    return _read(_folder(name_or_path))


def resolved(bundle: Bundle | str | Path) -> Bundle:
    """Return a bundle given as an object, a built-in name, or a path; BundleError as in loading."""
    return bundle if isinstance(bundle, Bundle) else load_bundle(bundle)


def save_bundle(bundle: Bundle, folder: str | Path, arrays: Mapping[str, np.ndarray] | None = None) -> Path:
    """Write a bundle as a new folder, with its own arrays unless others are given; a failure leaves nothing.

    Raises
    ------
    BundleError
        If the folder exists, or the arrays do not match the bundle's records.
    """
    folder = local_path(folder, BundleError)
    carried = bundle.with_arrays(bundle.arrays if arrays is None else arrays, str(folder)).arrays
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise BundleError(f"{folder}: already exists, expected a new folder for the bundle") from None
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written ({error.strerror})") from None
    try:
        _write(bundle, carried, folder)
    except BaseException:  # a full disk, for example: the folder is free for the next attempt
        for name in (_ARRAYS, _JSON):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise
    return folder


def _write(bundle: Bundle, arrays: Mapping[str, np.ndarray], folder: Path) -> None:
    from safetensors.numpy import save

    if arrays:
        # Not with its save_file, which makes files that only their owner can read.
        (folder / _ARRAYS).write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    content = {**bundle.model_dump(by_alias=True, mode="json"), "content_hash": bundle.content_hash}
    (folder / _JSON).write_text(json.dumps(content, indent=2) + "\n")


def _folder(name_or_path: str | Path) -> Path:
    if isinstance(name_or_path, str) and name_or_path in list_bundles():
        return _BUILTIN / name_or_path
    path = local_path(name_or_path, BundleError)
    try:
        if path.is_dir():
            inside = path / "bundle"  # where trainings and calibrations leave it
            if not (path / _JSON).exists() and (inside / _JSON).exists():
                raise BundleError(f"{path}: is no bundle, but holds one; expected {inside}")
            return path
        if path.name == _JSON and path.is_file():
            return path.parent
        if os.path.lexists(path):
            return existing_folder(path, BundleError)
    except OSError as error:  # an overlong path
        raise BundleError(f"bundle {shown(str(path))}: cannot be read ({error.strerror})") from None
    raise BundleError(
        f"bundle {str(path)!r}: found neither a built-in bundle nor a folder{proposal(str(path), list_bundles())}"
    )


def _read(folder: Path) -> Bundle:
    path = folder / _JSON
    content = load_json(path, BundleError, JSON_LIMIT)
    version = content.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise BundleError(f"{path}: found schema_version {shown(version)}, expected {SCHEMA_VERSION}")
    recorded = content.pop("content_hash", None)
    bundle = validated(content, str(path))
    if recorded != bundle.content_hash:
        raise BundleError(f"{path}: content_hash is {shown(recorded)}, but the content gives {bundle.content_hash!r}")
    return bundle.with_arrays(_read_arrays(folder, bundle), str(folder / _ARRAYS))


def _read_arrays(folder: Path, bundle: Bundle) -> dict[str, np.ndarray]:
    """Read the arrays of a bundle, after checking names, types and shapes against its records."""
    from safetensors import SafetensorError, safe_open

    records = bundle.array_records
    if not records:
        return {}
    path = ordinary_file(folder / _ARRAYS, BundleError)
    expected = sum(prod(record.shape) * np.dtype(record.dtype).itemsize for record in records.values())
    size = path.stat().st_size
    if not expected <= size <= expected + HEADER_LIMIT:
        raise BundleError(f"{path}: has {size} bytes, expected {expected} of arrays and a header")
    try:
        with safe_open(path, framework="numpy") as file:
            names = sorted(file.keys())
            if names != sorted(records):
                raise BundleError(f"{path}: found arrays {names[:20]}, expected {sorted(records)}")
            for name, record in records.items():
                part = file.get_slice(name)
                found, shape = part.get_dtype(), tuple(part.get_shape())
                if (found, shape) != (_TYPES[record.dtype], record.shape):
                    raise BundleError(
                        f"{path}: array {name!r} is {found} {shape}, expected {_TYPES[record.dtype]} {record.shape}"
                    )
            return {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path}: cannot be read ({error})") from None
