"""A named quantity, with its metadata, storage and measurement; all kinds of descriptors use it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OHSER = "Ohser and Schladitz, 3D Images of Materials Structures (2009)"
GEOMETRY = "elementary geometry"


@dataclass(frozen=True)
class Quantity:
    """One row of a table of quantities.

    Attributes
    ----------
    name : str
        Name of its variable.
    dims : tuple of str
        Dimensions of its variable, without those of the items.
    unit, long_name, estimator, source : str
        Attributes of its variable; empty ones are left out.
    dtype : str
        Type in the store.
    measure : callable, optional
        Returns the value. None where quantities are computed together.
    description : str
        What the long name does not say: how to read the values.
    """

    name: str
    dims: tuple[str, ...]
    unit: str
    long_name: str
    estimator: str = ""
    source: str = ""
    dtype: str = "float64"
    measure: Callable[[Any], Any] | None = None
    description: str = ""

    @property
    def attrs(self) -> dict[str, Any]:
        """Metadata as stored with the variable."""
        attrs: dict[str, Any] = {"units": self.unit, "long_name": self.long_name}
        more = {"description": self.description, "estimator": self.estimator, "source": self.source}
        attrs |= {name: text for name, text in more.items() if text}
        return attrs | ({"flag_values": [0, 1], "flag_meanings": "no yes"} if self.dtype == "int8" else {})


def by_name(*rows: Quantity) -> dict[str, Quantity]:
    """Return the quantities by name."""
    return {row.name: row for row in rows}
