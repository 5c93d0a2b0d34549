"""Parameters of the models of bodies: fibres, balls, and electrodes of packed particles."""

import itertools
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from nmcdist.bundle.parameters import (
    AdditiveParameters,
    CbaParameters,
    Finite,
    NotNegative,
    Parameters,
    Positive,
    ShellParameters,
    quantity,
    register_model,
)

STRAIGHTEST, LONGEST = 10.0, 100.0  # persistence length in radii, at least; length in persistence lengths, at most


def _of_some_spread(value: float) -> float:
    if 0 < value < 1e-4:
        raise ValueError("expected 0, or a number from 1e-4 to 1")
    return value


Spread = Annotated[float, Field(ge=0, le=1), AfterValidator(_of_some_spread)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class RadiusParameters(Parameters):
    """The law of radii of fibres and balls: a gamma law, or one radius."""

    radius_mean_nm: Positive = quantity("nm", "mean radius")
    radius_spread: Spread = quantity(
        "1", "standard deviation of the radius over its mean, of a gamma law; 0 for one radius", default=0.0
    )  # fmt: skip


class FibreParameters(RadiusParameters):
    """A Boolean model of fibres.

    With knots, the intensity depends on z: it is `intensity_per_nm3` times a factor, which is linear between knots,
    and constant before the first and beyond the last.
    """

    intensity_per_nm3: Positive = quantity("nm^-3", "intensity of the germs, which are the fibres' middles")
    length_nm: Positive = quantity("nm", "length of the axis of a fibre, which has round ends")
    anisotropy: Annotated[float, Field(ge=1, le=1e6)] = quantity(
        "1", "1 for isotropic directions; larger for directions near the plane across z", default=1.0
    )  # fmt: skip
    persistence_length_nm: Positive | None = quantity(
        "nm", "length over which a curved fibre forgets its direction; none for straight fibres", default=None
    )  # fmt: skip
    sheath_nm: NotNegative = quantity("nm", "thickness of the sheath around fibres", default=0.0)
    profile_knots_nm: tuple[Finite, ...] = quantity(
        "nm", "positions z at which the intensity is given; none where it is constant", default=(), max_length=1000
    )  # fmt: skip
    profile_factors: tuple[Annotated[float, Field(ge=0, le=1)], ...] = quantity(
        "1", "intensity at the knots over intensity_per_nm3, at most 1", default=(), max_length=1000
    )  # fmt: skip

    @model_validator(mode="after")
    def _knots_have_factors(self) -> "FibreParameters":
        knots, factors = self.profile_knots_nm, self.profile_factors
        if len(knots) != len(factors):
            raise ValueError(
                f"profile_factors: found {len(factors)} numbers, expected one per knot, of which there are {len(knots)}"
            )
        if any(b <= a for a, b in itertools.pairwise(knots)):
            raise ValueError(f"profile_knots_nm: found {list(knots)}, expected ascending positions")
        return self

    @model_validator(mode="after")
    def _fibres_keep_clear_of_themselves(self) -> "FibreParameters":
        persistence, least = self.persistence_length_nm, STRAIGHTEST * (self.radius_mean_nm + self.sheath_nm)
        if persistence is None:
            return self
        if persistence < least:
            raise ValueError(
                f"persistence_length_nm: found {persistence:g}, expected at least {STRAIGHTEST:g} radii with sheath, "
                f"{least:g}"
            )
        if self.length_nm > LONGEST * persistence:
            raise ValueError(
                f"length_nm: found {self.length_nm:g}, expected at most {LONGEST:g} persistence lengths, "
                f"{LONGEST * persistence:g}"
            )
        return self


class SphereParameters(RadiusParameters):
    """A Boolean model of balls."""

    intensity_per_nm3: Positive = quantity("nm^-3", "intensity of the germs, which are the balls' centres")


class PackingParameters(RadiusParameters):
    """Packed balls in a periodic box."""

    ball_fraction: Fraction = quantity("1", "volume of all balls over the volume of the box")
    overlap: Annotated[float, Field(ge=0, le=0.5)] = quantity(
        "1", "share of the sum of their radii by which two balls may overlap; 0 for hard balls", default=0.0
    )  # fmt: skip


class ElectrodeParameters(ShellParameters, AdditiveParameters):
    """NMC particles, packed in a periodic box with the additive between them."""

    nmc_fraction: Fraction = quantity("1", "volume of all particles over the volume of the box")

    def additive(self) -> CbaParameters:
        """Return the parameters of the additive."""
        return CbaParameters(**{name: getattr(self, name) for name in CbaParameters.model_fields})


register_model("fibres", FibreParameters)
register_model("spheres-boolean", SphereParameters)
register_model("spheres-packed", PackingParameters)
register_model("electrode-packed", ElectrodeParameters)
