"""From sections to a trained bundle: fit, train, and measure how far the model is from what was measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.bundle import ArrayRecord, Bundle, ParticleParameters
from nmcdist.bundle.schema import validated
from nmcdist.calibration import validation
from nmcdist.calibration.baselines import isotropic_power, poisson_voronoi
from nmcdist.calibration.recipe import GrainRecipe
from nmcdist.calibration.sections import Section
from nmcdist.calibration.tessellation_fit import Fit, fit_tessellation
from nmcdist.calibration.training import Arrays, Training, train
from nmcdist.calibration.windows import Measured
from nmcdist.errors import BundleError, ImageError
from nmcdist.models.grains import GrainModel
from nmcdist.models.particle import ParticleModel

_DRAWS = 3  # generated sections for each measured one that it is compared with
_PARTICLES = 8  # whose grains are compared in space
# Added to the recipe's seed, for draws of their own; 1_000_006 is taken for the sections that are shown.
_ASSESSED, _COMPARED, _TRUTH, _BASELINES = 1_000_003, 1_000_004, 1_000_005, 1_000_007


@dataclass(frozen=True, eq=False)
class Prepared:
    """Sections with the tessellations fitted to them.

    Attributes
    ----------
    sections : tuple of Section
        Their missing pixels filled from the fit.
    fits : tuple of Fit
    pixel_size_nm : float
    grain_width_px : float
        Square root of the mean area of a grain.
    """

    sections: tuple[Section, ...]
    fits: tuple[Fit, ...]
    pixel_size_nm: float
    grain_width_px: float

    @classmethod
    def of(cls, sections: Sequence[Section]) -> "Prepared":
        """Fit a tessellation to each section.

        Raises
        ------
        ImageError
            If there is no section, one has no grain, or their pixels differ in size.
        """
        if not sections:
            raise ImageError("sections: found none, expected at least one")
        sizes = {section.pixel_size_nm for section in sections}
        if len(sizes) > 1:
            raise ImageError(f"sections: found pixels of {sorted(sizes)} nm, expected one size")
        fits = tuple(fit_tessellation(s.labels, s.pixel_size_nm, s.centre_px) for s in sections)
        filled = tuple(validation.filled(s, fit) for s, fit in zip(sections, fits, strict=True))
        pixels, grains = sum(int(s.mask.sum()) for s in filled), sum(len(fit.grains) for fit in fits)
        return cls(filled, fits, sizes.pop(), math.sqrt(pixels / grains))

    def measured(self) -> Measured:
        """Return what windows are cut from; a grain's width below the surface they begin."""
        return Measured.of(self.sections, [fit.tessellation for fit in self.fits], self.grain_width_px)

    def summary(self) -> dict[str, Any]:
        """Return how well the tessellations fit, as plain data."""
        seconds = [fit.seconds for fit in self.fits]
        return {
            "sections": [
                {
                    "name": section.name, "grains": len(fit.grains), "pixels": int(section.mask.sum()),
                    "matched": fit.matched, "boundary_distance_nm": fit.boundary_distance_nm,
                    "area_error": fit.area_error, "lost_grains": fit.lost_grains,
                }
                for section, fit in zip(self.sections, self.fits, strict=True)
            ],
            "matched": float(np.mean([fit.matched for fit in self.fits])),
            "seconds": float(np.sum(seconds)),
        }  # fmt: skip


def train_grains(
    prepared: Prepared, recipe: GrainRecipe, base: Bundle, data: str, date: str, **options: Any
) -> tuple[Bundle, Training]:
    """Train a marker net on sections, and return it as a bundle.

    Parameters
    ----------
    prepared : Prepared
    recipe : GrainRecipe
    base : Bundle
        A particle's, whose shells the new bundle takes.
    data, date : str
        What it was trained on, and when, for the bundle's provenance.
    **options
        Of :func:`nmcdist.calibration.training.train`.

    Returns
    -------
    bundle : Bundle
        Of the model "particle-net", with the best state that was assessed.
    training : Training

    Raises
    ------
    BundleError
        If the base is no particle's.
    ImageError, StoreError
        As :func:`nmcdist.calibration.training.train`.
    """
    check_base(base)
    truth = validation.section_samples(prepared.sections)

    def assess(arrays: Arrays, intensity: float) -> dict[str, float]:
        model = GrainModel.from_bundle(_bundle(arrays, intensity, recipe, base, prepared.pixel_size_nm, {}))
        found = validation.generated_sections(model, prepared.sections, recipe.seed + _ASSESSED)
        compared = validation.distances(validation.section_samples(found), truth)
        return {name: distance.ks for name, distance in compared.items()}

    training = train(prepared.measured(), recipe, assess, **options)
    assert training.best is not None  # the last epoch is always assessed
    _, intensity, arrays = training.best
    method = _method(recipe, training, options.get("device", "cpu"))
    calibration = {"data": data, "method": method, "date": date, "reference": _REFERENCE}
    return _bundle(arrays, intensity, recipe, base, prepared.pixel_size_nm, calibration), training


def check_base(base: Bundle) -> None:
    """Raise BundleError if a bundle has no shells to take."""
    if not isinstance(base.parameters, ParticleParameters):
        raise BundleError(f"bundle {base.name!r}: has no shells (model {base.model!r}), expected a particle's bundle")


def compare_sections(
    bundle: Bundle, measured: Sequence[Section], baselines: Mapping[str, Bundle], seed: int, truth: Bundle | None = None
) -> list[dict[str, Any]]:
    """Return how far a model's sections are from measured ones, beside the noise floor and other models.

    The noise floor is that of the truth where it is known, else of the model itself.

    Parameters
    ----------
    bundle : Bundle
    measured : sequence of Section
        Without missing pixels.
    baselines : dict of str to Bundle
    seed : int
    truth : Bundle, optional
        Where the measured sections come from a phantom.

    Returns
    -------
    list of dict
        Rows as from :func:`nmcdist.calibration.validation.table`.
    """
    like = [section for _ in range(_DRAWS) for section in measured]
    samples = validation.section_samples(measured)

    def draw(model: Bundle, first: int, sections: Sequence[Section], stream: int) -> dict[str, np.ndarray]:
        grains = GrainModel.from_bundle(model)
        return validation.section_samples(validation.generated_sections(grains, sections, seed + stream, first))

    def of_itself(first: int, count: int) -> dict[str, np.ndarray]:
        sections = [measured[k % len(measured)] for k in range(count)]
        return draw(truth or bundle, first, sections, _TRUTH)

    floor = validation.noise_floor(of_itself, (len(like), len(measured)))
    found = validation.distances(draw(bundle, 0, like, _COMPARED), samples)
    others = {name: validation.distances(draw(other, 0, like, _COMPARED), samples) for name, other in baselines.items()}
    return validation.table("2D", found, floor, others)


def compare_grains(
    bundle: Bundle, truth: Bundle, baselines: Mapping[str, Bundle], seed: int, particles: int = _PARTICLES
) -> list[dict[str, Any]]:
    """Return how far a model's grains in space are from the truth's, beside the noise floor and other models.

    Parameters
    ----------
    bundle, truth : Bundle
    baselines : dict of str to Bundle
    seed : int
    particles : int
        Of each.

    Returns
    -------
    list of dict
        Rows as from :func:`nmcdist.calibration.validation.table`.
    """

    def draw(model: Bundle, first: int, count: int, stream: int) -> dict[str, np.ndarray]:
        return validation.grain_samples(ParticleModel.from_bundle(model), seed + stream, count, start=first)

    samples = draw(truth, 0, particles, _TRUTH)
    floor = validation.noise_floor(
        lambda first, count: draw(truth, first + particles, count, _TRUTH), (particles,) * 2, 2
    )
    found, *others = (
        validation.distances(draw(model, 0, particles, _COMPARED), samples) for model in (bundle, *baselines.values())
    )
    return validation.table("3D", found, floor, dict(zip(baselines, others, strict=True)))


def fit_baselines(sections: Sequence[Section], base: Bundle, seed: int) -> dict[str, Bundle]:
    """Return the models that know less, by name; see :mod:`nmcdist.calibration.baselines`."""
    return {
        "voronoi": poisson_voronoi(sections, base, seed + _BASELINES),
        "isotropic": isotropic_power(sections, base, seed + _BASELINES),
    }


_REFERENCE = (
    "Fuchs et al., Generating multi-scale Li-ion battery cathode particles with radial grain architectures using "
    "stereological generative adversarial networks, Communications Materials 6 (2025), doi:10.1038/s43246-024-00728-5"
)


def _method(recipe: GrainRecipe, training: Training, device: str) -> str:
    import hashlib
    import platform
    from importlib.metadata import version

    import torch

    settings = hashlib.sha256(recipe.model_dump_json(exclude={"title"}).encode()).hexdigest()
    how = "energy distances of grains in windows" if recipe.method == "energy" else "a discriminator of windows"
    return (
        f"marker net trained by {how}; recipe {recipe.name} {recipe.version} (sha256 {settings[:16]}), "
        f"seed {recipe.seed}, {training.epoch} epochs of {recipe.steps} steps, "
        f"state after epoch {training.best_epoch}; "
        f"nmcdist {version('nmcdist')}, torch {torch.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()} on {platform.machine()}, device {_hardware(device)}"
    )


def _hardware(device: str) -> str:
    import torch

    where = torch.device(device)
    return f"{device} ({torch.cuda.get_device_name(where)})" if where.type == "cuda" else device


def _bundle(
    arrays: Arrays, intensity: float, recipe: GrainRecipe, base: Bundle, pixel_size_nm: float,
    calibration: Mapping[str, str],
) -> Bundle:  # fmt: skip
    """Return the bundle of a trained net; intensity in seeds per cubed pixel."""
    content = base.model_dump(by_alias=True)
    shared = {name: content["parameters"][name] for name in ParticleParameters.model_fields if "shell" in name}
    source = f"recipe {recipe.name} {recipe.version}"
    shared["grain_intensity_per_nm3"] = {
        "value": intensity / pixel_size_nm**3, "unit": "nm^-3", "provenance": "fitted", "source": source
    }  # fmt: skip
    (low, high), (least, most) = recipe.net.diagonal_range, recipe.net.offset_range
    own = {
        "length_unit_nm": (pixel_size_nm, "nm", "pixel of the sections"),
        "diagonal_low": (low, "1", source), "diagonal_high": (high, "1", source),
        "offset_low": (least, "length_unit^2", source), "offset_high": (most, "length_unit^2", source),
    }  # fmt: skip
    ranges = {
        name: {"value": value, "unit": unit, "provenance": "assumed", "source": why}
        for name, (value, unit, why) in own.items()
    }
    records = {name: ArrayRecord.of(array, "1", "fitted", source) for name, array in arrays.items()}
    changes = {
        "name": recipe.name, "title": recipe.title, "model": "particle-net", "arrays": records,
        "description": "Outer shells of the base bundle; grains as a generalised balanced power diagram around "
        "Poisson seeds, whose markers a net gives that was trained on planar sections.",
        "parameters": {**shared, **ranges},
        "calibration": {"data": "", "method": "", "date": "", "reference": "", **calibration},
    }  # fmt: skip
    return validated({**content, **changes}, f"bundle {recipe.name!r}").with_arrays(arrays)
