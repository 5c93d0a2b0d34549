"""schema.org's description of a dataset with that of its files by Croissant 1.1, for search engines and ML tools."""

from collections.abc import Mapping
from typing import Any

from nmcdist.datasets.files import FileRecord
from nmcdist.releases.documents.text import (
    address,
    doi_url,
    json_text,
    licence_url,
    media_type,
    schema_org_creator,
)
from nmcdist.releases.model import Release, Variable

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(release: Release, records: Mapping[str, FileRecord], archive: str = "") -> str:
    """Return the JSON-LD of a release.

    Parameters
    ----------
    release : Release
    records : Mapping
        The single files to list, by path.
    archive : str
        The one of them that holds the store; empty if the store is a folder.
    """
    content: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "Dataset",
        "conformsTo": CONFORMS_TO,
        "name": release.title,
        "description": release.description,
        "alternateName": release.name,
        "version": release.version,
        "datePublished": release.created.isoformat(),
        "license": licence_url(release.license),
        "creator": [schema_org_creator(creator) for creator in release.creators],
        "citeAs": release.citation,
        "keywords": list(release.keywords),
        "isLiveDataset": False,
        "isAccessibleForFree": True,
        "citation": [doi_url(paper) for paper in release.papers],
        "variableMeasured": [_measured(variable) for variable in release.variables],
        "distribution": [*(_file(name, records[name]) for name in sorted(records)), _files(release, archive)],
    }
    if where := address(release):
        content["url"] = where
    if release.doi:
        content["identifier"] = doi_url(release.doi)
    if release.publisher:
        content["publisher"] = {"@type": "Organization", "name": release.publisher}
    return json_text(content)


def _file(name: str, record: FileRecord) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{record.size} B",
        "encodingFormat": "application/zip" if name.endswith(".zip") else media_type(name),
        "sha256": record.sha256,
    }


def _files(release: Release, archive: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "@type": "cr:FileSet",
        "@id": "store",
        "name": "store",
        "description": f"The Zarr store: {release.sizes.files} files, whose SHA-256 are in its manifest.json.",
        "encodingFormat": "application/vnd+zarr",
        "includes": "**" if archive else f"{release.store}/**",
    }
    return found | ({"containedIn": {"@id": archive}} if archive else {})


def _measured(variable: Variable) -> dict[str, Any]:
    found = {"@type": "PropertyValue", "name": variable.name}
    texts = (
        ("description", ". ".join(filter(None, (variable.long_name, variable.description)))),
        ("unitText", variable.units),
        ("measurementTechnique", variable.estimator),
    )
    return found | {name: text for name, text in texts if text}
