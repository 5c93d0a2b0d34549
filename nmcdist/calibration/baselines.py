"""Bundles of the baseline generators, matched to a two-phase medium: in closed form where there is one."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.arguments import check_one_of
from nmcdist.bundle import (
    AnnealedParameters,
    Bundle,
    LevelCutParameters,
    PackingParameters,
    Parameters,
    PatternsParameters,
)
from nmcdist.bundle.schema import Calibration
from nmcdist.descriptors.directional import AXES_AND_DIAGONALS
from nmcdist.errors import InputError
from nmcdist.models.annealing import anneal
from nmcdist.models.ball_union import union_volume_and_surface
from nmcdist.models.body_theory import fibres_for, packing_for, spheres_for
from nmcdist.models.levelcut import fit_level_cut, level_cut_densities
from nmcdist.models.packing import check_density, pack_balls

OVERLAP = 0.2  # of soft balls
_LENGTH = 100.0  # of a fibre, in volumes over surfaces of its grain: about fifty radii
_DIGITS = 6  # of numbers in a bundle, and decimals in its arrays: more would differ between machines
_BALLS, _SEED, _INDEX = 500, 1, 2**32 - 1  # of the packings that soft balls are matched on
_MOST_STEPS, _NEAR = 12, 5e-4
_PROBE = 32  # voxels along an edge of a box that is annealed for a try
_HIGHEST = 0.99  # volume of all soft balls over that of the box


@dataclass(frozen=True, eq=False)
class Measured:
    """What baseline generators are matched on.

    Attributes
    ----------
    about : str
        Where the numbers are from.
    volume_fraction : float
        Of the solid.
    surface_per_nm : float
    lag_nm, coverage : ndarray of float64, shape (n,)
        Two-point coverage of the solid; the first lag is 0.
    directional : ndarray of float64, shape (9, lags + 1)
        Two-point coverage at multiples of :data:`nmcdist.descriptors.directional.AXES_AND_DIAGONALS`.
    image : ndarray of uint8, shape (nz, ny, nx)
        0 pore, 1 solid.
    voxel_size_nm : float
        Of the image and the lattice vectors.
    """

    about: str
    volume_fraction: float
    surface_per_nm: float
    lag_nm: np.ndarray
    coverage: np.ndarray
    directional: np.ndarray
    image: np.ndarray
    voxel_size_nm: float


@dataclass(frozen=True)
class Match:
    """Parameters and arrays of a generator, and in words how they were found and what they cannot meet."""

    parameters: Parameters
    how: str
    unmet: str
    arrays: Mapping[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Generator:
    """A baseline generator.

    Attributes
    ----------
    title : str
    matched : tuple of str
        Descriptors of the solid that it is matched on.
    match : callable
        Measured -> Match.
    """

    title: str
    matched: tuple[str, ...]
    match: Callable[[Measured], Match]


def fit_baseline(
    kind: str, measured: Measured, *, name: str | None = None, licence: str = "not stated", date: str = ""
) -> Bundle:
    """Return a bundle of a baseline generator, matched to a medium.

    The method in its calibration says what it is matched on, how well, and what it cannot meet.

    Parameters
    ----------
    kind : str
        A name in :data:`GENERATORS`.
    measured : Measured
    name, licence, date : str
        Of the bundle; the name defaults to the kind.

    Raises
    ------
    InputError
        If the kind is unknown, or cannot be matched to this medium.
    """
    generator = GENERATORS[check_one_of("kind", kind, tuple(GENERATORS))]
    try:
        found = generator.match(measured)
    except InputError as error:
        raise InputError(f"{kind}: {error}") from None
    return Bundle.of(
        name or kind, generator.title, found.parameters, licence=licence, provenance="fitted",
        source=f"matched on {measured.about}", arrays=found.arrays,
        calibration=Calibration(
            data=measured.about, method=f"Matched on {found.how}. Cannot meet: {found.unmet}.", date=date
        ),
    )  # fmt: skip


def reachable_error(bundle: Bundle) -> tuple[int, float]:
    """Return the edge in voxels of a small box, and the root mean square error of the coverage annealed in it.

    A curve that no medium has, for example because it was averaged over different ones, shows here.
    """
    edge = max(_PROBE, 2 * int(bundle.array_records["coverage"].shape[1] - 1))
    size = bundle.parameters_as(AnnealedParameters).voxel_size_nm
    found = anneal(bundle, (edge, edge, edge), size, _SEED, _INDEX)
    return edge, math.sqrt(found.energy / len(found.wanted))


def _fibres(measured: Measured) -> Match:
    ratio = measured.volume_fraction / measured.surface_per_nm
    found = fibres_for(measured.volume_fraction, measured.surface_per_nm, round_number(_LENGTH * ratio))
    return Match(_rounded(found), _closed(measured), "the two-point coverage, which follows from both")


def _boolean_spheres(measured: Measured) -> Match:
    found = spheres_for(measured.volume_fraction, measured.surface_per_nm)
    return Match(_rounded(found), _closed(measured), "the two-point coverage, which follows from both")


def _hard_spheres(measured: Measured) -> Match:
    check_density("spheres-packed", "volume_fraction", measured.volume_fraction)
    found = packing_for(measured.volume_fraction, measured.surface_per_nm)
    return Match(_rounded(found), _closed(measured), "necks between balls, which touch at most")


def _soft_spheres(measured: Measured) -> Match:
    share, volume, surface = _soft_packing(measured.volume_fraction)
    radius = surface / measured.surface_per_nm
    found = PackingParameters(radius_mean_nm=radius, ball_fraction=share, overlap=OVERLAP)
    how = (
        f"the volume fraction, {measured.volume_fraction:.4g}, by packings of {_BALLS} balls (met within "
        f"{abs(volume - measured.volume_fraction):.1g}), and the surface, {measured.surface_per_nm:.4g} /nm, by their "
        f"radius; the overlap of {OVERLAP:g} is chosen"
    )
    return Match(_rounded(found), how, "the two-point coverage, which follows from both")


def _soft_packing(wanted: float) -> tuple[float, float, float]:
    """Return the ball fraction whose union has a volume fraction, the fraction met, and surface times radius."""

    def union(share: float) -> tuple[float, float]:
        edge = round_number(float(np.cbrt(_BALLS * 4 / 3 * np.pi / share)))
        law = PackingParameters(radius_mean_nm=1.0, ball_fraction=share, overlap=OVERLAP)
        packing = pack_balls(law, np.full(3, edge), _SEED, _INDEX)
        volume, surface = union_volume_and_surface(packing, edge)
        return volume, surface * float(packing.radius_nm[0])

    before, share = round_number(wanted), round_number(min(1.1 * wanted, _HIGHEST))
    volume_before = union(before)[0]
    for _ in range(_MOST_STEPS):
        volume, surface = union(share)
        if abs(volume - wanted) <= _NEAR or (share == _HIGHEST and volume < wanted):
            break
        slope = (volume - volume_before) / (share - before)
        slope = slope if 0.2 < slope < 2.0 else 1.0  # packings scatter: a secant of near points may point anywhere
        before, volume_before = share, volume
        share = round_number(min(max(share + (wanted - volume) / slope, 0.5 * share), _HIGHEST))
    if abs(volume - wanted) > 4 * _NEAR:
        raise InputError(
            f"found a volume fraction of {wanted:.4g}, expected at most {volume:.4g}, that of the densest balls"
        )
    return share, volume, surface


def _level_cut(measured: Measured) -> Match:
    fit = fit_level_cut(measured.coverage, measured.lag_nm)
    found = fit.parameters
    # Whole millionths, so that the weights still add up to 1.
    parts = np.rint(np.array(found.weights) * 10**_DIGITS).astype(np.int64)
    parts[parts.argmax()] += 10**_DIGITS - parts.sum()
    kept = parts > 0
    scales = tuple(round_number(scale) for scale, keep in zip(found.scales_nm, kept, strict=True) if keep)
    weights = tuple((parts[kept] / 10**_DIGITS).tolist())
    rounded = LevelCutParameters(threshold=round_number(found.threshold), scales_nm=scales, weights=weights)
    how = (
        f"the volume fraction, {measured.volume_fraction:.4g}, and the two-point coverage to {measured.lag_nm[-1]:.4g} "
        f"nm (largest error {fit.error:.1g})"
    )
    surface = level_cut_densities(rounded).surface_area
    unmet = f"the surface: {surface:.4g} instead of {measured.surface_per_nm:.4g} /nm"
    return Match(rounded, how, unmet)


def _annealed(measured: Measured) -> Match:
    curves = _decimals(measured.directional)
    lags = curves.shape[1] - 1
    found = AnnealedParameters(voxel_size_nm=measured.voxel_size_nm)
    how = (
        f"the two-point coverage of {lags} lags of {measured.voxel_size_nm:g} nm along three axes and six diagonals, "
        f"until the sum of squared errors is {found.energy:g}"
    )
    unmet = "longer lags, other directions, and other voxel sizes"
    return Match(found, how, unmet, {"directions": AXES_AND_DIAGONALS.astype(np.float32), "coverage": curves})


def _patterns(measured: Measured) -> Match:
    shape = measured.image.shape
    share = np.count_nonzero(measured.image) / measured.image.size
    how = (
        f"a training image of {' x '.join(map(str, shape))} voxels of {measured.voxel_size_nm:g} nm with a volume "
        f"fraction of {share:.4g}"
    )
    unmet = "structures that are longer than half of the image, and other voxel sizes"
    found = PatternsParameters(voxel_size_nm=measured.voxel_size_nm)
    return Match(found, how, unmet, {"image": measured.image.astype(np.float32)})


def _closed(measured: Measured) -> str:
    return (
        f"the volume fraction, {measured.volume_fraction:.4g}, and the surface, {measured.surface_per_nm:.4g} /nm, in "
        "closed form"
    )


def round_number(value: float) -> float:
    """Return a number with six significant digits, which are the same on every machine."""
    return float(f"{value:.{_DIGITS}g}")


def _rounded(parameters: Parameters) -> Parameters:
    values: dict[str, Any] = parameters.model_dump(exclude_defaults=True)
    return type(parameters)(**{name: round_number(value) for name, value in values.items()})


def _decimals(values: np.ndarray) -> np.ndarray:
    return np.round(values, _DIGITS).astype(np.float32)


_BOTH = ("volume_fraction", "surface_area")
NEURAL = "neural"  # is trained, by nmcdist.calibration.neural, for minutes
GENERATORS = {
    "fibres": Generator("Boolean model of fibres", _BOTH, _fibres),
    "boolean-spheres": Generator("Boolean model of balls", _BOTH, _boolean_spheres),
    "hard-spheres": Generator("Packed hard balls", _BOTH, _hard_spheres),
    "soft-spheres": Generator("Packed balls that overlap", _BOTH, _soft_spheres),
    "level-cut": Generator("Cut Gaussian field", ("volume_fraction", "two_point_coverage"), _level_cut),
    "annealed": Generator("Annealed voxels", ("volume_fraction", "two_point_coverage"), _annealed),
    "patterns": Generator("Direct sampling of a training image", ("volume_fraction",), _patterns),
}


def matched_on(name: str) -> tuple[str, ...]:
    """Return the descriptors of the solid that a generator is matched on, or trained on in sections."""
    return (*_BOTH, "two_point_coverage") if name == NEURAL else GENERATORS[name].matched
