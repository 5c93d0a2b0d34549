"""A picture of what the model of a bundle draws, quick enough to show whenever a notebook shows the bundle."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from nmcdist.bundle import (
    Bundle,
    CbaParameters,
    FibreParameters,
    LevelCutParameters,
    NeuralParameters,
    Parameters,
    ParticleParameters,
    SphereParameters,
)
from nmcdist.models import cba, fibres, levelcut, neural, spheres
from nmcdist.models.particle import ParticleModel
from nmcdist.pictures import phase_picture, section_picture

PIXELS = 160
_SHELLS = 8  # that are drawn, to show the largest particle of them that is quick to draw
_MOST_SEEDS = (5_000, 20_000)  # of a particle that is quick to draw, a tenth of a second; of any that is shown
_MOST_BYTES = 256e6  # of the germs and the noise of a window
_SEED = 1

# Model -> its generator, the bytes that it needs, and the pixel size that shows its bodies.
_WINDOWS: dict[type[Parameters], tuple[Callable[..., np.ndarray], Callable[..., float], Callable[[Any], float]]] = {
    CbaParameters: (cba.generate_cba, partial(cba.draw_bytes, threads=1), lambda p: 1 / p.eta_per_nm / 4),
    FibreParameters: (fibres.generate_fibres, fibres.draw_bytes, lambda p: p.radius_mean_nm / 6),
    SphereParameters: (spheres.generate_spheres, spheres.draw_bytes, lambda p: p.radius_mean_nm / 12),
    LevelCutParameters: (
        levelcut.generate_level_cut, partial(levelcut.draw_bytes, threads=1), lambda p: max(p.scales_nm) / 12,
    ),
    NeuralParameters: (neural.generate_neural, lambda p, shape, pixel_nm: 0.0, lambda p: p.voxel_size_nm),
}  # fmt: skip


def bundle_picture(bundle: Bundle) -> tuple[np.ndarray, str] | None:
    """Return a section through what a bundle draws as RGB, and its description; None if drawing it would take long.

    Parameters
    ----------
    bundle : Bundle
    """
    parameters = bundle.parameters
    if isinstance(parameters, ParticleParameters):
        return _particle(bundle, parameters)
    if type(parameters) not in _WINDOWS:
        return None
    generate, needed, pixel_of = _WINDOWS[type(parameters)]
    pixel_nm, shape = pixel_of(parameters), (1, PIXELS, PIXELS)
    if needed(parameters, shape, pixel_nm) > _MOST_BYTES:
        return None
    labels = generate(bundle, shape, pixel_nm, seed=_SEED)[0]
    return phase_picture(labels)[::-1], f"section, {PIXELS * pixel_nm / 1000:.2g} µm wide"


def _particle(bundle: Bundle, parameters: ParticleParameters) -> tuple[np.ndarray, str] | None:
    if set(bundle.arrays) != set(bundle.array_records):
        return None  # read without its net
    model = ParticleModel.from_bundle(bundle)
    shells = [model.shells.draw(_SEED, index) for index in range(_SHELLS)]
    radii = np.array([shell.largest_radius_nm for shell in shells])
    densest = parameters.grain_intensity_per_nm3 * max((1.0, *parameters.grain_intensity_factors))
    seeds = densest * 4 / 3 * math.pi * (radii + max(model.margins_nm)) ** 3
    quick = np.where(seeds <= _MOST_SEEDS[0], radii, -1.0)
    index = int(quick.argmax() if quick.max() > 0 else seeds.argmin())
    if seeds[index] > _MOST_SEEDS[1]:
        return None
    particle = model.draw_in(shells[index], _SEED, index)
    if not particle.kept.any():
        return None
    pixel_nm = 2 * particle.reach_nm / PIXELS
    picture = section_picture(particle.section(pixel_nm))
    return picture, f"section of a particle, {picture.shape[1] * pixel_nm / 1000:.2g} µm wide"
