"""Train a bundle on prepared sections: a marker net, with a law of the seeds' intensity."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nmcdist.bundle import ArrayRecord, Bundle, ParticleParameters
from nmcdist.bundle.schema import validated
from nmcdist.calibration.grains.distances import distances
from nmcdist.calibration.grains.generated import generated_sections
from nmcdist.calibration.grains.prepared import Prepared
from nmcdist.calibration.grains.recipe import GrainRecipe
from nmcdist.calibration.grains.samples import section_samples
from nmcdist.calibration.grains.training import Arrays, Intensity, Training, train
from nmcdist.models.grains import GrainModel
from nmcdist.models.intensity import IntensityProfile

_ASSESSED = 1_000_003  # added to the recipe's seed, for independent draws


def train_grains(
    prepared: Prepared,
    recipe: GrainRecipe,
    base: Bundle,
    data: str,
    date: str,
    profile_nm: IntensityProfile | None = None,
    **options: Any,
) -> tuple[Bundle, Training]:
    """Train a marker net on sections, and return it as a bundle.

    Parameters
    ----------
    prepared : Prepared
    recipe : GrainRecipe
    base : Bundle
        Particle bundle that supplies the shells.
    data, date : str
        Training data and date, for the bundle's provenance.
    profile_nm : IntensityProfile, optional
        Initial seeds per nm^3 by distance, for an intensity that depends on the distance from the centre.
    **options
        Options of :func:`nmcdist.calibration.grains.training.train`.

    Returns
    -------
    bundle : Bundle
        Bundle of the model "particle-net" with the best assessed state.
    training : Training

    Raises
    ------
    BundleError
        If the base is not a particle bundle.
    ImageError, StoreError
        As :func:`nmcdist.calibration.grains.training.train`.
    """
    base.particle()
    truth = section_samples(prepared.sections)

    def assess(arrays: Arrays, intensity: Intensity) -> dict[str, float]:
        model = GrainModel.from_bundle(_bundle(arrays, intensity, recipe, base, prepared.pixel_size_nm, {}))
        found = generated_sections(model, prepared.sections, recipe.seed + _ASSESSED)
        compared = distances(section_samples(found), truth)
        return {name: distance.ks for name, distance in compared.items()}

    profile = None if profile_nm is None else _rescaled(profile_nm, 1 / prepared.pixel_size_nm)
    training = train(prepared.measured(), recipe, assess, profile=profile, **options)
    assert training.best is not None  # the last epoch is always assessed
    _, intensity, arrays = training.best
    method = _method(recipe, training, options.get("device", "cpu"))
    calibration = {"data": data, "method": method, "date": date, "reference": _REFERENCE}
    return _bundle(arrays, intensity, recipe, base, prepared.pixel_size_nm, calibration), training


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


def _rescaled(profile: IntensityProfile, factor: float) -> IntensityProfile:
    """Return the same profile in a unit of length that is shorter by a factor."""
    knots, values = (np.array(part) for part in (profile.knots, profile.values))
    return IntensityProfile(tuple((knots * factor).tolist()), tuple((values / factor**3).tolist()))


def _intensity_records(intensity: Intensity, pixel_size_nm: float, source: str) -> dict[str, Any]:
    """Return the parameters of an intensity in seeds per cubed pixel; factors are relative to its mean over knots."""
    entries: dict[str, tuple[Any, str]] = {}
    if isinstance(intensity, IntensityProfile):
        profile = _rescaled(intensity, pixel_size_nm)
        mean = float(np.mean(profile.values))
        entries["grain_intensity_per_nm3"] = mean, "nm^-3"
        entries["grain_intensity_knots_nm"] = profile.knots, "nm"
        entries["grain_intensity_factors"] = tuple(value / mean for value in profile.values), "1"
    else:
        entries["grain_intensity_per_nm3"] = intensity / pixel_size_nm**3, "nm^-3"
    return {
        name: {"value": value, "unit": unit, "provenance": "fitted", "source": source}
        for name, (value, unit) in entries.items()
    }


def _bundle(
    arrays: Arrays, intensity: Intensity, recipe: GrainRecipe, base: Bundle, pixel_size_nm: float,
    calibration: Mapping[str, str],
) -> Bundle:  # fmt: skip
    """Return the bundle of a trained net; intensity in seeds per cubed pixel."""
    content = base.model_dump(by_alias=True)
    shells = [name for name in ParticleParameters.model_fields if name.startswith("shell_")]
    shared = {name: content["parameters"][name] for name in shells}
    source = f"recipe {recipe.name} {recipe.version}"
    shared |= _intensity_records(intensity, pixel_size_nm, source)
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
