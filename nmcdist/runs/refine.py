"""Refine a store or an image: the recipe of the new store follows from what is refined, then it is run as any other."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from nmcdist.bundle import Bundle, resolved
from nmcdist.bundle.superres import FACTOR
from nmcdist.clusters.deployment import Deployment
from nmcdist.errors import InputError, StoreError
from nmcdist.inputs import local_path, outside
from nmcdist.learning.refine.net import Net
from nmcdist.products.refined.kind import check_net
from nmcdist.products.refined.recipe import RefinedRecipe
from nmcdist.products.refined.source import open_source, phases_of
from nmcdist.products.registry import parsed_recipe
from nmcdist.runs.production import Result
from nmcdist.runs.progress import Progress
from nmcdist.runs.run import run_recipe

_SAME = 1e-6  # relative difference of voxel sizes
_STORE = re.compile(r"[a-z0-9][a-z0-9-]{0,99}\.zarr")


def refine(
    path: str | Path,
    bundle: Bundle | str | Path,
    store: str | Path,
    deployment: Deployment | None = None,
    *,
    labels: Literal["likeliest", "drawn"] = "likeliest",
    seed: int = 1,
    phases: Mapping[str, Any] | None = None,
    voxel_size_nm: Any = None,
    axes: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Give the volumes of a store, or an image of labels, voxels of half the edge, in a new store.

    Parameters
    ----------
    path : str or Path
        A finished store of volumes, a TIFF file, a folder of TIFF or PNG slices, a .npy file, or a Zarr or OME-Zarr
        array.
    bundle : Bundle, str or Path
        A bundle of model "superres", a built-in name, or the path of a bundle.
    store : str or Path
        The new store, NAME.zarr.
    deployment : Deployment, optional
        Default: as many workers on this machine as fit.
    labels : {"likeliest", "drawn"}
        Labels with the largest probability, or labels drawn from the probabilities.
    seed : int
        Of the drawn labels.
    phases : mapping of str to int or list of int, optional
        Labels by phase; needed for an image.
    voxel_size_nm, axes
        Of an image that does not say them: see :func:`nmcdist.images.open_image`.
    resume : bool
        Continue an interrupted run, or repair a finished store.
    progress : Progress, optional

    Returns
    -------
    Result

    Raises
    ------
    BundleError, ImageError, InputError, StoreError
        If the bundle holds no such net, the source cannot be read, or its voxels or phases are not those of the net.
    """
    target = named_store(store)
    outside(target, local_path(path))
    bundle = resolved(bundle)
    net = Net.of(bundle)
    check_net(net, bundle)
    source = open_source(local_path(path), voxel_size_nm, axes)
    if abs(source.voxel_size_nm / net.coarse_voxel_nm - 1) > _SAME:
        raise InputError(
            f"{source.path}: found voxels of {source.voxel_size_nm:g} nm, expected {net.coarse_voxel_nm:g} nm, for "
            f"which the net of bundle {bundle.name!r} was trained"
        )
    content = {
        "kind": "refined",
        "name": target.stem,
        "version": "1.0.0",
        "title": f"{source.path.stem}, refined to voxels of {net.fine_voxel_nm:g} nm",
        "bundle": bundle.name,
        "seed": seed,
        "volume": {"shape": [FACTOR * n for n in source.shape], "voxel_size_nm": net.fine_voxel_nm},
        "realisations": source.count,
        "source": os.path.relpath(source.path, target.parent),
        "phases": {name: list(values) for name, values in phases_of(source, net.phases, phases).items()},
        "source_sha256": source.digest(),
        "axes": axes if axes is None else axes.lower(),
        "labels": labels,
    }
    recipe = parsed_recipe(content, str(source.path))
    assert isinstance(recipe, RefinedRecipe)
    return run_recipe(recipe, bundle, target.parent, deployment, resume=resume, progress=progress)


def named_store(path: str | Path) -> Path:
    """Return the path of a new store; StoreError if its name is not that of a dataset."""
    path = local_path(path, StoreError)
    if not _STORE.fullmatch(path.name):
        raise StoreError(f"{path}: expected a new store NAME.zarr, with a name of small letters, digits and hyphens")
    return path
