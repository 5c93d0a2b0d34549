"""Shared by the documents: JSON text, and addresses."""

import json
from typing import Any

from nmcdist.releases.model import Creator, Release

PLACES = {".json": "application/json", ".md": "text/markdown", ".png": "image/png", ".yaml": "application/yaml"}
BINARY = "application/octet-stream"


def json_text(content: Any) -> str:
    """Return plain data as readable JSON."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def licence_url(spdx: str) -> str:
    """Return the page of a licence."""
    return f"https://spdx.org/licenses/{spdx}"


def doi_url(doi: str) -> str:
    """Return the address of a DOI."""
    return f"https://doi.org/{doi}"


def orcid_url(orcid: str) -> str:
    """Return the address of an ORCID."""
    return f"https://orcid.org/{orcid}"


def address(release: Release) -> str | None:
    """Return the web address of a release: that of its page, else of its DOI, else none."""
    return release.url or (doi_url(release.doi) if release.doi else None)


def media_type(name: str) -> str:
    """Return the media type of a file of a release."""
    return next((media for suffix, media in PLACES.items() if name.endswith(suffix)), BINARY)


def schema_org_creator(creator: Creator) -> dict[str, Any]:
    """Return a creator as schema.org describes people and organisations."""
    found: dict[str, Any] = {"@type": "Person" if creator.is_person else "Organization", "name": creator.name}
    if creator.is_person and creator.parts[1]:
        found |= {"familyName": creator.parts[0], "givenName": creator.parts[1]}
    if creator.orcid:
        found["sameAs"] = orcid_url(creator.orcid)
    if creator.affiliation:
        found["affiliation"] = {"@type": "Organization", "name": creator.affiliation}
    return found
