"""What a release says of itself: the metadata that a person writes, and what the store adds to them.

Every document of a release is written from :class:`Release`, which ``release.json`` holds.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

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
from nmcdist.faults import NAME, fault_lines
from nmcdist.products.recipe import Line, as_tuple, each_once
from nmcdist.releases.fields import (
    Description,
    Doi,
    Keywords,
    License,
    Name,
    Orcid,
    Papers,
    Sha256,
    Url,
    each_doi_once,
    printable,
)
from nmcdist.releases.versions import checked_version
from nmcdist.wording import shown
from nmcdist.yaml_text import load_yaml

RELEASE_FILE = "release.json"
NOT_STATED = "not stated"  # in place of a licence, by finished jobs that nobody has published
EXAMPLE = "{license: CC-BY-4.0, creators: [{name: 'Family, Given', orcid: 0000-0002-1825-0097}]}"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class Creator(_Frozen):
    """An author: a person, named "Family, Given", or an organisation."""

    name: Name = Field(description="Name: `Family, Given` for a person, the plain name for an organisation.")
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


def _each_person_once(creators: tuple[Creator, ...]) -> tuple[Creator, ...]:
    each_once(tuple(creator.orcid for creator in creators if creator.orcid is not None))
    return creators


Creators = Annotated[tuple[Creator, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=1000)]


class Metadata(_Frozen):
    """What a person writes about a dataset. The descriptions are the reference of the keys of `dataset.yaml`."""

    license: License = Field(description="SPDX id of the licence, as `CC-BY-4.0`. Required.")
    creators: Annotated[Creators, AfterValidator(_each_person_once)] = Field(
        description="Authors, each with `name`, and if known `orcid`, `affiliation`. Required."
    )
    title: Line | None = Field(None, description="Title. Default: that of the store.")
    description: Description | None = Field(
        None, description="What the dataset holds, 50 to 5000 characters. Default: what the store says."
    )
    citation: Annotated[str, AfterValidator(printable), Field(min_length=1, max_length=1000)] | None = Field(
        None, description="How to cite. Default: creators, year, title, version, and the DOI if there is one."
    )
    keywords: Keywords = Field((), description="Keywords. Default: microstructure, stochastic geometry, the kind.")
    papers: Annotated[Papers, AfterValidator(each_doi_once)] = Field(
        (), description="DOIs of papers, besides those that the store names as its sources."
    )
    doi: Doi | None = Field(None, description="DOI of this release, if one is reserved.")
    url: Url | None = Field(None, description="Web page of the dataset.")
    publisher: Line | None = Field(None, description="Publisher, for example `Zenodo`.")
    hosts: bool = Field(True, description="Whether to publish the names of the machines that made the dataset.")


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
    license: License | Literal["not stated"]
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

    @property
    def archive(self) -> str:
        """Name of the file that holds the store of a packed release."""
        return f"{self.label}.zarr.zip"


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
