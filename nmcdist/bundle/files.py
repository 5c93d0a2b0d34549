"""Bundles on disk: a folder with ``bundle.json`` and, where the model has arrays, ``arrays.safetensors``."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nmcdist.bundle.schema import SCHEMA_VERSION, Bundle, array_digest, validated
from nmcdist.errors import BundleError

_BUILTIN = Path(__file__).parent / "builtin"
_JSON = "bundle.json"
_ARRAYS = "arrays.safetensors"


def list_bundles() -> list[str]:
    """Return the names of the built-in bundles."""
    return sorted(path.parent.name for path in _BUILTIN.glob(f"*/{_JSON}"))


def load_bundle(name_or_path: str | Path) -> Bundle:
    """Load a bundle, built in or from a folder, and check it whole.

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


def load_arrays(name_or_path: str | Path) -> dict[str, np.ndarray]:
    """Load the arrays of a bundle after checking them against its description."""
    folder = _folder(name_or_path)
    return _read_arrays(folder, _read(folder))


def save_bundle(bundle: Bundle, folder: str | Path, arrays: Mapping[str, np.ndarray] | None = None) -> Path:
    """Write a bundle as a new folder.

    Raises
    ------
    BundleError
        If the folder exists, or the arrays are not those that the bundle describes.
    """
    from safetensors.numpy import save_file

    folder, arrays = Path(folder), dict(arrays or {})
    _check_arrays(bundle, arrays, str(folder))
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise BundleError(f"{folder}: exists already, expected a new folder for the bundle") from None
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written ({error.strerror})") from None
    if arrays:
        save_file(arrays, folder / _ARRAYS)
    content = {**bundle.model_dump(by_alias=True, mode="json"), "content_hash": bundle.content_hash}
    (folder / _JSON).write_text(json.dumps(content, indent=2) + "\n")
    return folder


def _folder(name_or_path: str | Path) -> Path:
    if isinstance(name_or_path, str) and name_or_path in list_bundles():
        return _BUILTIN / name_or_path
    path = Path(name_or_path)
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
    _read_arrays(folder, bundle)
    return bundle


def _read_arrays(folder: Path, bundle: Bundle) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / _ARRAYS
    if not bundle.arrays:
        return {}
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path}: cannot be read ({error})") from None
    _check_arrays(bundle, arrays, str(path))
    return arrays


def _check_arrays(bundle: Bundle, arrays: Mapping[str, np.ndarray], where: str) -> None:
    if set(arrays) != set(bundle.arrays):
        raise BundleError(f"{where}: found arrays {sorted(arrays)}, expected {sorted(bundle.arrays)}")
    for name, record in bundle.arrays.items():
        array = arrays[name]
        if array.shape != record.shape or str(array.dtype) != record.dtype:
            raise BundleError(
                f"{where}: array {name!r} is {array.dtype} {array.shape}, expected {record.dtype} {record.shape}"
            )
        if array_digest(array) != record.sha256:
            raise BundleError(f"{where}: array {name!r} does not match its sha256, expected {record.sha256}")
