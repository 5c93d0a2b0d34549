"""How far the grains of a model are from measured ones: descriptors of both, in sections and in particles, compared.

A distance means something only beside two others: that of the truth from an independent draw of itself, the noise
floor, and those of models that know less.

Samples are dictionaries of descriptors. Those of grains have a value a grain, NaN where the descriptor of a grain
is undefined; beside them stands `radius_nm`, the grains' distance from the centre.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from nmcdist.calibration.grains.sections import Section
from nmcdist.calibration.grains.tessellation_fit import MISSING, Fit
from nmcdist.descriptors import grains as descriptors_3d
from nmcdist.descriptors import sections as descriptors_2d
from nmcdist.descriptors.grain_moments import DEGENERATE, check_labels, find_runs, grain_moments
from nmcdist.errors import InputError
from nmcdist.geometry.tessellation import label_lattice
from nmcdist.models.grains import GrainModel, Grains
from nmcdist.models.particle import ParticleModel
from nmcdist.models.shell import Shell

Samples = Mapping[str, np.ndarray]

RADIUS = "radius_nm"
CHORDS = "chord_length_nm"
OF_SECTIONS = ("area_nm2", "elongation", "angle_to_radius")
SHORT_AXIS = "short_axis_angle"
OF_GRAINS = (
    "volume_nm3", "equivalent_diameter_nm", "elongation", "flatness", "angle_to_radius", "neighbours",
    "boundary_area_nm2",
)  # fmt: skip
BINS = 5  # of radius

_EDGE = 3.0  # spacings of the seeds that sections go beyond the mask at first
_COST = 2.2  # squared spacings times the mean of D: a cost that is seldom exceeded
_TRIAL = 6.0  # spacings: radius of the grains from which that mean is taken


@dataclass(frozen=True)
class Distance:
    """How far two samples of one descriptor are apart.

    Attributes
    ----------
    ks : float
        Largest difference of the distribution functions (Kolmogorov-Smirnov).
    wasserstein : float
        Area between the distribution functions (1-Wasserstein), in standard deviations of the truth.
    wasserstein_own : float
        The same in the descriptor's unit.
    profile_ks, profile_wasserstein : float or None
        The mean of `ks` and `wasserstein` over bins of radius: see :func:`profile_distance`. None without radii,
        and where a bin has no value.
    n_found, n_truth : int
        Sizes of the samples.
    """

    ks: float
    wasserstein: float
    wasserstein_own: float
    profile_ks: float | None
    profile_wasserstein: float | None
    n_found: int
    n_truth: int


@dataclass(frozen=True)
class Floor:
    """Distances between independent draws of one model: means over the repetitions, and the largest of two."""

    ks: float
    ks_largest: float
    wasserstein: float
    wasserstein_largest: float
    profile_ks: float | None
    profile_wasserstein: float | None
    repetitions: int


@dataclass(frozen=True)
class Errors:
    """Half the widths of the intervals of a :class:`Distance`; None where one is not known."""

    ks: float | None
    wasserstein: float | None
    profile_ks: float | None
    profile_wasserstein: float | None


def section_samples(sections: Sequence[Section]) -> dict[str, np.ndarray]:
    """Return the descriptors of the grains in planar sections, pooled.

    What is missing in a section belongs to no grain here: fill it first (:func:`filled`).

    Parameters
    ----------
    sections : sequence of Section

    Returns
    -------
    dict of str to ndarray of float64
        area_nm2 (A_cross), elongation (eta), angle_to_radius (alpha, NaN where undefined) and radius_nm of the
        grains, and chord_length_nm.
    """
    tables = [section.describe() for section in sections]
    chords = [section.chord_lengths() for section in sections]
    return {**_pooled(tables, OF_SECTIONS), CHORDS: np.concatenate([np.empty(0), *chords])}


def grain_samples(
    particle_model: ParticleModel,
    seed: int,
    count: int,
    voxel_size_nm: float = 100.0,
    start: int = 0,
    shells: Sequence[Shell] | None = None,
) -> dict[str, np.ndarray]:
    """Return the descriptors of all grains of whole particles, pooled.

    Grains at the surface are whole and count like others, as :func:`nmcdist.descriptors.grains.describe_grains`
    gives them: what lies outside is no neighbour, and the area they share with it is no boundary.

    Parameters
    ----------
    particle_model : ParticleModel
    seed : int
    count : int
        Particles.
    voxel_size_nm : float
        At which they are described.
    start : int
        Index of the first particle.
    shells : sequence of Shell, optional
        Those that the grains are drawn in, one for each particle; default: the model's own.

    Returns
    -------
    dict of str to ndarray of float64
        volume_nm3, equivalent_diameter_nm, elongation, flatness, angle_to_radius (NaN where undefined), neighbours,
        boundary_area_nm2 and radius_nm; short_axis_angle, the angle between the shortest axis and the radius in
        [0, pi/2] (NaN where undefined).
    """
    tables, angles = [], [np.empty(0)]
    for k, index in enumerate(range(start, start + count)):
        shell = particle_model.shells.draw(seed, index) if shells is None else shells[k]
        particle = particle_model.draw_in(shell, seed, index)
        labels, origin = particle.voxelize(voxel_size_nm), particle.grid(voxel_size_nm)[1]
        tables.append(descriptors_3d.describe_grains(labels, voxel_size_nm, origin))
        angles.append(_short_axis_angles(labels, voxel_size_nm, origin))
    return {**_pooled(tables, OF_GRAINS), SHORT_AXIS: np.concatenate(angles)}


def generated_sections(grain_model: GrainModel, like: Sequence[Section], seed: int, start: int = 0) -> list[Section]:
    """Return for each section a central section of freshly drawn grains, of the same particle as far as one can.

    A grain belongs to a generated section if its centre of mass in the endless plane lies in the measured one, and
    then it belongs as a whole, as grains do whose centre of mass in space lies in the shell. So neither has cut
    grains, and both are samples of the grains of the plane that favour none.

    Parameters
    ----------
    grain_model : GrainModel
    like : sequence of Section
        Whose pixel sizes, centres and masks are taken; missing pixels are part of the mask.
    seed : int
        Not that of the truth, if a model drew it: equal seeds have equal places.
    start : int
        Index of the first draw.

    Returns
    -------
    list of Section
        Without missing pixels, in frames that are larger than the measured ones by a margin.

    Raises
    ------
    InputError
        If a section has no pixel of a particle, or seed or start is impossible.
    """
    rim_nm = _rim(grain_model)
    return [_generated(grain_model, section, rim_nm, seed, start + k) for k, section in enumerate(like)]


def filled(section: Section, fit: Fit) -> Section:
    """Return a section whose missing pixels lie in the grains of a tessellation that was fitted to it.

    Raises
    ------
    InputError
        If the tessellation has other grains than the section.
    """
    labels = section.labels
    grains = np.unique(labels[labels > 0])
    if not np.array_equal(grains, fit.grains):
        raise InputError(f"fit: found {len(fit.grains)} grains, expected the {len(grains)} of section {section.name}")
    shape = (labels.shape[0], labels.shape[1])
    fitted = fit.grains[fit.tessellation.labels(shape, section.pixel_size_nm, section.centre_px) - 1]
    return replace(section, labels=np.where(labels == MISSING, fitted, labels).astype(np.int32))


def kolmogorov_smirnov(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the largest difference between the distribution functions of two samples, shapes (n,) and (m,)."""
    a, b = _checked("found", found), _checked("truth", truth)
    places = np.concatenate([a, b])
    return float(np.abs(_shares(a, places) - _shares(b, places)).max())


def wasserstein(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the area between the distribution functions of two samples, shapes (n,) and (m,), in their unit."""
    a, b = _checked("found", found), _checked("truth", truth)
    places = np.sort(np.concatenate([a, b]))
    return float((np.abs(_shares(a, places) - _shares(b, places))[:-1] * np.diff(places)).sum())


def profile_distance(
    found: np.ndarray, found_radius: np.ndarray, truth: np.ndarray, truth_radius: np.ndarray, bins: int = BINS
) -> tuple[float, float] | None:
    """Return the mean distances of two samples within bins of radius, weighted by the truth's counts.

    The bins have equal counts of the truth; the first and the last are open.

    Parameters
    ----------
    found, truth : ndarray of float64, shapes (n,) and (m,)
    found_radius, truth_radius : ndarray of float64, shapes (n,) and (m,)
        Distances from the centre.
    bins : int

    Returns
    -------
    ks, wasserstein : float
        The latter in the descriptor's unit. None in place of both if a bin is without values of one of the two.

    Raises
    ------
    InputError
        If a sample is empty or not finite, or its radii are not as many.
    """
    a, b = _checked("found", found), _checked("truth", truth)
    for name, values, radii in (("found_radius", a, found_radius), ("truth_radius", b, truth_radius)):
        if np.shape(radii) != values.shape:
            raise InputError(f"{name}: found shape {np.shape(radii)}, expected {values.shape}")
    edges = np.quantile(truth_radius, np.arange(1, bins) / bins)
    of_a, of_b = np.digitize(found_radius, edges), np.digitize(truth_radius, edges)
    weights = np.bincount(of_b, minlength=bins)
    if not weights.all() or not np.bincount(of_a, minlength=bins).all():
        return None
    pairs = [(a[of_a == k], b[of_b == k]) for k in range(bins)]
    ks = float(np.average([kolmogorov_smirnov(*pair) for pair in pairs], weights=weights))
    return ks, float(np.average([wasserstein(*pair) for pair in pairs], weights=weights))


def distances(found: Samples, truth: Samples, bins: int = BINS) -> dict[str, Distance]:
    """Return the distances of two samples, descriptor by descriptor; NaN in them is left out.

    Parameters
    ----------
    found, truth : dict of str to ndarray
        As from :func:`section_samples` or :func:`grain_samples`.
    bins : int
        Of radius.

    Returns
    -------
    dict of str to Distance
        For each descriptor of the truth.

    Raises
    ------
    InputError
        If a descriptor is lacking or without values, or the truth does not vary.
    """
    names = [name for name in truth if name != RADIUS]
    lacking = [name for name in names if name not in found]
    if lacking:
        raise InputError(f"found: lacks {lacking[0]!r}, expected the descriptors {names}")
    return {name: _distance(name, found, truth, bins) for name in names}


def noise_floor(
    draw: Callable[[int, int], Samples], sizes: tuple[int, int], repetitions: int = 4, bins: int = BINS
) -> dict[str, Floor]:
    """Return how far independent draws of one model are apart: what no model's distance from it can be expected below.

    Parameters
    ----------
    draw : callable
        From index of the first section or particle, and their number, to samples; equal indices are equal draws.
    sizes : two int
        Sections or particles of what is found and of the truth.
    repetitions : int
        Of independent pairs.
    bins : int
        Of radius.

    Returns
    -------
    dict of str to Floor

    Raises
    ------
    InputError
        If there is no repetition.
    """
    if repetitions < 1:
        raise InputError(f"repetitions: found {repetitions}, expected at least 1")
    pairs = []
    for k in range(repetitions):
        first = k * sum(sizes)
        pairs.append(distances(draw(first, sizes[0]), draw(first + sizes[0], sizes[1]), bins))
    return {name: _floor([pair[name] for pair in pairs]) for name in pairs[0]}


def table(
    dimension: Literal["2D", "3D"],
    found: Mapping[str, Distance],
    floor: Mapping[str, Floor],
    baselines: Mapping[str, Mapping[str, Distance]],
    errors: Mapping[str, Errors] | None = None,
) -> list[dict[str, Any]]:
    """Return a row a descriptor: the model's distances beside the noise floor and the baselines, as JSON keeps them.

    Parameters
    ----------
    dimension : {"2D", "3D"}
        Of what is described.
    found : dict of str to Distance
        Of the model.
    floor : dict of str to Floor
    baselines : dict of str to dict of str to Distance
        By the baseline's name.
    errors : dict of str to Errors, optional
        Of the model's distances, where they are known.

    Returns
    -------
    list of dict
        Keys: descriptor, dimension, unit; ks, w1 (in standard deviations of the truth), w1_own (in the unit),
        profile_ks, profile_w1, n_found, n_truth; error_ks, error_w1, error_profile_ks, error_profile_w1 (None where
        not known); floor_ks, floor_ks_largest, floor_w1, floor_w1_largest,
        floor_profile_ks, floor_profile_w1; and for each baseline NAME: NAME_ks, NAME_w1, NAME_profile_ks,
        NAME_profile_w1 and NAME_times, its w1 over that of the model (None if that is 0).
    """
    rows = []
    for name, distance in found.items():
        row: dict[str, Any] = {"descriptor": name, "dimension": dimension, "unit": _unit(name, dimension)}
        row |= _entries("", distance) | {"w1_own": distance.wasserstein_own}
        row |= {"n_found": distance.n_found, "n_truth": distance.n_truth}
        row |= _entries("error_", (errors or {}).get(name, _NO_ERRORS))
        row |= _entries("floor_", floor[name])
        row |= {"floor_ks_largest": floor[name].ks_largest, "floor_w1_largest": floor[name].wasserstein_largest}
        for label, others in baselines.items():
            times = others[name].wasserstein / distance.wasserstein if distance.wasserstein else None
            row |= _entries(f"{label}_", others[name]) | {f"{label}_times": times}
        rows.append(row)
    return rows


_NO_ERRORS = Errors(None, None, None, None)


def _entries(prefix: str, of: Distance | Floor | Errors) -> dict[str, float | None]:
    values = {
        "ks": of.ks, "w1": of.wasserstein, "profile_ks": of.profile_ks, "profile_w1": of.profile_wasserstein
    }  # fmt: skip
    return {f"{prefix}{name}": value for name, value in values.items()}


def _unit(name: str, dimension: str) -> str:
    columns = descriptors_2d.COLUMNS if dimension == "2D" else descriptors_3d.COLUMNS
    return {CHORDS: "nm", SHORT_AXIS: "rad"}.get(name) or columns[name].unit


def _pooled(tables: Sequence[Any], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([np.empty(0), *(t[name].values.astype(np.float64) for t in tables)])
        for name in (*names, RADIUS)
    }


def _short_axis_angles(labels: np.ndarray, voxel_size_nm: float, origin: tuple[float, ...]) -> np.ndarray:
    """Return the angle between shortest axis and radius of each grain, in the order of their labels."""
    _, mean, covariance = grain_moments(find_runs(check_labels(labels, 3)))
    moments, axes = np.linalg.eigh(covariance)
    places, shortest = np.asarray(origin) + voxel_size_nm * mean, axes[:, :, 0]
    along = np.abs((places * shortest).sum(axis=1))
    across = np.sqrt((np.cross(places, shortest) ** 2).sum(axis=1))
    unclear = (moments[:, 1] - moments[:, 0] <= DEGENERATE * moments[:, 1]) | ~places.any(axis=1)
    return np.where(unclear, np.nan, np.arctan2(across, along))


def _checked(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise InputError(f"{name}: found shape {array.shape}, expected one or more finite numbers")
    return array


def _shares(sample: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the sample's distribution function at places."""
    return np.searchsorted(np.sort(sample), places, side="right") / len(sample)


def _distance(name: str, found: Samples, truth: Samples, bins: int) -> Distance:
    a, b = np.asarray(found[name], np.float64), np.asarray(truth[name], np.float64)
    seen_a, seen_b = ~np.isnan(a), ~np.isnan(b)
    for label, seen in (("found", seen_a), ("truth", seen_b)):
        if not seen.any():
            raise InputError(f"{label}: found no values of {name!r}, expected at least one")
    deviation = float(b[seen_b].std())
    if not deviation > 0:
        raise InputError(f"truth: found {name!r} always {b[seen_b][0]:g}, expected values that vary")
    own = wasserstein(a[seen_a], b[seen_b])
    profile = None
    if name != CHORDS and RADIUS in found and RADIUS in truth:
        profile = profile_distance(a[seen_a], found[RADIUS][seen_a], b[seen_b], truth[RADIUS][seen_b], bins)
    ks, radial = profile if profile is not None else (None, None)
    return Distance(
        kolmogorov_smirnov(a[seen_a], b[seen_b]), own / deviation, own,
        ks, None if radial is None else radial / deviation, int(seen_a.sum()), int(seen_b.sum()),
    )  # fmt: skip


def _floor(found: Sequence[Distance]) -> Floor:
    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if len(known) == len(values) else None

    ks, area = [d.ks for d in found], [d.wasserstein for d in found]
    return Floor(
        float(np.mean(ks)), max(ks), float(np.mean(area)), max(area),
        mean([d.profile_ks for d in found]), mean([d.profile_wasserstein for d in found]), len(found),
    )  # fmt: skip


def _rim(model: GrainModel) -> float:
    """Return how far from a point the seeds of its grain may be, as a rule."""
    mean = model.draw(_TRIAL * model.spacing_nm, 0).diagonals.mean(dtype=np.float64)
    return math.sqrt((_COST * mean * model.spacing_nm**2 + model.law.largest_offset_nm2) / model.law.lowest_diagonal)


def _generated(model: GrainModel, like: Section, rim_nm: float, seed: int, index: int) -> Section:
    """Return one generated section; its margin grows until no grain of it is cut."""
    if not like.mask.any():
        raise InputError(f"section {like.name}: found no pixel of a particle, expected at least one")
    step = math.ceil(_EDGE * model.spacing_nm / like.pixel_size_nm)
    margin = step
    while True:
        mask = np.pad(like.mask, margin)
        centre = (like.centre_px[0] + margin, like.centre_px[1] + margin)
        reach = like.pixel_size_nm * (np.hypot(*(np.argwhere(mask) - centre).T).max() + margin)
        labels = _plane(model, mask.shape, like.pixel_size_nm, centre, reach, rim_nm, seed, index)
        belongs = _belongs(labels, mask)
        if not belongs[_cut_off(labels)].any():
            chosen = (labels >= 0) & belongs[labels]
            numbers = np.where(chosen, labels + 1, 0).astype(np.int32)
            return Section(like.name, numbers, like.pixel_size_nm, centre)
        margin += step


def _plane(
    model: GrainModel, shape: tuple[int, ...], pixel: float, centre: tuple[float, float], reach: float, rim_nm: float,
    seed: int, index: int,
) -> np.ndarray:  # fmt: skip
    """Return the rows of the grains on the plane through the centre, -1 beyond `reach`."""
    steps, origin = pixel * np.eye(3)[1:], np.array([0.0, -pixel * centre[0], -pixel * centre[1]])
    window = reach + rim_nm
    while True:
        grains = model.draw(window, seed, index)
        matrices = grains.matrices()
        seeds, offsets = grains.seeds_nm.astype(np.float64), grains.offsets_nm2.astype(np.float64)
        labels = label_lattice(seeds, matrices, offsets, shape, steps, origin, reach=reach)
        needed = _window(model, labels, grains, matrices, pixel, origin)
        if needed <= window:
            return labels
        window = needed


def _window(
    model: GrainModel, labels: np.ndarray, grains: Grains, matrices: np.ndarray, pixel: float, origin: np.ndarray
) -> float:
    """Return the distance from the centre beyond which no seed can have a say in the labels."""
    place = np.argwhere(labels >= 0)
    points = np.concatenate([np.zeros((len(place), 1)), origin[1:] + pixel * place], axis=1)
    row = labels[labels >= 0]
    d = points - grains.seeds_nm[row]
    cost = np.einsum("ia,iab,ib->i", d, matrices[row], d) - grains.offsets_nm2[row]
    far = np.sqrt(np.maximum(cost + model.law.largest_offset_nm2, 0.0) / model.law.lowest_diagonal)
    return float((np.sqrt((points**2).sum(axis=1)) + far).max())


def _belongs(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tell which grains have their centre of mass in the mask, by row."""
    y, x = np.nonzero(labels >= 0)
    rows = labels[y, x]
    count = np.bincount(rows)
    middle = [np.rint(np.bincount(rows, part) / np.maximum(count, 1)).astype(int) for part in (y, x)]
    return (count > 0) & mask[middle[0], middle[1]]


def _cut_off(labels: np.ndarray) -> np.ndarray:
    """Return the rows of grains beside pixels without a label, or at the edge of the image."""
    around = np.pad(labels, 1, constant_values=-1)
    open_ = (around[:-2, 1:-1] < 0) | (around[2:, 1:-1] < 0) | (around[1:-1, :-2] < 0) | (around[1:-1, 2:] < 0)
    return np.unique(labels[open_ & (labels >= 0)])
