"""What a release says of itself: the metadata that a person writes, and what the store adds to them.

Every document of a release is written from :class:`Release`, which ``release.json`` holds.
"""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from nmcdist.errors import ReleaseError
from nmcdist.faults import NAME, fault_lines, spelt
from nmcdist.products.recipe import Line, as_tuple, each_once
from nmcdist.releases.versions import checked_version
from nmcdist.wording import shown
from nmcdist.yaml_text import load_yaml

RELEASE_FILE = "release.json"
EXAMPLE = "{license: CC-BY-4.0, creators: [{name: 'Family, Given', orcid: 0000-0002-1825-0097}]}"
_ORCID = re.compile(r"(?:https?://orcid\.org/)?([0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X])")
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.[0-9]{4,9}/[!-;=?-~]+)", re.IGNORECASE)  # no < and >
_WEB = spelt(r"https?://[!-;=?-~]+", "a web address that begins with https:// or http://")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def _orcid(text: str) -> str:
    found = _ORCID.fullmatch(text)
    if found is None:
        raise ValueError(f"found {shown(text)}, expected an ORCID such as 0000-0002-1825-0097")
    digits = found[1].replace("-", "")
    if digits[-1] != check_digit(digits[:-1]):
        raise ValueError(f"found {shown(text)}, whose last digit does not fit the others: a typing error")
    return found[1]


def check_digit(digits: str) -> str:
    """Return the check digit of an ORCID's first 15 digits (ISO 7064, MOD 11-2)."""
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    return "0123456789X"[(12 - total % 11) % 11]


def _doi(text: str) -> str:
    found = _DOI.fullmatch(text)
    if found is None:
        raise ValueError(f"found {shown(text)}, expected a DOI such as 10.1038/s43246-024-00728-5")
    return found[1]


def _licence(text: str) -> str:
    """Return the id of one licence in the case of the SPDX list; refuse unknown ids, and terms of several."""
    expected = "expected the SPDX id of a licence, as CC-BY-4.0, CC0-1.0 or MIT (https://spdx.org/licenses)"
    try:
        found = str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        raise ValueError(f"found {shown(text)}, {expected}") from None
    if not re.fullmatch(r"[A-Za-z0-9.-]+", found) or found.startswith("LicenseRef-"):
        raise ValueError(f"found {shown(text)}, {expected}")
    return found


def _text(text: str) -> str:
    """Return a text without space at its ends; refuse control characters but newlines."""
    if any(not c.isprintable() and c != "\n" for c in text):
        raise ValueError(f"found {shown(text)}, expected printable text")
    return text.strip()


def _name(text: str) -> str:
    if not any(c.isalpha() for c in text):
        raise ValueError(f"found {shown(text)}, expected a name with letters")
    return text.strip()


Orcid = Annotated[str, AfterValidator(_orcid)]
Doi = Annotated[str, AfterValidator(_doi)]
Url = Annotated[str, Field(max_length=500), _WEB]
License = Annotated[str, Field(max_length=100), AfterValidator(_licence)]
Description = Annotated[str, AfterValidator(_text), Field(min_length=50, max_length=5000)]
Sha256 = Annotated[str, spelt("[0-9a-f]{64}", "64 hexadecimal digits")]


class Creator(_Frozen):
    """An author: a person, named "Family, Given", or an organisation."""

    name: Annotated[Line, AfterValidator(_name)] = Field(
        description="Name: `Family, Given` for a person, the plain name for an organisation."
    )
    orcid: Orcid | None = Field(None, description="ORCID of a person; its check digit is checked.")
    affiliation: Line | None = Field(None, description="Institution of a person.")

    @property
    def is_person(self) -> bool:
        """Whether this is a person."""
        return self.orcid is not None or "," in self.name

    @property
    def parts(self) -> tuple[str, str]:
        """Family name and given name; the latter is empty if there is no comma."""
        family, _, given = self.name.partition(",")
        return family.strip(), given.strip()


Creators = Annotated[tuple[Creator, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=1000)]
Keywords = Annotated[
    tuple[Line, ...], BeforeValidator(as_tuple), Field(max_length=50), AfterValidator(each_once)
]  # fmt: skip
Papers = Annotated[tuple[Doi, ...], BeforeValidator(as_tuple), Field(max_length=100), AfterValidator(each_once)]


class Metadata(_Frozen):
    """What a person writes about a dataset. The descriptions are the reference of the keys of `dataset.yaml`."""

    license: License = Field(description="SPDX id of the licence, as `CC-BY-4.0`. Required.")
    creators: Creators = Field(description="Authors, each with `name`, and if known `orcid`, `affiliation`. Required.")
    title: Line | None = Field(None, description="Title. Default: that of the store.")
    description: Description | None = Field(
        None, description="What the dataset holds, 50 to 5000 characters. Default: what the store says."
    )
    citation: Annotated[str, AfterValidator(_text), Field(min_length=1, max_length=1000)] | None = Field(
        None, description="How to cite. Default: creators, year, title, version, and the DOI if there is one."
    )
    keywords: Keywords = Field((), description="Keywords. Default: microstructure, stochastic geometry, the kind.")
    papers: Papers = Field((), description="DOIs of papers, besides those that the store names as its sources.")
    doi: Doi | None = Field(None, description="DOI of this release, if one is reserved.")
    url: Url | None = Field(None, description="Web page of the dataset.")
    publisher: Line | None = Field(None, description="Publisher, for example `Zenodo`.")


class Variable(_Frozen):
    """A variable of the store, as its attributes describe it."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    units: str = ""
    long_name: str = ""
    description: str = ""
    estimator: str = ""
    source: str = ""


class Sizes(_Frozen):
    """Size of the store."""

    bytes: int
    files: int
    items: int


class BundleOrigin(_Frozen):
    """The bundle that the items were drawn from; `path` is its folder in the release, empty if it is not included."""

    name: str
    title: str = ""
    hash: Sha256
    calibrated_on: str = ""
    path: str = ""


class Versions(_Frozen):
    """Versions of the packages that wrote the bytes of the store; None if they were not recorded."""

    nmcdist: str | None = None
    zarr: str | None = None
    numcodecs: str | None = None


class Provenance(_Frozen):
    """How the store was made."""

    recipe: dict[str, Any]
    recipe_hash: Sha256
    bundle: BundleOrigin
    seed: int
    versions: Versions
    hosts: tuple[str, ...] = ()


class Release(_Frozen):
    """A published version of a dataset."""

    nmcdist_release: Literal[1] = 1
    name: Annotated[str, Field(max_length=100), NAME]
    version: Annotated[str, Field(max_length=100), AfterValidator(checked_version)]
    title: str
    description: str
    license: License
    creators: Creators
    citation: str
    keywords: Keywords
    papers: Papers
    doi: Doi | None
    url: Url | None
    publisher: str | None
    created: date
    store: str
    kind: str
    virtual: bool
    manifest_sha256: Sha256
    sizes: Sizes
    variables: tuple[Variable, ...]
    provenance: Provenance
    preview: str = ""

    @model_validator(mode="after")
    def _holds_its_store(self) -> "Release":
        if self.store != f"{self.name}.zarr":
            raise ValueError(f"store: found {shown(self.store)}, expected {self.name}.zarr")
        return self

    @property
    def label(self) -> str:
        """Name and version, as in the names of files and of catalog entries."""
        return f"{self.name}-{self.version}"


def read_metadata(metadata: str | Path | Mapping[str, Any] | Metadata | None, default: Path) -> Metadata:
    """Return the metadata of a release, from a file, from its content, or from the default file if that exists.

    Raises
    ------
    ReleaseError
        One line per fault; where no file is given or found, one that shows what to write.
    """
    if isinstance(metadata, Metadata):
        return metadata
    if metadata is None and not default.exists():
        raise ReleaseError(
            f"{default}: no such file, expected licence and creators of the dataset; write for example: {EXAMPLE}"
        )
    if isinstance(metadata, Mapping):
        content, where = dict(metadata), "metadata"
    else:
        where = str(metadata or default)
        content = load_yaml(where, ReleaseError)
    missing = [name for name in ("license", "creators") if content.get(name) is None]
    if missing:
        raise ReleaseError(f"{where}: {' and '.join(missing)}: missing, expected for example: {EXAMPLE}")
    try:
        return Metadata.model_validate(content)
    except ValidationError as error:
        raise ReleaseError("\n".join(fault_lines(error, where, Metadata))) from None
