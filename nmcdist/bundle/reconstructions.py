"""Parameters and arrays of the models that rebuild a medium from measured curves or from an image of it."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from nmcdist.bundle.parameters import Finite, NotNegative, Parameters, Positive, as_tuple, quantity, register_model

MOST_SCALES = 64
SECTIONS = ("section_z", "section_y", "section_x")  # images normal to each axis
Several = Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MOST_SCALES), BeforeValidator(as_tuple)]


class LevelCutParameters(Parameters):
    """The set where a Gaussian field with covariance sum_k w_k exp(-(h / l_k)^2) is at least the threshold."""

    threshold: Finite = quantity("1", "threshold of the field: the solid is where the field is at least this")
    scales_nm: Several = quantity("nm", "lengths l_k of the covariance")
    weights: Several = quantity("1", "weights w_k of the covariance, with the sum 1")

    @model_validator(mode="after")
    def _weights_fit_the_scales(self) -> "LevelCutParameters":
        if len(self.weights) != len(self.scales_nm):
            raise ValueError(
                f"weights: found {len(self.weights)} numbers, expected one per scale: {len(self.scales_nm)}"
            )
        if abs(math.fsum(self.weights) - 1) > 1e-6:
            raise ValueError(f"weights: found the sum {math.fsum(self.weights):g}, expected 1")
        return self


class AnnealedParameters(Parameters):
    """Annealing of voxels until their two-point coverage is that of the arrays (Yeong and Torquato).

    Arrays: `directions`, lattice vectors (z, y, x) in voxels, shape (d, 3); `coverage`, shape (d, lags + 1), the
    probability that two voxels both lie in the solid, at 0, 1, 2, ... times each vector.
    """

    array_units: ClassVar[Mapping[str, str]] = {"directions": "1", "coverage": "1"}

    voxel_size_nm: Positive = quantity("nm", "voxel edge of the lattice vectors, and of the volumes")
    energy: NotNegative = quantity("1", "sum of squared errors of the coverage at which annealing stops", default=5e-9)
    most_sweeps: Annotated[float, Field(ge=1, le=10_000)] = quantity(
        "1", "most exchanges that are tried, per voxel", default=60.0
    )

    def check_arrays(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless the arrays have these names, and shapes that fit each other."""
        _check_names(shapes, set(self.array_units))
        vectors, curves = shapes["directions"], shapes["coverage"]
        if len(vectors) != 2 or vectors[0] < 1 or vectors[1] != 3:
            raise ValueError(f"arrays.directions: found shape {vectors}, expected (directions, 3)")
        if len(curves) != 2 or curves[0] != vectors[0] or curves[1] < 2:
            raise ValueError(f"arrays.coverage: found shape {curves}, expected ({vectors[0]}, lags + 1)")


class PatternsParameters(Parameters):
    """Direct sampling of a training image.

    Arrays: `image`, a labelled volume; or `section`, a labelled section whose patterns every plane of voxels shows;
    or `section_z`, `section_y` and `section_x`, sections normal to these axes. Rows and columns follow the order
    z, y, x.
    """

    array_units: ClassVar[Mapping[str, str]] = dict.fromkeys(("image", "section", *SECTIONS), "1")

    voxel_size_nm: Positive = quantity("nm", "voxel edge of the image, and of the volumes")
    neighbours: Annotated[float, Field(ge=1, le=200, multiple_of=1)] = quantity(
        "1", "most known voxels around a voxel that are compared with the image", default=24.0
    )
    tolerance: Annotated[float, Field(ge=0, lt=1)] = quantity(
        "1", "share of these voxels that may differ at a place of the image that ends the search", default=0.02
    )
    most_places: Annotated[float, Field(ge=1, le=1e9, multiple_of=1)] = quantity(
        "1", "most places of the image that are looked at per voxel", default=200.0
    )
    revisits: Annotated[float, Field(ge=0, le=100, multiple_of=1)] = quantity(
        "1", "how often the voxels of each grid are drawn again, given those around them", default=1.0
    )

    def check_arrays(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless the arrays are one volume, one section, or three sections."""
        expected = next(({name} for name in ("image", "section") if name in shapes), set(SECTIONS))
        _check_names(shapes, expected)
        for name, shape in shapes.items():
            count = 3 if name == "image" else 2
            if len(shape) != count or min(shape) < 2:
                raise ValueError(f"arrays.{name}: found shape {shape}, expected {count} edges of at least 2 voxels")


def _check_names(found: Mapping[str, object], expected: set[str]) -> None:
    if set(found) != expected:
        raise ValueError(f"arrays: found {sorted(found)}, expected {sorted(expected)}")


register_model("level-cut", LevelCutParameters)
register_model("annealed", AnnealedParameters)
register_model("patterns", PatternsParameters)
