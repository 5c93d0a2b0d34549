"""The release of a store: what a person wrote of it, completed by what the store says of itself."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from nmcdist.datasets.integrity import manifest_hash, read_manifest
from nmcdist.datasets.layout import SAMPLE
from nmcdist.datasets.metadata import ArrayMetadata, arrays_of, parsed_json
from nmcdist.datasets.store import MANIFEST, is_virtual, read_attributes, read_origin
from nmcdist.errors import StoreError
from nmcdist.products.registry import kind_of_store
from nmcdist.releases.documents.text import doi_url
from nmcdist.releases.model import Metadata, Provenance, Release, Sizes, Variable

_DOI = re.compile(r"\b10\.[0-9]{4,9}/[A-Za-z0-9./()_-]*[A-Za-z0-9)]")
_TEXTS = ("units", "long_name", "estimator", "source")
_LONGEST = 5000


def describe_release(
    store: Path,
    name: str,
    version: str,
    metadata: Metadata,
    origin: Provenance,
    *,
    preview: str = "",
) -> Release:
    """Return the release of a finished store.

    Parameters
    ----------
    store : Path
    name, version : str
        Of the release; those of the recipe may differ.
    metadata : Metadata
    origin : Provenance
    preview : str
        Caption of its picture; empty if it has none.

    Raises
    ------
    StoreError
        If the store is not finished, or its metadata is damaged.
    """
    attributes, today = read_attributes(store), datetime.now(UTC).date()
    manifest, variables = read_manifest(store), variables_of(store)
    items = next((v.shape[0] for v in variables if v.dims[:1] == (SAMPLE,)), 0)
    kind = kind_of_store(store).name
    title = metadata.title or attributes["title"]
    said = metadata.description or _described(title, kind, items, attributes, origin.seed)
    return Release(
        name=name,
        version=version,
        title=title,
        description=said,
        license=metadata.license,
        creators=metadata.creators,
        citation=metadata.citation or cited(metadata, title, version, today),
        keywords=metadata.keywords or tuple(dict.fromkeys(("microstructure", "stochastic geometry", kind))),
        papers=_papers(metadata.papers, _sources(store, variables)),
        doi=metadata.doi,
        url=metadata.url,
        publisher=metadata.publisher,
        created=today,
        store=f"{name}.zarr",
        kind=kind,
        virtual=is_virtual(store),
        manifest_sha256=manifest_hash(store),
        sizes=Sizes(
            bytes=sum(record.size for record in manifest.values()) + (store / MANIFEST).stat().st_size,
            files=len(manifest) + 1,
            items=items,
        ),
        variables=variables,
        provenance=origin if metadata.hosts else origin.model_copy(update={"hosts": ()}),
        preview=preview,
    )


def variables_of(store: Path) -> tuple[Variable, ...]:
    """Return the variables of a store by name, with what their attributes say.

    Raises
    ------
    StoreError
        If the metadata is damaged.
    """
    group = parsed_json(store / "zarr.json")
    arrays = arrays_of(group, store)
    types = {name: content["data_type"] for name, content in group["consolidated_metadata"]["metadata"].items()}
    return tuple(_variable(name, arrays[name], types[name], store) for name in sorted(arrays))


def cited(metadata: Metadata, title: str, version: str, day: date) -> str:
    """Return how to cite a release: creators (year). Title (version). Publisher. DOI."""
    names = "; ".join(creator.name for creator in metadata.creators)
    parts = [f"{names} ({day.year}). {title} (version {version}) [Data set]."]
    parts += [f"{metadata.publisher}."] if metadata.publisher else []
    parts += [doi_url(metadata.doi)] if metadata.doi else []
    return " ".join(parts)


def _variable(name: str, array: ArrayMetadata, data_type: Any, store: Path) -> Variable:
    texts = {field: array.attributes[field] for field in _TEXTS if isinstance(array.attributes.get(field), str)}
    comment = next((t for t in map(array.attributes.get, ("description", "comment")) if isinstance(t, str)), "")
    if not isinstance(data_type, str):
        raise StoreError(f"{store}: {name}: data_type: expected the name of a type")
    return Variable(name=name, dims=array.dims, shape=array.shape, dtype=data_type, description=comment, **texts)


def _described(title: str, kind: str, items: int, attributes: dict[str, Any], seed: int) -> str:
    """Return a description from what a store says; it does not claim more."""
    summary = attributes.get("summary")
    held = summary if isinstance(summary, str) else f"{items} virtual microstructures of kind {kind}."
    parts = [f"{title.rstrip('.')}.", held, f"Made by nmcdist with seed {seed}."]
    named = (("bundle_title", "Model bundle"), ("bundle_calibrated_on", "Calibrated on"))
    parts += [f"{said}: {attributes[name].rstrip('.')}." for name, said in named if attributes.get(name)]
    return " ".join(parts)[:_LONGEST]


def _papers(written: tuple[str, ...], named: Iterable[str]) -> tuple[str, ...]:
    """Return the DOIs that a person wrote and those that a store names, each once; case means nothing in a DOI."""
    known = {doi.lower() for doi in written}
    return (*written, *dict.fromkeys(doi for doi in named if doi.lower() not in known))


def _sources(store: Path, variables: Iterable[Variable]) -> list[str]:
    """Return the DOIs that the bundle names as its references, and the variables as their sources."""
    _, bundle = read_origin(store)
    texts = [json.dumps(bundle.get("calibration")), *(variable.source for variable in variables)]
    return sorted({found for text in texts for found in _DOI.findall(text)})
