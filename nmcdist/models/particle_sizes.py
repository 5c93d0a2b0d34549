"""Sizes of particles and grains from the parameters of their laws, the same to the last bit on every machine."""

import math
from functools import lru_cache

from nmcdist.bundle import ParticleParameters, ShellParameters
from nmcdist.geometry.elementary import cbrt, exp
from nmcdist.models.grains import intensity_profile
from nmcdist.models.quantiles import normal_quantile
from nmcdist.models.shell import ShellModel

_SEED, _SHELLS = 811, 1000  # of the shells drawn for the share of rejected ones


def median_diameter_nm(parameters: ShellParameters) -> float:
    """Return the median of the mean diameters Z_00 / sqrt(pi) of particles, twice the mean radius, in nm.

    The median of the law of Z_00, Eq. (5) of the NMC811 paper, without its lowest values: these are taken to be the
    rejected shells, whose share is that of 1000 drawn shells. Without rejections, (location + scale) / sqrt(pi).

    Raises
    ------
    InputError
        If the law produces no valid shell.
    """
    p = parameters
    quantile = normal_quantile(0.5 * _rejected_share(ShellModel.of(p)))
    return float((p.shell_location_nm + p.shell_scale_nm * exp(p.shell_sigma * quantile)) / math.sqrt(math.pi))


@lru_cache(maxsize=4096)  # the points of a design that varies the grains have the same shells
def _rejected_share(shells: ShellModel) -> float:
    rejected = int(shells.draw_many(_SEED, range(_SHELLS))[1].sum())
    return rejected / (rejected + _SHELLS)


def grain_diameter_nm(parameters: ParticleParameters) -> float:
    """Return the diameter in nm of the ball of the mean volume of a grain, 1 / intensity.

    With an intensity that depends on the distance from the centre, the mean is over a particle of median diameter.
    Seeds without a grain are neglected. The mean of the grains' own diameters is a few percent smaller.
    """
    profile = intensity_profile(parameters)
    if profile is None:
        return float(cbrt(6.0 / (math.pi * parameters.grain_intensity_per_nm3)))
    across = median_diameter_nm(parameters)
    return float(across / cbrt(float(profile.seeds_within(0.5 * across))))
