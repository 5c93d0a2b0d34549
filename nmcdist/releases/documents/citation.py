"""What archives ask for: DataCite's metadata, and those of a deposit on Zenodo."""

from html import escape
from typing import Any

from nmcdist.datasets.files import readable_bytes
from nmcdist.releases.documents.text import json_text, licence_url, orcid_url
from nmcdist.releases.model import Creator, Release

KERNEL = "http://datacite.org/schema/kernel-4"
UNKNOWN = "(:unav)"  # DataCite's own word for a value that is not available


def datacite(release: Release) -> str:
    """Return the metadata of a release as DataCite's API takes them."""
    content: dict[str, Any] = {
        "schemaVersion": KERNEL,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Zarr store"},
        "creators": [_creator(creator) for creator in release.creators],
        "titles": [{"title": release.title}],
        "publisher": {"name": release.publisher or UNKNOWN},
        "publicationYear": str(release.created.year),
        "dates": [{"date": release.created.isoformat(), "dateType": "Issued"}],
        "version": release.version,
        "language": "en",
        "subjects": [{"subject": keyword} for keyword in release.keywords],
        "descriptions": [{"description": release.description, "descriptionType": "Abstract"}],
        "rightsList": [
            {
                "rights": release.license,
                "rightsUri": licence_url(release.license),
                "rightsIdentifier": release.license,
                "rightsIdentifierScheme": "SPDX",
                "schemeUri": "https://spdx.org/licenses/",
            }
        ],
        "sizes": [readable_bytes(release.sizes.bytes), f"{release.sizes.files} files", f"{release.sizes.items} items"],
        "formats": ["application/vnd+zarr"],
        "relatedIdentifiers": [
            {"relatedIdentifier": paper, "relatedIdentifierType": "DOI", "relationType": "References"}
            for paper in release.papers
        ],
        "alternateIdentifiers": [
            {"alternateIdentifier": release.manifest_sha256, "alternateIdentifierType": "SHA-256 of manifest.json"}
        ],
    }
    if release.doi:
        content["doi"] = release.doi
    if release.url:
        content["url"] = release.url
    return json_text(content)


def zenodo(release: Release) -> str:
    """Return the metadata of a deposit on Zenodo (``.zenodo.json``)."""
    content: dict[str, Any] = {
        "upload_type": "dataset",
        "title": release.title,
        "version": release.version,
        "publication_date": release.created.isoformat(),
        "description": "".join(f"<p>{escape(part)}</p>" for part in release.description.split("\n\n")),
        "creators": [
            {"name": creator.name}
            | ({"orcid": creator.orcid} if creator.orcid else {})
            | ({"affiliation": creator.affiliation} if creator.affiliation else {})
            for creator in release.creators
        ],
        "access_right": "open",
        "license": release.license.lower(),  # the ids of Zenodo
        "keywords": list(release.keywords),
        "language": "eng",
        "notes": f"SHA-256 of the store's manifest.json: {release.manifest_sha256}",
        "related_identifiers": [{"identifier": paper, "relation": "references"} for paper in release.papers],
    }
    if release.doi:
        content["doi"] = release.doi
    return json_text(content)


def _creator(creator: Creator) -> dict[str, Any]:
    found: dict[str, Any] = {"name": creator.name}
    if creator.is_person:
        found["nameType"] = "Personal"
        if creator.parts[1]:
            found |= {"familyName": creator.parts[0], "givenName": creator.parts[1]}
    if creator.orcid:
        found["nameIdentifiers"] = [
            {
                "nameIdentifier": orcid_url(creator.orcid),
                "nameIdentifierScheme": "ORCID",
                "schemeUri": "https://orcid.org",
            }
        ]
    if creator.affiliation:
        found["affiliation"] = [{"name": creator.affiliation}]
    return found
