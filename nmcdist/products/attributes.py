"""The attributes of a store: its identity, its inputs, and the fingerprint of what determines its content."""

import hashlib
import json
from typing import Any

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import FORMAT_ATTRIBUTE, FORMAT_VERSION, Coordinate
from nmcdist.products.recipe import BaseRecipe
from nmcdist.version import __version__


def store_attrs(
    recipe: BaseRecipe, bundle: Bundle, coordinates: tuple[Coordinate, ...], *, by_blocks: bool = False
) -> dict[str, Any]:
    """Return the attributes of a store: its identity, and all of its inputs."""
    return {
        FORMAT_ATTRIBUTE: FORMAT_VERSION,
        "kind": recipe.kind,
        "name": recipe.name,
        "title": recipe.title,
        "version": recipe.version,
        "bundle": _text(bundle.model_dump(by_alias=True, mode="json")),
        "bundle_hash": bundle.content_hash,
        "bundle_title": bundle.title,
        "bundle_calibrated_on": bundle.calibration.data,
        "recipe": _text(recipe.content),
        "recipe_hash": recipe.content_hash,
        "fingerprint": fingerprint(recipe, bundle.content_hash, by_blocks=by_blocks),
        "nmcdist_version": __version__,
        # the place where xarray expects them
        "coordinates": " ".join(c.name for c in coordinates if c.dims != (c.name,)),
    }


def _text(content: dict[str, Any]) -> str:
    """Return plain data as JSON text, because other formats accept only text and numbers as attributes."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def fingerprint(recipe: BaseRecipe, bundle_hash: str, *, by_blocks: bool = False) -> str:
    """Return the SHA-256 (hex) of everything that determines the bytes of a store's chunks."""
    content = recipe.content
    for name in ("name", "version", "title", "bundle"):
        del content[name]
    deciding = {
        "format": FORMAT_VERSION,
        "nmcdist": __version__,
        "bundle": bundle_hash,
        "recipe": content,
        "by_blocks": by_blocks,
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
