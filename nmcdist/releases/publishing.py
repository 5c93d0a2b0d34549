"""Publish a finished store: stage its files, check them, write the documents, freeze all, rename once."""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nmcdist.datasets.catalog import check_catalog
from nmcdist.datasets.catalog_file import catalog_text
from nmcdist.datasets.files import FileRecord, files_below, naming
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import read_manifest
from nmcdist.datasets.store import MANIFEST, dask_chunks
from nmcdist.errors import ReleaseError
from nmcdist.faults import NAME
from nmcdist.inputs import folder_name, folder_to_make
from nmcdist.releases import documents
from nmcdist.releases.catalogs import refuse_other_entry, refuse_unlistable, update_catalogs
from nmcdist.releases.checksums import CHECKSUMS, checksums_text
from nmcdist.releases.description import describe_release
from nmcdist.releases.finding import release_at
from nmcdist.releases.model import RELEASE_FILE, Metadata, Release, read_metadata
from nmcdist.releases.preview import preview
from nmcdist.releases.sources import of_recipe, of_store, recipe_at, store_at
from nmcdist.releases.staging import put_in_place, refuse_existing, staged
from nmcdist.releases.versions import LATEST, checked_version
from nmcdist.wording import shown

ROOT = "releases"  # beside the store
METADATA = "dataset.yaml"  # beside the store
RECIPE = "recipe.yaml"
_LONGEST_NAME = 100


def publish(
    store: str | Path,
    name: str,
    version: str,
    metadata: str | Path | Mapping[str, Any] | Metadata | None = None,
    out: str | Path | None = None,
    *,
    virtual: bool = False,
    note: Callable[[str], None] | None = None,
) -> Path:
    """Publish a finished store under a version that never changes, with all that describes and cites it.

    The files of the store are hard-linked into the release, or copied where they cannot be linked, and become
    read-only. If anything fails, no release appears.

    Parameters
    ----------
    store : str or Path
        A finished store; for a virtual release, a recipe file.
    name : str
        Name of the dataset: small letters, digits and hyphens.
    version : str
        Semantic version, such as "1.0.0". A version that exists is refused.
    metadata : str, Path, Mapping or Metadata, optional
        A YAML file, or its content: at least `license` and `creators`; default: ``dataset.yaml`` beside the store or
        the recipe.
    out : str or Path, optional
        Folder of releases; default: ``releases`` beside the store or the recipe.
    virtual : bool
        Publish the recipe, without making its dataset: a chunk of the release is computed when it is first read.
    note : callable, optional
        Called with a line that says which names of machines are published, and with a line for each folder of another
        release that is damaged or that the catalog does not list.

    Returns
    -------
    Path
        Folder of the release, ``OUT/NAME/VERSION``. ``OUT/catalog.yaml`` lists it.

    Raises
    ------
    ReleaseError
        If the version exists, or the name, the version or the metadata is invalid; one line per fault.
    StoreError
        If the store is not finished or is damaged; the message names the first damaged file.
    RecipeError, BundleError, InputError
        If the recipe cannot be read, or describes what a virtual store cannot hold.
    CatalogError
        If nmcdist did not write the catalog of the folder, or it gives the store another checksum.
    OSError
        If the release cannot be written, for example on a full disk.
    """
    source = recipe_at(store) if virtual else store_at(store)
    name, version = checked_name(name), checked_version(version)
    beside = source.absolute().parent
    root = folder_to_make(out, ReleaseError) if out is not None else beside / ROOT
    target = root / name / version
    if not virtual and root.resolve().is_relative_to(source.resolve()):
        raise ReleaseError(f"{root}: is in the store that is published; choose another folder of releases")
    inside = next((folder for folder in (root, *root.absolute().parents) if (folder / RELEASE_FILE).exists()), None)
    if inside is not None:
        raise ReleaseError(f"{root}: is in the release {inside}, which never changes; choose another folder with --out")
    check_catalog(root)
    refuse_unlistable(root)
    if os.path.lexists(target):
        _say(note, update_catalogs(root))  # its publisher may have died before it listed the release
        _refuse_taken(target)
    refuse_other_entry(root, name)
    written = read_metadata(metadata, beside / METADATA)
    fill = of_recipe(source) if virtual else of_store(source)
    with naming(target), staged(target) as stage:
        inside = stage / f"{name}.zarr"
        origin = fill(inside)
        picture, caption = preview(inside)
        if picture:
            Folder(stage).write(documents.PREVIEW, picture)
        release = describe_release(inside, name, version, written, origin, preview=caption)
        write_documents(stage, release, dask_chunks(inside))
        put_in_place(stage, target)
    _say(note, [*_named_hosts(release), *update_catalogs(root, release.label)])
    return target


def _named_hosts(release: Release) -> list[str]:
    """Return a line that says which names of machines are published, since not everyone wants that."""
    if not release.provenance.hosts:
        return []
    names = ", ".join(release.provenance.hosts)
    return [
        f"{release.label}: names the machines that made it ({names}); `hosts: false` in the metadata leaves them out"
    ]


def _refuse_taken(target: Path) -> None:
    """Refuse a version that exists, and say if what exists is damaged."""
    try:
        release_at(target)
    except (ReleaseError, OSError) as error:
        raise ReleaseError(f"{target}: exists, but is damaged; choose a higher version ({error})") from None
    refuse_existing(target)


def _say(note: Callable[[str], None] | None, lines: list[str]) -> None:
    if note is not None:
        for line in lines:
            note(line)


def checked_name(name: Any) -> str:
    """Return the name of a dataset.

    Raises
    ------
    ReleaseError
        If it is not one.
    """
    try:
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            raise ValueError(f"found {shown(name)}, expected a text of at most {_LONGEST_NAME} characters")
        if name == LATEST:
            raise ValueError(f"found {name!r}, which stands for the highest version, expected another name")
        return folder_name(NAME.func(name))  # type: ignore[call-arg]  # pydantic types it for itself
    except ValueError as error:
        raise ReleaseError(f"name: {error}") from None


def write_documents(stage: Path, release: Release, chunks: Mapping[str, int]) -> None:
    """Write all that describes a release into its folder, which already holds its store."""
    entry = {release.name: documents.one_entry(release, chunks, "")}
    texts = {
        RELEASE_FILE: release.model_dump_json(indent=1) + "\n",
        RECIPE: catalog_text(release.provenance.recipe),
        documents.CARD: documents.card(release),
        documents.INTAKE: documents.intake_text(entry, {}),
        **({} if release.virtual else {documents.INTAKE_V1: documents.intake_v1_text(entry, {})}),
        **{name: write(release) for name, write in documents.OF_CITATION.items()},
    }
    for name, text in texts.items():
        Folder(stage).write(name, text.encode())
    records = {n: Folder(stage).record(n) for n in files_below(stage) if not n.startswith(f"{release.store}/")}
    listed = records | {f"{release.store}/{MANIFEST}": Folder(stage).record(f"{release.store}/{MANIFEST}")}
    for name, text in (
        (documents.CROISSANT, documents.croissant(release, listed)),
        (documents.ROCRATE, documents.ro_crate(release, listed)),
    ):
        Folder(stage).write(name, text.encode())
        records[name] = FileRecord(hashlib.sha256(text.encode()).hexdigest(), len(text.encode()))
    of_store = {f"{release.store}/{n}": record for n, record in read_manifest(stage / release.store).items()}
    sums = checksums_text(of_store | listed | records)
    Folder(stage).write(CHECKSUMS, sums.encode())
