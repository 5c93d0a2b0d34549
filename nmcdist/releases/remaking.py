"""Make a dataset again from its recipe by a normal run, and compare every file with the manifest of the first."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nmcdist.bundle import Bundle, load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.catalog import CATALOG_VARIABLE, CatalogEntry, open_catalog
from nmcdist.datasets.files import FileRecord
from nmcdist.datasets.integrity import manifest_hash, read_manifest
from nmcdist.datasets.recipes_catalog import RecipeCatalog, RecipeEntry
from nmcdist.datasets.store import read_attributes
from nmcdist.datasets.writers import writer_versions
from nmcdist.errors import CatalogError, ReleaseError
from nmcdist.inputs import local_path
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import loaded_recipe, recipe_of_store
from nmcdist.releases.finding import release_of
from nmcdist.releases.origin import bundle_of_store
from nmcdist.runs.production import Result
from nmcdist.runs.progress import Progress
from nmcdist.runs.run import run_recipe

_SHOWN = 10  # files that differ


@dataclass(frozen=True)
class Source:
    """What a dataset is made again from, and what it must be equal to.

    Attributes
    ----------
    name : str
    recipe : BaseRecipe
    bundle : Bundle
    manifest_sha256 : str or None
        Of the first store; None if none is recorded.
    files : Mapping of str to FileRecord, or None
        Its files; None if only the hash is known.
    versions : Mapping of str to str
        Of the packages that wrote it, as far as they are recorded.
    """

    name: str
    recipe: BaseRecipe
    bundle: Bundle
    manifest_sha256: str | None
    files: Mapping[str, FileRecord] | None
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Remade:
    """A dataset that was made again, compared with the first.

    Attributes
    ----------
    result : Result
        Of the run; if items failed, nothing is compared.
    expected : str or None
        SHA-256 of the first manifest; None if none is recorded.
    differences : list of str
        Files that differ, each with what differs; empty if only the hash of the first manifest is known.
    notes : list of str
        Packages whose versions differ from those that wrote the first store.
    """

    result: Result
    expected: str | None
    differences: list[str]
    notes: list[str]

    @property
    def is_same(self) -> bool:
        """Whether the manifests are the same, and thus all files."""
        return self.result.manifest_sha256 is not None and self.result.manifest_sha256 == self.expected

    def lines(self) -> list[str]:
        """Return what was found, in lines of text."""
        store, found = self.result.store, self.result.manifest_sha256
        if self.is_same:
            return [f"{store}: the same as the first, manifest sha256 {found}"]
        if self.expected is None:
            return [f"{store}: made, manifest sha256 {found}; none is recorded to compare it with", *self.notes]
        more = len(self.differences) - _SHOWN
        files = self.differences[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        head = f"{store}: differs from the first: manifest sha256 found {found}, expected {self.expected}"
        return [head, *(f"{store}: {line}" for line in (*files, *self.notes))]


def materialise(
    name: str,
    catalog: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = ".",
    *,
    deployment: Deployment | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Remade:
    """Make a dataset again from its recipe, and compare every file with the manifest of the first.

    Parameters
    ----------
    name : str
        A release as NAME or NAME-VERSION, another dataset of the catalog, or one of the package's recipes.
    catalog : str or Path, optional
        Catalog file, or its folder; default: as for :func:`nmcdist.open_catalog`.
    out : str or Path
        Folder of the new store, which has the name in the recipe.
    deployment : Deployment, optional
        Default: as many workers on this machine as fit.
    resume : bool
        Continue an interrupted run.
    progress : Progress, optional

    Raises
    ------
    CatalogError
        If there is no dataset of this name.
    ReleaseError
        If it is virtual, or its bundle is nowhere to be found.
    StoreError
        If the new store exists, or the first is not finished.
    """
    source = source_of(name, catalog)
    result = run_recipe(
        source.recipe, source.bundle, local_path(out), deployment, resume=resume, progress=progress
    )  # fmt: skip
    if result.manifest_sha256 is None:
        return Remade(result, source.manifest_sha256, [], [])
    differences = [] if source.files is None else differing(source.files, read_manifest(result.store))
    return Remade(result, source.manifest_sha256, differences, other_versions(source.versions))


def source_of(name: str, catalog: str | os.PathLike[str] | None = None) -> Source:
    """Return what a dataset of a catalog is made again from; raises as :func:`materialise`."""
    opened: Mapping[str, Any] = open_catalog(catalog)
    if name not in opened and catalog is None and not os.environ.get(CATALOG_VARIABLE) and name in RecipeCatalog():
        opened = RecipeCatalog()
    entry = opened[name]
    return _of_store(entry) if isinstance(entry, CatalogEntry) else _of_recipe(entry)


def differing(first: Mapping[str, FileRecord], second: Mapping[str, FileRecord]) -> list[str]:
    """Return the files that differ between two manifests, each with what differs."""
    lines = []
    for file in sorted({*first, *second}):
        if file not in second:
            lines.append(f"{file}: was not made")
        elif file not in first:
            lines.append(f"{file}: is not in the first")
        elif first[file] != second[file]:
            lines.append(f"{file}: differs ({second[file].size} bytes, first {first[file].size})")
    return lines


def other_versions(recorded: Mapping[str, str]) -> list[str]:
    """Return a line for each package whose version differs from the recorded one."""
    here = writer_versions()
    return [
        f"made with {package} {here[package]}, the first with {text}: their bytes may differ"
        for package, text in recorded.items()
        if package in here and here[package] != text
    ]


def _of_store(entry: CatalogEntry) -> Source:
    store, folder = entry.store, entry.store.parent
    release = release_of(store)
    if release is not None and release.virtual:
        raise ReleaseError(f"{entry.name}: is virtual: its chunks are made when they are read, so none can be compared")
    digest, recorded = manifest_hash(store), entry.metadata.get("manifest_sha256")
    if recorded not in (None, digest):
        raise CatalogError(f"{entry.name}: {store} has the manifest {digest}, but the catalog names {recorded}")
    packed = folder / release.provenance.bundle.path if release and release.provenance.bundle.path else None
    bundle = load_bundle(packed) if packed is not None else bundle_of_store(store)
    attributes = read_attributes(store)
    if bundle is None or bundle.content_hash != attributes["bundle_hash"]:
        raise ReleaseError(f"{entry.name}: the bundle {attributes['bundle_hash']} of its model is not in its release")
    versions = {"nmcdist": attributes.get("nmcdist_version")}
    if release is not None:
        versions |= release.provenance.versions.model_dump()
    known = {package: text for package, text in versions.items() if text}
    return Source(entry.name, recipe_of_store(store), bundle, digest, read_manifest(store), known)


def _of_recipe(entry: RecipeEntry) -> Source:
    recipe, bundle, _ = loaded_recipe(entry.recipe)
    return Source(entry.name, recipe, bundle, entry.metadata.get("manifest_sha256"), None, entry.made_with)
