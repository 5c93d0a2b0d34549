"""Parameters and arrays of nets that give label volumes smaller voxels."""

import math
from collections.abc import Mapping
from typing import ClassVar, Final

from pydantic import model_validator

from nmcdist.bundle.parameters import Parameters, Positive, quantity, register_model

FACTOR: Final = 2  # voxels of the result along an edge of a voxel
MOST_LAYERS, MOST_CHANNELS, MOST_PHASES = 8, 64, 16
SHORTEST, LONGEST = 0.5, 8.0  # correlation length of the drawn labels, in voxels of the result


class SuperresParameters(Parameters):
    """A net from a label volume to the probabilities of the phases in voxels of half the edge.

    Arrays: `weight_0`, `bias_0`, `weight_1`, ... of valid convolutions: 3 x 3 x 3 voxels of the volume, then a last one
    of a single voxel, which gives the score of each phase in each of the eight parts of a voxel, phase by phase.
    """

    array_units: ClassVar[Mapping[str, str]] = {}

    coarse_voxel_nm: Positive = quantity("nm", "voxel edge of the volumes that the net takes")
    fine_voxel_nm: Positive = quantity("nm", "voxel edge of its results, half of that")
    correlation_nm: Positive = quantity(
        "nm", "length l of the covariance exp(-(h / l)^2) of the field that draws labels"
    )

    @model_validator(mode="after")
    def _lengths_fit_each_other(self) -> "SuperresParameters":
        if not math.isclose(self.coarse_voxel_nm, FACTOR * self.fine_voxel_nm, rel_tol=1e-9):
            raise ValueError(
                f"fine_voxel_nm: found {self.fine_voxel_nm:g}, expected half of coarse_voxel_nm = "
                f"{self.coarse_voxel_nm:g}"
            )
        if not SHORTEST <= self.correlation_nm / self.fine_voxel_nm <= LONGEST:
            raise ValueError(
                f"correlation_nm: found {self.correlation_nm:g}, expected {SHORTEST:g} to {LONGEST:g} times "
                "fine_voxel_nm"
            )
        return self

    def check_arrays(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless the arrays are those of such a net."""
        layers = len(shapes) // 2
        expected = {f"{part}_{layer}" for layer in range(layers) for part in ("weight", "bias")}
        if set(shapes) != expected or not 2 <= layers <= MOST_LAYERS + 1:
            raise ValueError(
                f"arrays: found {sorted(shapes)}, expected weight_0, bias_0, weight_1, ... of 2 to {MOST_LAYERS + 1} "
                "layers"
            )
        phases = _phases_of(shapes["weight_0"])
        taken = phases
        for layer in range(layers):
            is_last = layer == layers - 1
            given = FACTOR**3 * phases if is_last else _channels_of(shapes[f"weight_{layer}"], layer)
            for part, shape in (("weight", (given, taken, *(1 if is_last else 3,) * 3)), ("bias", (given,))):
                if shapes[f"{part}_{layer}"] != shape:
                    raise ValueError(
                        f"arrays.{part}_{layer}: found shape {shapes[f'{part}_{layer}']}, expected {shape}"
                    )
            taken = given


def _phases_of(first: tuple[int, ...]) -> int:
    if len(first) != 5 or not 2 <= first[1] <= MOST_PHASES:
        raise ValueError(
            f"arrays.weight_0: found shape {first}, expected (channels, 2 to {MOST_PHASES} phases, 3, 3, 3)"
        )
    return first[1]


def _channels_of(shape: tuple[int, ...], layer: int) -> int:
    if len(shape) != 5 or not 1 <= shape[0] <= MOST_CHANNELS:
        raise ValueError(f"arrays.weight_{layer}: found shape {shape}, expected 1 to {MOST_CHANNELS} channels")
    return shape[0]


register_model("superres", SuperresParameters)
