"""The RO-Crate of a release: a research object of its files, its authors and the software that made it."""

from collections.abc import Mapping
from typing import Any

from nmcdist.datasets.files import FileRecord
from nmcdist.releases.documents.text import (
    address,
    doi_url,
    json_text,
    licence_url,
    media_type,
    orcid_url,
    schema_org_creator,
)
from nmcdist.releases.model import Creator, Release

_CONTEXT = "https://w3id.org/ro/crate/1.1/context"
_CONFORMS = "https://w3id.org/ro/crate/1.1"
_SOFTWARE, _ACTION = "#nmcdist", "#run"


def ro_crate(release: Release, records: Mapping[str, FileRecord], archive: str = "") -> str:
    """Return ``ro-crate-metadata.json``; the parameters are those of the description by Croissant."""
    store = archive or f"{release.store}/"
    creators = {_id(creator): creator for creator in release.creators}
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": release.title,
        "description": release.description,
        "version": release.version,
        "datePublished": release.created.isoformat(),
        "license": {"@id": licence_url(release.license)},
        "creator": [{"@id": name} for name in creators],
        "keywords": list(release.keywords),
        "creditText": release.citation,
        "citation": [{"@id": doi_url(paper)} for paper in release.papers],
        "hasPart": [{"@id": name} for name in sorted({*records, store})],
        "mentions": {"@id": _ACTION},
    }
    if where := address(release):
        root["url"] = where
    if release.doi:
        root["identifier"] = doi_url(release.doi)
    if release.publisher:
        root["publisher"] = {"@id": "#publisher"}
    graph = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": _CONFORMS},
        },
        root,
        *(_person(name, creator) for name, creator in creators.items()),
        {"@id": licence_url(release.license), "@type": "CreativeWork", "name": release.license},
        *({"@id": doi_url(paper), "@type": "ScholarlyArticle", "name": paper} for paper in release.papers),
        *_made(release, store),
        *(_file(name, records[name]) for name in sorted(records) if name != archive),
    ]
    if release.publisher:
        graph.append({"@id": "#publisher", "@type": "Organization", "name": release.publisher})
    held = {"name": f"Zarr store of {release.label}", "encodingFormat": "application/vnd+zarr"}
    kind = _file(archive, records[archive]) if archive else {"@id": store, "@type": "Dataset"}
    graph.append({**kind, **held})
    return json_text({"@context": _CONTEXT, "@graph": graph})


def _id(creator: Creator) -> str:
    return orcid_url(creator.orcid) if creator.orcid else f"#{creator.name.replace(' ', '-')}"


def _person(name: str, creator: Creator) -> dict[str, Any]:
    found = schema_org_creator(creator) | {"@id": name}
    found.pop("sameAs", None)
    if creator.affiliation:
        found["affiliation"] = creator.affiliation
    return found


def _file(name: str, record: FileRecord) -> dict[str, Any]:
    media = "application/zip" if name.endswith(".zip") else media_type(name)
    return {
        "@id": name,
        "@type": "File",
        "name": name,
        "encodingFormat": media,
        "contentSize": str(record.size),
        "sha256": record.sha256,
    }


def _made(release: Release, store: str) -> list[dict[str, Any]]:
    """Return the software, and the run in which it made the store."""
    origin = release.provenance
    action: dict[str, Any] = {
        "@id": _ACTION,
        "@type": "CreateAction",
        "name": "nmcdist run recipe.yaml",
        "description": f"Recipe {origin.recipe_hash}, bundle {origin.bundle.hash}, seed {origin.seed}.",
        "instrument": {"@id": _SOFTWARE},
        "object": [{"@id": "recipe.yaml"}],
        "result": {"@id": store},
    }
    software: dict[str, Any] = {"@id": _SOFTWARE, "@type": "SoftwareApplication", "name": "nmcdist"}
    if origin.versions.nmcdist:
        software["version"] = origin.versions.nmcdist
    return [action, software]
