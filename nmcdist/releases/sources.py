"""What is published, a finished store or a recipe, and how it comes into a staged release."""

import os
from collections.abc import Callable
from pathlib import Path

from nmcdist.bundle import save_bundle
from nmcdist.datasets.catalog import CATALOG_FILE, recorded_manifest
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import read_manifest, verify
from nmcdist.datasets.store import MANIFEST, read_attributes, read_origin
from nmcdist.errors import ReleaseError, StoreError
from nmcdist.execution.journal import Journal
from nmcdist.inputs import existing_folder, named_path, ordinary_file
from nmcdist.products.registry import loaded_recipe
from nmcdist.releases.model import Provenance
from nmcdist.releases.origin import BUNDLE_FOLDER, bundle_of_store, provenance
from nmcdist.runs.paths import Paths
from nmcdist.virtual.freezing import freeze

_YAML = {".yaml", ".yml"}


def store_at(path: str | Path) -> Path:
    """Return the folder of a store; refuse a recipe, from which the store must be made first."""
    source = named_path(path, StoreError)
    if source.suffix in _YAML and source.is_file():
        raise StoreError(
            f"{source}: is a file, expected the folder of a finished store; make it with `nmcdist run {source}`, or "
            "publish the recipe itself with --virtual (virtual=True in Python)"
        )
    return existing_folder(source, StoreError, "no such store; make it with `nmcdist run RECIPE`")


def recipe_at(path: str | Path) -> Path:
    """Return the file of a recipe; refuse a store, which is published as it is."""
    source = named_path(path, ReleaseError)
    if source.is_dir():
        raise ReleaseError(
            f"{source}: is a folder, expected a recipe file; publish a finished store without --virtual "
            "(virtual=False in Python)"
        )
    return ordinary_file(source, ReleaseError)


def of_store(store: Path) -> Callable[[Path], Provenance]:
    """Return what puts a finished store into a staged release, beside a copy of its bundle."""
    read_manifest(store)  # refuses a store that was never finished before anything is written

    def fill(inside: Path) -> Provenance:
        _take_files(store, inside)
        _refuse_damage(inside, store)
        bundle = bundle_of_store(store)
        if bundle is not None:
            save_bundle(bundle, inside.parent / BUNDLE_FOLDER)
        return provenance(inside, BUNDLE_FOLDER if bundle is not None else "", Journal(Paths(store).run))

    return fill


def of_recipe(path: Path) -> Callable[[Path], Provenance]:
    """Return what freezes a recipe into a staged release; its bundle is in the virtual store."""
    recipe, bundle, _ = loaded_recipe(path)

    def fill(inside: Path) -> Provenance:
        freeze(recipe, bundle, inside)
        return provenance(inside, f"{inside.name}/{BUNDLE_FOLDER}", None)

    return fill


def _take_files(store: Path, inside: Path) -> None:
    """Link the files of a store into a new folder; copy what cannot be linked, or is not this user's own.

    Raises
    ------
    StoreError
        If one is missing or not an ordinary file.
    """
    inside.mkdir()
    source, target = Folder(store), Folder(inside)
    for file in (*read_manifest(store), MANIFEST):
        try:
            if (store / file).lstat().st_uid == os.geteuid():
                target.link(source, file)
            else:  # whose mode this user cannot change
                target.write(file, source.read(file))
        except FileNotFoundError:
            raise StoreError(f"{store}: cannot be published: {file} is missing") from None


def _refuse_damage(inside: Path, store: Path) -> None:
    """Refuse a store whose staged files differ from its manifest, or its manifest from the one in the catalog."""
    read_attributes(store)
    read_origin(store)
    faults = verify(inside, recorded_manifest(store.absolute().parent / CATALOG_FILE, store))
    if faults:
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise StoreError(f"{store}: cannot be published: {faults[0]}{more}; `nmcdist verify {store}` lists its faults")
