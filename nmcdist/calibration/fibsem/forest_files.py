"""Forests on disk: a folder with ``forest.json`` and ``forest.safetensors``, never a pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.forest import Forest
from nmcdist.calibration.fibsem.votes import MOST_FEATURES
from nmcdist.errors import ImageError
from nmcdist.inputs import ordinary_file
from nmcdist.json_text import load_json

JSON, ARRAYS = "forest.json", "forest.safetensors"
_FORMAT = 1
_TYPES = {"roots": np.int32, "feature": np.int32, "threshold": np.float32, "child": np.int32, "shares": np.float32}


def save_forest(forest: Forest, folder: Path, about: dict[str, Any] | None = None) -> None:
    """Write a forest into an existing folder, with further facts for the reader."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(getattr(forest, name)) for name in _TYPES}
    (folder / ARRAYS).write_bytes(save(arrays))
    content = {"format": _FORMAT, "classes": forest.classes, "features": forest.features, "about": about or {}}
    (folder / JSON).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load_forest(folder: Path) -> Forest:
    """Read a forest.

    Raises
    ------
    ImageError
        If a file is missing or damaged, or is no forest of this format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = load_json(folder / JSON, ImageError)
    path = ordinary_file(folder / ARRAYS, ImageError)
    if type(content.get("format")) is not int or content["format"] != _FORMAT:
        raise ImageError(f"{folder / JSON}: found format {content.get('format')!r}, expected {_FORMAT}")
    try:
        found = load(path.read_bytes())
        arrays = {name: np.asarray(found[name], kind) for name, kind in _TYPES.items()}
        forest = Forest(tuple(map(int, content["classes"])), tuple(map(str, content["features"])), **arrays)
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise ImageError(f"{path}: cannot be read as a forest ({error})") from None
    if not _is_sound(forest):
        raise ImageError(f"{path}: holds nodes, shares or classes that are impossible, expected a forest")
    return forest


def _is_sound(forest: Forest) -> bool:
    """Return whether each step of each tree stays within the arrays and ends, at shares of known classes."""
    if any(array.ndim != 1 for array in (forest.feature, forest.threshold, forest.child, forest.roots)):
        return False
    nodes, inner = len(forest.feature), forest.feature >= 0
    same = forest.threshold.shape == forest.child.shape == (nodes,)
    if not same or forest.shares.ndim != 2 or forest.shares.shape[1] != len(forest.classes) or not len(forest.roots):
        return False
    labels, shares = forest.classes, forest.shares
    if list(labels) != sorted(set(labels)) or not labels or labels[0] < 1 or labels[-1] > 65535:
        return False
    if not (np.isfinite(forest.threshold).all() and (shares >= 0).all() and (abs(shares.sum(axis=1) - 1) < 1e-3).all()):
        return False
    child, leaf = forest.child[inner], forest.child[~inner]
    return bool(
        forest.roots[0] == 0
        and (np.diff(forest.roots) > 0).all()
        and forest.roots[-1] < nodes < 2**23
        and (forest.feature < len(forest.features)).all()
        and len(forest.features) <= MOST_FEATURES
        and (child > np.flatnonzero(inner)).all()
        and (child < nodes - 1).all()
        and (leaf >= 0).all()
        and (leaf < len(forest.shares)).all()
    )
