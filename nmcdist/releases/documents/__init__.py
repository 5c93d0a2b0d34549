"""The documents of a release, each written from :class:`nmcdist.releases.model.Release` alone."""

from collections.abc import Callable

from nmcdist.releases.documents.card import card
from nmcdist.releases.documents.catalogs import intake_text, intake_v1_text, one_entry
from nmcdist.releases.documents.citation import datacite, zenodo
from nmcdist.releases.documents.croissant import croissant
from nmcdist.releases.documents.rocrate import ro_crate
from nmcdist.releases.model import Release

PREVIEW = "preview.png"
CARD = "README.md"
DATACITE = "datacite.json"
ZENODO = ".zenodo.json"
CROISSANT = "croissant.json"
ROCRATE = "ro-crate-metadata.json"
INTAKE = "intake.yaml"
INTAKE_V1 = "intake-v1.yaml"

OF_CITATION: dict[str, Callable[[Release], str]] = {DATACITE: datacite, ZENODO: zenodo}

__all__ = [
    "CARD",
    "CROISSANT",
    "DATACITE",
    "INTAKE",
    "INTAKE_V1",
    "OF_CITATION",
    "PREVIEW",
    "ROCRATE",
    "ZENODO",
    "card",
    "croissant",
    "datacite",
    "intake_text",
    "intake_v1_text",
    "one_entry",
    "ro_crate",
    "zenodo",
]
