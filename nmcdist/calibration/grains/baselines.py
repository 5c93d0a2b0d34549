"""Baselines: simpler models fitted to the same sections, which a trained model must beat.

The baselines are Poisson-Voronoi tessellations, with one fitted number, and power diagrams of Poisson seeds with
uniform offsets, with two. Both are isotropic, so any elongation and orientation beyond theirs comes from the radial
law. They are bundles of the model "particle-radial" with all half-axes 1.
"""

import math
from collections.abc import Sequence

import numpy as np

from nmcdist.bundle import Bundle, ParticleParameters, RadialParameters, load_bundle
from nmcdist.bundle.schema import Calibration, validated
from nmcdist.calibration.grains.generated import generated_sections
from nmcdist.calibration.grains.samples import section_samples
from nmcdist.calibration.grains.sections import Section
from nmcdist.calibration.grains.tessellation_fit import MISSING
from nmcdist.errors import InputError
from nmcdist.models.grains import GrainModel
from nmcdist.models.markers import RadialMarkers

# Grains per area of a planar section of the Poisson-Voronoi tessellation of intensity 1, 1.4580 (Okabe et al.,
# Spatial Tessellations, 2000, chapter 5). The length of the edges per volume is four times that: a plane meets half
# of it as vertices per area, and there are half as many grains as vertices where three edges meet.
SECTION_DENSITY = 4 / 15 * 0.75 ** (1 / 3) * math.pi ** (5 / 3) * math.gamma(4 / 3)
# In squared spacings of the seeds. At this range, the seeds of the lowest offsets have no grains, and a wider one
# only changes their number. The variation of areas is 0.85 there, and 0.65 for Voronoi grains.
WIDEST_RANGE = 4.0

_RADIAL = "nmc811-radial"
_AXES = ("radial_scale_inner", "radial_scale_outer", "tangential_scale_inner", "tangential_scale_outer")
_ROUNDS = 2  # number of simulations that correct the intensity
_HALVINGS = 9


def poisson_voronoi(sections: Sequence[Section], base: Bundle, seed: int = 0) -> Bundle:
    """Return the Poisson-Voronoi model with the measured number of grains per area in planar sections.

    The intensity follows from N_A = 1.4580 lambda^(2/3). Simulated sections of the same pixels correct it for grains
    too small to be visible (3 % where grains have 50 pixels on average). Grains at the rim are whole and tile the
    particle's mask, so N_A is their number over its area, without an edge correction.

    Parameters
    ----------
    sections : sequence of Section
        Central sections, without missing pixels.
    base : Bundle
        Bundle that supplies the shells.
    seed : int
        Seed of the simulated sections.

    Returns
    -------
    Bundle
        Bundle of the model "particle-radial".

    Raises
    ------
    InputError
        If there is no grain, or a section has missing pixels.
    BundleError
        If the base is not a particle bundle.
    """
    base.particle()
    mean = _areas(sections).mean()
    intensity = _matched(sections, mean, 0.0, _voronoi_intensity(mean), seed)[0]
    return _bundle(base, "poisson-voronoi", "Poisson-Voronoi grains", intensity, 0.0, sections)


def isotropic_power(sections: Sequence[Section], base: Bundle, seed: int) -> Bundle:
    """Return the isotropic power diagram with the measured mean and variation of grain sizes in sections.

    Intensity and range of the offsets are fitted so that mean and coefficient of variation of A_cross agree with
    those of simulated sections of the same masks and pixels, all with the same random numbers. If measured sizes vary
    less than Poisson-Voronoi grains, the range is 0; if they vary more than possible in such power diagrams, it is
    :data:`WIDEST_RANGE` times the squared spacing.

    Parameters
    ----------
    sections : sequence of Section
        Central sections, without missing pixels.
    base : Bundle
        Bundle that supplies the shells.
    seed : int
        Seed of the simulated sections.

    Returns
    -------
    Bundle
        Bundle of the model "particle-radial".

    Raises
    ------
    InputError
        If there is no grain, or a section has missing pixels.
    BundleError
        If the base is not a particle bundle.
    """
    base.particle()
    areas = _areas(sections)
    mean, variation = areas.mean(), areas.std() / areas.mean()
    intensity, least = _matched(sections, mean, 0.0, _voronoi_intensity(mean), seed)
    # With the widest offsets most seeds have no grain.
    dense, most = _matched(sections, mean, WIDEST_RANGE, 3.0 * intensity, seed)
    if variation <= least:
        width = 0.0
    elif variation >= most:
        width, intensity = WIDEST_RANGE, dense
    else:
        width, intensity = _bisected(sections, mean, variation, intensity, seed)
    intensity = _matched(sections, mean, width, intensity, seed)[0]
    return _bundle(base, "isotropic-power", "Isotropic power diagrams", intensity, width, sections)


def _bisected(
    sections: Sequence[Section], mean_nm2: float, variation: float, intensity: float, seed: int
) -> tuple[float, float]:
    """Return the range in squared spacings at which areas vary as measured, and an approximate intensity."""
    low, high = 0.0, WIDEST_RANGE
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        intensity, found = _matched(sections, mean_nm2, middle, intensity, seed)
        low, high = (middle, high) if found < variation else (low, middle)
    return 0.5 * (low + high), intensity


def _areas(sections: Sequence[Section]) -> np.ndarray:
    for section in sections:
        missing = int((section.labels == MISSING).sum())
        if missing:
            raise InputError(f"section {section.name}: found {missing} missing pixels, expected them to be filled")
    areas = section_samples(sections)["area_nm2"]
    if not len(areas):
        raise InputError("sections: found no grain, expected at least one")
    return areas


def _voronoi_intensity(mean_area_nm2: float) -> float:
    return float((mean_area_nm2 * SECTION_DENSITY) ** -1.5)


def _matched(
    sections: Sequence[Section], mean_nm2: float, width: float, intensity: float, seed: int
) -> tuple[float, float]:
    """Return the intensity at which simulated grains have this mean area, and their coefficient of variation.

    Rounds refine the initial value: apart from pixels, all areas are proportional to intensity^(-2/3).
    """
    plain, variation = load_bundle(_RADIAL).parameters_as(RadialParameters), math.nan
    for _ in range(_ROUNDS):
        law = RadialMarkers(plain.model_copy(update=_values(intensity, width)))
        areas = section_samples(generated_sections(GrainModel(intensity, law), sections, seed))["area_nm2"]
        intensity *= float(areas.mean() / mean_nm2) ** 1.5
        variation = float(areas.std() / areas.mean())
    return intensity, variation


def _values(intensity: float, width: float) -> dict[str, float]:
    """Return the parameters of isotropic grains; offsets range over `width` squared spacings of the seeds."""
    offsets = {"scale_noise": 0.0, "offset_range_nm2": width * intensity ** (-2 / 3)}
    return {"grain_intensity_per_nm3": intensity, **dict.fromkeys(_AXES, 1.0), **offsets}


def _bundle(base: Bundle, name: str, title: str, intensity: float, width: float, sections: Sequence[Section]) -> Bundle:
    """Return the bundle of isotropic grains with the shells of another."""
    content = load_bundle(_RADIAL).model_dump(by_alias=True)
    values = content["parameters"]
    shells = [field for field in ParticleParameters.model_fields if field.startswith("shell_")]
    values.update({field: base.values[field].model_dump() for field in shells})
    source = "sizes of the grains in the sections"
    for field, value in _values(intensity, width).items():
        fitted = field in ("grain_intensity_per_nm3", "offset_range_nm2")
        values[field].update(
            value=value, provenance="fitted" if fitted else "assumed", source=source if fitted else "isotropic grains"
        )
    data = f"{len(sections)} planar sections of {len(_areas(sections))} grains"
    calibration = Calibration(data=data, method=f"{__name__}: A_cross, by simulated sections", date="with the sections")
    about = {"name": name, "title": title, "description": "", "calibration": calibration.model_dump()}
    return validated({**content, **about}, f"bundle {name!r}")
