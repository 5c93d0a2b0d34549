"""Where a store comes from: its recipe, its bundle with the arrays, and what the journal of its run says."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nmcdist.bundle import Bundle, list_bundles, load_bundle
from nmcdist.datasets.store import read_attributes, read_origin
from nmcdist.datasets.writers import writer_versions
from nmcdist.errors import BundleError
from nmcdist.execution.journal import Journal
from nmcdist.releases.model import BundleOrigin, Provenance, Versions
from nmcdist.runs.paths import Paths

BUNDLE_FOLDER = "bundle"  # in a release


def provenance(store: Path, bundle: str, journal: Journal | None, *, hosts: bool = True) -> Provenance:
    """Return how a store was made.

    Parameters
    ----------
    store : Path
        A finished store.
    bundle : str
        Folder of its bundle in the release; empty if the release does not hold it.
    journal : Journal or None
        Of its run; None for a virtual store, which was written just now.
    hosts : bool
        Whether to read the names of the machines from all receipts.
    """
    attributes, (recipe, said) = read_attributes(store), read_origin(store)
    return Provenance(
        recipe=recipe,
        recipe_hash=attributes["recipe_hash"],
        bundle=BundleOrigin(
            name=said["name"],
            title=str(attributes.get("bundle_title", said.get("title", ""))),
            hash=attributes["bundle_hash"],
            calibrated_on=str(attributes.get("bundle_calibrated_on", "")),
            path=bundle,
        ),
        seed=int(recipe["seed"]),
        versions=Versions(**writer_versions()) if journal is None else _versions(attributes, journal),
        hosts=_hosts(journal) if hosts and journal is not None else (),
    )


def bundle_of_store(store: Path) -> Bundle | None:
    """Return the bundle of a store with its arrays; None if no copy of it is found.

    The built-in bundle of that name, the copy in the journal of the run and, for bundles without arrays, the store's
    own attributes are tried; a bundle with another hash is never returned.
    """
    _, said = read_origin(store)
    expected = read_attributes(store)["bundle_hash"]
    places: list[str | Path] = [Paths(store).run / BUNDLE_FOLDER]
    if said["name"] in list_bundles():
        places.insert(0, said["name"])
    for place in places:
        try:
            found = load_bundle(place)
        except BundleError:
            continue
        if found.content_hash == expected:
            return found
    return None if said.get("arrays") else _from_attributes(said, expected)


def _from_attributes(content: dict[str, Any], expected: str) -> Bundle | None:
    try:
        found = Bundle.model_validate_json(json.dumps(content))
    except ValidationError:
        return None
    return found if found.content_hash == expected else None


def _versions(attributes: dict[str, Any], journal: Journal) -> Versions:
    recorded = journal.seal().get("versions")
    known = recorded if isinstance(recorded, dict) else {}
    return Versions(nmcdist=attributes.get("nmcdist_version"), zarr=known.get("zarr"), numcodecs=known.get("numcodecs"))


def _hosts(journal: Journal) -> tuple[str, ...]:
    """Return the names of the machines in the receipts of a run."""
    found = set()
    for entry in journal.receipts():
        receipt = journal.receipt(entry.name.removesuffix(".json"))
        if receipt is not None and receipt.worker:
            found.add(receipt.worker.rpartition(":")[0] or receipt.worker)
    return tuple(sorted(found))
