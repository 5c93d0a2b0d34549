"""The file of a catalog, read as data; only entries written by nmcdist are accepted.

The format is that of intake, where an entry may name any class or function to import and call. This module never
imports a name from a file: each must be the one that nmcdist writes, and any other is refused.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from nmcdist.errors import CatalogError
from nmcdist.faults import spelt
from nmcdist.inputs import local_path
from nmcdist.wording import shown
from nmcdist.yaml_text import load_yaml

READER = "nmcdist.datasets.reader:StoreReader"
OUTPUT = "xarray:Dataset"
DATATYPE = "intake.readers.datatypes:Zarr"
HERE = "{CATALOG_DIR}"  # intake puts the folder of the catalog here

_Scalar = str | int | float | bool | None
Nothing = Annotated[dict[str, Any], Field(max_length=0)]


def _plain_path(url: str) -> str:
    local_path(url)
    if not url.startswith((f"{HERE}/", "/")):
        raise ValueError(f"expected an absolute path, or one that begins with {HERE}/")
    if "{" in url.removeprefix(HERE) or "}" in url.removeprefix(HERE):
        raise ValueError("expected a path without braces, which stand for templates")
    return url


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Address(_Strict):
    url: Annotated[str, AfterValidator(_plain_path)]


class _Data(_Strict):
    datatype: Literal["intake.readers.datatypes:Zarr"]
    kwargs: _Address
    metadata: dict[str, _Scalar] = {}
    user_parameters: Nothing = {}


class _Options(_Strict):
    data: Annotated[str, spelt(r"\{data\([^(){}]+\)\}", "{data(NAME)}")]
    chunks: dict[str, Annotated[int, Field(ge=-1)]] = {}
    consolidated: bool = True

    @property
    def source(self) -> str:
        """Name of the data that the entry reads."""
        return self.data.removeprefix("{data(").removesuffix(")}")


class _Entry(_Strict):
    reader: Literal["nmcdist.datasets.reader:StoreReader"]
    output_instance: Literal["xarray:Dataset"] = "xarray:Dataset"
    kwargs: _Options
    metadata: dict[str, _Scalar] = {}
    user_parameters: Nothing = {}


class CatalogFile(_Strict):
    """The content of a catalog file: names, paths of stores, and metadata."""

    version: Literal[2]
    metadata: dict[str, _Scalar] = {}
    aliases: dict[str, str]
    data: dict[str, _Data]
    entries: dict[str, _Entry]
    user_parameters: Nothing = {}

    @model_validator(mode="after")
    def _points_at_what_is_there(self) -> "CatalogFile":
        lost = sorted(set(self.aliases.values()) - set(self.entries))
        if lost:
            raise ValueError(f"aliases: found {lost}, which are not among the entries")
        for name, entry in self.entries.items():
            if entry.kwargs.source not in self.data:
                raise ValueError(f"entries.{name}.kwargs.data: found {entry.kwargs.source!r}, which is not in data")
        return self

    def store(self, name: str, folder: Path) -> Path:
        """Return the path of a named store, for a catalog in a folder."""
        url = self.data[self.entries[self.aliases[name]].kwargs.source].kwargs.url
        return Path(url.replace(HERE, str(folder), 1))


def read_catalog_file(path: Path) -> CatalogFile:
    """Read the file of a catalog; nothing in it is run or imported.

    Raises
    ------
    CatalogError
        If it cannot be read, or holds entries that nmcdist did not write.
    """
    return checked(load_yaml(path, CatalogError), path)


def checked(content: Any, path: Path) -> CatalogFile:
    """Return the content of a catalog file as a model.

    Raises
    ------
    CatalogError
        With the first entry that nmcdist would not write.
    """
    try:
        return CatalogFile.model_validate(content)
    except ValidationError as error:
        raise CatalogError(f"{path}: {_fault(error)}") from None


def catalog_text(content: dict[str, Any]) -> str:
    """Return the content of a catalog file as YAML that every YAML version reads alike."""
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110))


class _Dumper(yaml.SafeDumper):
    """Quotes text that only some YAML versions read as a number, such as 1e5."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write repeated values in full instead of as aliases."""
        return True


def _quoted(dumper: yaml.SafeDumper, text: str) -> Any:
    style = "'" if text[:1] in set("0123456789+-.") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def _fault(error: ValidationError) -> str:
    """Return the first fault as one line: where, what was found, what was expected."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not where:  # a fault of the whole model, whose message names its fields
        return (
            f"not an intake catalog of version 2 (found {shown(fault['input'])})"
            if fault["type"] == "model_type"
            else message
        )
    is_missing = fault["type"] == "missing"  # its input is all that is around the field
    if where == "version":
        found = "it gives no version" if is_missing else f"version: {shown(fault['input'])}"
        return f"not an intake catalog of version 2 ({found})"
    if is_missing:
        return f"{where}: missing"
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown field; a catalog holds data only, and runs no code"
    if where.endswith("user_parameters"):
        message = "none, since they can run code"
    elif where.endswith((".reader", ".datatype", ".output_instance")):
        message += "; no other class is imported"
    expected = message if message.startswith("expected") else f"expected {message}"
    return f"{where}: found {shown(fault['input'])}, {expected}"
