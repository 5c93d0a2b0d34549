"""The attributes of a store: its identity, its inputs, and the fingerprint of what determines its content."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import FORMAT_ATTRIBUTE, FORMAT_VERSION, Coordinate
from nmcdist.products.recipe import BaseRecipe
from nmcdist.version import __version__

CONVENTIONS = "CF-1.11"
HOW_TO_READ = (
    "ds = xarray.open_zarr(PATH) opens the store without nmcdist, and ds.isel(sample=i) is item i; with chunks=None, "
    "without Dask, coordinates group and plot as they are. The attributes of "
    "each variable give its units, long_name, description, estimator (how it was measured) and source (its "
    "definition). Values along a dimension X_index are in the coordinate X: ds.set_xindex('X') selects by them, as in "
    "ds.sel(X=...). bundle and recipe hold all inputs as JSON: the same inputs give the same bytes"
)


def store_attrs(
    recipe: BaseRecipe, bundle: Bundle, coordinates: tuple[Coordinate, ...], summary: str,
    reading: Mapping[str, str] | None = None, *, by_blocks: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return the attributes of a store: what it holds, how to read it, its identity, and all of its inputs.

    They do not decide a byte of the chunks, so a change of a text needs no other format version: a run that resumes a
    store with other texts writes its metadata again and keeps its chunks.

    Parameters
    ----------
    recipe : BaseRecipe
    bundle : Bundle
    coordinates : tuple of Coordinate
    summary : str
        What the store holds, in a few sentences.
    reading : Mapping of str to str, optional
        How to read it with xarray alone: further attributes of text, or of lines to run.
    by_blocks : bool
        Whether its volumes are made in blocks.
    """
    reference = bundle.calibration.reference
    return {
        "title": recipe.title,
        "summary": summary,
        "Conventions": CONVENTIONS,
        "source": f"drawn, not measured, by nmcdist {__version__} from the model bundle {bundle.name}: {bundle.title}",
        **({"references": reference} if reference else {}),
        "how_to_read": HOW_TO_READ,
        **(reading or {}),
        FORMAT_ATTRIBUTE: FORMAT_VERSION,
        "kind": recipe.kind,
        "name": recipe.name,
        "version": recipe.version,
        "bundle": _text(bundle.model_dump(by_alias=True, mode="json")),
        "bundle_hash": bundle.content_hash,
        "bundle_title": bundle.title,
        "bundle_calibrated_on": bundle.calibration.data,
        "recipe": _text(recipe.content),
        "recipe_hash": recipe.content_hash,
        "fingerprint": fingerprint(recipe, bundle.content_hash, by_blocks=by_blocks),
        "nmcdist_version": __version__,
        "coordinates": " ".join(c.name for c in coordinates),  # the place where xarray expects them
    }


def _text(content: dict[str, Any]) -> str:
    """Return plain data as JSON text, because other formats accept only text and numbers as attributes."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def fingerprint(recipe: BaseRecipe, bundle_hash: str, *, by_blocks: bool = False) -> str:
    """Return the SHA-256 (hex) of everything that determines the bytes of a store's chunks."""
    content = recipe.content
    for name in ("name", "version", "title", "bundle", "source"):  # source: where files lie whose digest is beside it
        content.pop(name, None)
    deciding = {
        "format": FORMAT_VERSION,
        "nmcdist": __version__,
        "bundle": bundle_hash,
        "recipe": content,
        "by_blocks": by_blocks,
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
