"""Bundles of the neural generator: trained on sections, and compared with them."""

from collections.abc import Callable

import numpy as np

from nmcdist.bundle import Bundle, NeuralParameters
from nmcdist.bundle.schema import Calibration
from nmcdist.calibration.neural.net import Generator
from nmcdist.calibration.neural.sections import Sections
from nmcdist.calibration.neural.training import Recipe, train
from nmcdist.models.neural import generate_neural, reach
from nmcdist.pytorch import reproducible

TITLE = "Neural generator trained on sections"
_CHECKED, _SEED, _INDEX = 4, 1, 2**32 - 1  # volumes that are drawn for a check, with a stream that no item has
_PLANES_APART = 16  # voxels between sections of a drawn volume
_SAMPLES = ("each plane apart", "all planes as one, turned and mirrored")  # isotropic: no, yes
_LAGS = 16  # of the two-point coverage that is compared


def fit_neural(
    sections: Sections, voxel_size_nm: float, recipe: Recipe, *, about: str, name: str = "neural",
    licence: str = "not stated", date: str = "", progress: Callable[[dict[str, float]], None] = lambda facts: None,
) -> Bundle:  # fmt: skip
    """Train a neural generator on sections, and return its bundle.

    Parameters
    ----------
    sections : Sections
    voxel_size_nm : float
        Edge of a pixel, and of the voxels that are drawn.
    recipe : Recipe
    about : str
        Where the sections are from.
    name, licence, date : str
        Of the bundle.
    progress : callable
        Called after each step with a dictionary that describes it.

    Raises
    ------
    InputError
        If the sections are smaller than the windows of the recipe, or the training diverges.
    BundleError
        If the name or the licence is impossible; before the training.
    """

    def bundle(net: Generator, method: str) -> Bundle:
        return Bundle.of(
            name, TITLE, NeuralParameters(voxel_size_nm=voxel_size_nm), licence=licence, provenance="fitted",
            source=f"trained on {about}", arrays=net.arrays(),
            calibration=Calibration(data=about, method=method, date=date),
        )  # fmt: skip

    with reproducible(recipe.seed):  # leaves the caller's random numbers as they are
        bundle(Generator(recipe.noises, recipe.channels, sections.phases, isotropic=recipe.isotropic), "none")
    net = train(sections, recipe, progress)
    return bundle(net, _method(bundle(net, "none"), sections, voxel_size_nm, recipe))


def _method(bundle: Bundle, sections: Sections, voxel_size_nm: float, recipe: Recipe) -> str:
    """Return how the net was trained, how well what it draws fits the sections, and what it cannot meet."""
    edge = recipe.edge
    shape = (edge, edge, edge)
    volumes = [generate_neural(bundle, shape, voxel_size_nm, _SEED, _INDEX - k) for k in range(_CHECKED)]
    drawn = [np.concatenate([np.moveaxis(v, axis, 0)[::_PLANES_APART] for v in volumes]) for axis in range(3)]
    random = np.random.default_rng([recipe.seed, 2])
    measured = [sections.windows(axis, 256, edge, random) for axis in range(3)]
    rows = []
    for phase in range(sections.phases):
        own, wanted = ([plane == phase for plane in planes] for planes in (drawn, measured))
        apart = [_coverage(a) - _coverage(b) for a, b in zip(own, wanted, strict=True)]
        error = float(np.sqrt(np.mean(np.square(apart))))
        rows.append((_share(own), _share(wanted), error, _spread(own), _spread(wanted)))
    columns = zip(*rows, strict=True)
    shares, targets, errors, spreads, expected = (", ".join(f"{v:.3g}" for v in each) for each in columns)
    return (
        f"Matched on the phases of sections in three planes of {voxel_size_nm:g} nm, with labels from 0, "
        f"{_SAMPLES[recipe.isotropic]}: by their statistics in {recipe.steps} steps, and with a critic in "
        f"{recipe.critic_steps}; the volume fractions are "
        f"{shares} instead of {targets}, and the two-point coverages in the planes differ by {errors} (root mean "
        f"square, up to {_LAGS} voxels). Cannot meet: bodies that are long against {reach(bundle)} voxels, all that a "
        f"voxel depends on; how volumes vary: the fractions of sections of {edge} voxels have standard deviations of "
        f"{spreads} instead of {expected}; and other voxel sizes"
    )


def _share(planes: list[np.ndarray]) -> float:
    return float(np.mean([plane.mean() for plane in planes]))


def _spread(planes: list[np.ndarray]) -> float:
    """Return the standard deviation of a fraction between sections."""
    return float(np.concatenate([plane.mean(axis=(1, 2)) for plane in planes]).std(ddof=1))


def _coverage(sections: np.ndarray) -> np.ndarray:
    """Return the probability that two pixels of a section are both in the phase, down and across, by lag."""
    edge = sections.shape[-1]
    return np.array([
        [(sections[:, k:] & sections[:, : edge - k]).mean(), (sections[..., k:] & sections[..., : edge - k]).mean()]
        for k in range(min(_LAGS, edge))
    ])  # fmt: skip
