"""Sections with a known truth: particles of documented marker laws, cut and scanned as if by EBSD."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from nmcdist.arguments import check_length
from nmcdist.bundle import Bundle, load_bundle
from nmcdist.calibration import ebsd
from nmcdist.calibration.grains.sections import Section, consecutive
from nmcdist.calibration.grains.tessellation_fit import MISSING, OUTSIDE
from nmcdist.errors import InputError
from nmcdist.geometry.rotations import bunge_euler
from nmcdist.models import streams
from nmcdist.models.particle import Particle, ParticleModel

# Random streams other than those of the models: for missing pixels, and for the noise of a scan.
_MISSING_STREAM = 101
_SCAN_STREAM = 102

# Neighbours are at least as far apart as at a high-angle boundary: one in 5,000 pairs of random orientations is
# within the 5 degrees that separate grains, so two grains would look like one in every third section.
_APART_DEG = 15.0

_TSL_TRIGONAL = 32
_TRIGONAL = "D3x"
_HEADER = """\
# TEM_PIXperUM          1.000000
# x-star                0.500000
# y-star                0.500000
# z-star                0.500000
# WorkingDistance       15.000000
#
# Phase 1
# MaterialName          NMC811
# Formula               Li(NiMnCo)O2
# Info
# Symmetry              {symmetry}
# LatticeConstants      2.875 2.875 14.248  90.000  90.000 120.000
# NumberFamilies        0
#
# GRID: SqrGrid
# XSTEP: {step:.6f}
# YSTEP: {step:.6f}
# NCOLS_ODD: {columns}
# NCOLS_EVEN: {columns}
# NROWS: {rows}
#
"""
_ROW = ("%9.5f",) * 3 + ("%12.5f",) * 2 + ("%7.1f", "%6.3f", "%2d", "%6d", "%7.3f")


def phantom_bundles() -> dict[str, Bundle]:
    """Return the marker laws of phantoms, which a model fitted to their sections should recover.

    Returns
    -------
    dict of str to Bundle
        "radial": grains that point to the centre, more strongly outside a core of 0.8 um; shells with a mean radius
        of 4.8 um, about 200 pixels of 50 nm across. "stout": smaller and shorter grains, 1.8 times as many per
        volume, with a preference for the radius that decreases outwards; shells of 3.9 um. "isotropic": no preferred
        direction anywhere. "tangential": plates across the radius, most of all near the surface. "outward": grains as
        in "radial", with 4 times as many per volume near the surface as in the centre. "two-sizes": nearly round
        grains of two sizes, a quarter of them several times as large as the others. The mean radius of the shells has
        a standard deviation of 12 %.
    """
    builtin = load_bundle("nmc811-radial")
    intensity = builtin.particle().grain_intensity_per_nm3
    laws = {
        "radial": _with_shells(builtin, 4800.0),
        "stout": _with_shells(
            builtin, 3900.0, grain_intensity_per_nm3=1.8 * intensity,
            radial_scale_inner=1.35, radial_scale_outer=1.05,
            tangential_scale_inner=0.85, tangential_scale_outer=0.95,
            scale_transition_nm=2500.0, scale_noise=0.15,
        ),
        "isotropic": _with_shells(
            builtin, 4800.0, radial_scale_inner=1.0, radial_scale_outer=1.0,
            tangential_scale_inner=1.0, tangential_scale_outer=1.0, scale_noise=0.1,
        ),
        "tangential": _with_shells(
            builtin, 4800.0, radial_scale_inner=0.9, radial_scale_outer=0.65,
            tangential_scale_inner=1.0, tangential_scale_outer=1.2,
            scale_transition_nm=2000.0, scale_noise=0.1,
        ),
        "outward": _with_shells(
            builtin, 4800.0, grain_intensity_knots_nm=(0.0, 4800.0), grain_intensity_factors=(0.5, 2.0),
        ),
        "two-sizes": _with_shells(
            builtin, 4800.0, radial_scale_inner=1.0, radial_scale_outer=1.0,
            tangential_scale_inner=1.0, tangential_scale_outer=1.0, scale_noise=0.05,
            offset_range_nm2=1.0 * intensity ** (-2 / 3), offset_large_share=0.25,
        ),
    }  # fmt: skip
    return {
        name: law.model_copy(update={"name": f"phantom-{name}", "title": f"The phantom {name!r}"})
        for name, law in laws.items()
    }


def phantom_sections(
    bundle: Bundle,
    seed: int,
    count: int,
    pixel_size_nm: float = 50.0,
    missing: float = 0.1,
    height: float = 0.0,
    start: int = 0,
) -> list[Section]:
    """Return planar sections of particles, a pure function of the arguments; one section per particle.

    Parameters
    ----------
    bundle : Bundle
        Bundle with a marker law.
    seed : int
        Seed in [0, 2^64).
    count : int
    pixel_size_nm : float
    missing : float
        Probability that a pixel of the particle is missing, in [0, 1).
    height : float
        Height of the plane above the particle's centre, in mean radii of its shell, in [0, 1).
    start : int
        Index of the first particle.

    Returns
    -------
    list of Section
        Grains are 1..n. The centre of the image is the section's centre, the projection of the particle's centre.

    Raises
    ------
    InputError
        If an argument is impossible, or the plane misses the particle.
    BundleError
        If the bundle has no marker law.
    """
    pixel = check_length("pixel_size_nm", pixel_size_nm)
    _check_share("missing", missing)
    _check_share("height", height)
    for name, value in (("count", count), ("start", start)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise InputError(f"{name}: found {value!r}, expected a whole number, 0 or more")
    model = ParticleModel.from_bundle(bundle)
    return [_cut(model.draw(seed, index), pixel, missing, height) for index in range(start, start + count)]


def write_scan(path: str | Path, section: Section, orientation_noise_deg: float = 0.5, seed: int = 0) -> None:
    """Write a section as an .ang file, as if measured by EDAX; the same arguments give the same bytes.

    Each grain has a uniform random crystal orientation, but at least 15 degrees from those of its neighbours. Pixels
    outside and missing pixels have no solution. Columns are along x, rows along y.

    Parameters
    ----------
    path : str or Path
    section : Section
    orientation_noise_deg : float
        Standard deviation of small rotations of each pixel about each axis.
    seed : int
        Seed in [0, 2^64) of orientations and noise.

    Raises
    ------
    InputError
        If an argument is impossible.
    """
    if not _is_number(orientation_noise_deg) or not 0 <= orientation_noise_deg < math.inf:
        raise InputError(f"orientation_noise_deg: found {orientation_noise_deg!r}, expected a number, 0 or more")
    rng = streams.generator(streams.check_key(seed, 0)[0], _SCAN_STREAM, 0)
    names, grains = np.unique(section.labels, return_inverse=True)
    grains = grains.reshape(section.labels.shape)
    orientations = _distinct_orientations(grains, names > 0, rng)
    noise = rng.normal(scale=math.radians(orientation_noise_deg), size=(grains.size, 3))
    turned = Rotation.from_quat(orientations[grains.ravel()], scalar_first=True) * Rotation.from_rotvec(noise)
    euler = bunge_euler(turned.as_quat(scalar_first=True))
    confidence = rng.uniform(0.3, 1.0, grains.size)
    _write_ang(Path(path), section, euler, confidence)


def _with_shells(bundle: Bundle, radius_nm: float, **changes: float | tuple[float, ...]) -> Bundle:
    """Return a bundle with this median of the mean radius of shells, and a smaller spread than the original's."""
    scale = 2 * math.sqrt(math.pi) * radius_nm - bundle.particle().shell_location_nm
    return bundle.with_parameters(shell_scale_nm=scale, shell_sigma=0.1, **changes)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _check_share(name: str, value: Any) -> None:
    if not _is_number(value) or not 0 <= value < 1:
        raise InputError(f"{name}: found {value!r}, expected a number in [0, 1)")


def _cut(particle: Particle, pixel: float, missing: float, height: float) -> Section:
    mean_radius = particle.coefficients_nm[0] / (2 * math.sqrt(math.pi))
    name = f"particle {particle.index}"
    rows = particle.section(pixel, point_nm=(height * mean_radius, 0.0, 0.0))
    if not rows.any():
        raise InputError(f"height: found {height}, where the plane misses {name}, expected less")
    rng = streams.generator(particle.seed, _MISSING_STREAM, particle.index)
    labels = np.where((rows != OUTSIDE) & (rng.random(rows.shape) < missing), MISSING, rows)
    middle = 0.5 * (len(labels) - 1)
    return Section(name, consecutive(labels), pixel, (middle, middle))


def _distinct_orientations(grains: np.ndarray, crystal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one unit quaternion per row of the table of labels, redrawn until neighbours differ enough."""
    orientations = _random_orientations(len(crystal), rng)
    pairs = np.concatenate(
        [np.stack([a.ravel(), b.ravel()], 1) for a, b in ((grains[1:], grains[:-1]), (grains[:, 1:], grains[:, :-1]))]
    )
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    first, second = pairs[crystal[pairs].all(axis=1)].T
    while True:
        alike = ebsd.misorientations(orientations[first], orientations[second], _TRIGONAL) < _APART_DEG
        again = np.unique(second[alike])
        if not len(again):
            return orientations
        orientations[again] = _random_orientations(len(again), rng)


def _random_orientations(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return unit quaternions, uniform on the rotations."""
    quaternions = rng.standard_normal((count, 4))
    return np.asarray(quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True))


def _write_ang(path: Path, section: Section, euler: np.ndarray, confidence: np.ndarray) -> None:
    rows, columns = section.labels.shape
    step_um = section.pixel_size_nm / 1000.0
    solved = section.labels.ravel() > 0
    y, x = step_um * np.indices((rows, columns)).reshape(2, -1)
    table = np.column_stack([
        np.where(solved[:, None], euler, 4 * np.pi), x, y, np.where(solved, 1000.0, 100.0),
        np.where(solved, confidence, -1.0), np.zeros(len(x)), np.ones(len(x)), np.where(solved, 1.0, 180.0),
    ])  # fmt: skip
    header = _HEADER.format(symmetry=_TSL_TRIGONAL, step=step_um, rows=rows, columns=columns)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(header)
        np.savetxt(file, table, fmt="  ".join(_ROW))
