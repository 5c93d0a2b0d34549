"""Bundles on disk: a folder with ``bundle.json`` and, where the model has arrays, ``arrays.safetensors``."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nmcdist.bundle.schema import SCHEMA_VERSION, Bundle, validated
from nmcdist.errors import BundleError
from nmcdist.inputs import local_path

_BUILTIN = Path(__file__).parent / "builtin"
_JSON = "bundle.json"
_ARRAYS = "arrays.safetensors"
BUNDLE_FILES = {_JSON, _ARRAYS}


def list_bundles() -> list[str]:
    """Return the names of the built-in bundles."""
    return sorted(path.parent.name for path in _BUILTIN.glob(f"*/{_JSON}"))


def load_bundle(name_or_path: str | Path) -> Bundle:
    """Load a bundle, built in or from a folder, with its arrays, and check it whole.

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
        If it is unknown, unreadable, of another schema version, incomplete, or fails its digests.
    """
    return _read(_folder(name_or_path))


def save_bundle(bundle: Bundle, folder: str | Path, arrays: Mapping[str, np.ndarray] | None = None) -> Path:
    """Write a bundle as a new folder, with the arrays that it carries unless others are given.

    Raises
    ------
    BundleError
        If the folder exists, or the arrays are not those that the bundle describes.
    """
    from safetensors.numpy import save

    folder = local_path(folder, BundleError)
    carried = bundle.with_arrays(bundle.arrays if arrays is None else arrays, str(folder)).arrays
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise BundleError(f"{folder}: exists already, expected a new folder for the bundle") from None
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written ({error.strerror})") from None
    if carried:
        # Not by its save_file, whose files only their owner may read.
        (folder / _ARRAYS).write_bytes(save({name: np.ascontiguousarray(array) for name, array in carried.items()}))
    content = {**bundle.model_dump(by_alias=True, mode="json"), "content_hash": bundle.content_hash}
    (folder / _JSON).write_text(json.dumps(content, indent=2) + "\n")
    return folder


def _folder(name_or_path: str | Path) -> Path:
    if isinstance(name_or_path, str) and name_or_path in list_bundles():
        return _BUILTIN / name_or_path
    path = local_path(name_or_path, BundleError)
    if path.is_dir():
        return path
    if path.name == _JSON and path.is_file():
        return path.parent
    raise BundleError(
        f"bundle {str(name_or_path)!r}: found neither a built-in bundle nor a folder; built in are "
        + ", ".join(list_bundles())
    )


def _read(folder: Path) -> Bundle:
    path = folder / _JSON
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise BundleError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(content, dict):
        raise BundleError(f"{path}: found {type(content).__name__}, expected a JSON object")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BundleError(f"{path}: found schema_version {version!r}, expected {SCHEMA_VERSION}")
    recorded = content.pop("content_hash", None)
    bundle = validated(content, str(path))
    if recorded != bundle.content_hash:
        raise BundleError(f"{path}: content_hash is {recorded!r}, but the content gives {bundle.content_hash!r}")
    return bundle.with_arrays(_read_arrays(folder, bundle), str(folder / _ARRAYS))


def _read_arrays(folder: Path, bundle: Bundle) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / _ARRAYS
    if not bundle.array_records:
        return {}
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path}: cannot be read ({error})") from None
