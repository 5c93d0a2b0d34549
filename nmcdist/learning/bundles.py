"""Surrogates as bundles: plain arrays, names and numbers, never code."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import ArrayRecord, Bundle, load_bundle
from nmcdist.bundle.parameters import SurrogateParameters
from nmcdist.bundle.schema import Calibration, validated
from nmcdist.errors import BundleError, InputError
from nmcdist.learning.factorised import Factorised
from nmcdist.learning.gp import GaussianProcess
from nmcdist.learning.hull import Hull
from nmcdist.learning.logistic import Logistic
from nmcdist.learning.ridge import Ridge
from nmcdist.learning.surrogate import Surrogate
from nmcdist.learning.targets import TARGETS
from nmcdist.wording import one_line

_REGRESSIONS: dict[str, Any] = {"gp": GaussianProcess, "ridge": Ridge, "product": Factorised}
_MODELS = (*_REGRESSIONS, "cnn")
_NET = "net"  # prefix of the arrays of a net, which has all targets at once


def load_surrogate(path: str | Path) -> Surrogate:
    """Load a surrogate from the folder of its bundle.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Surrogate

    Raises
    ------
    BundleError
        If it cannot be read, is damaged, or is no surrogate.
    """
    return surrogate_of(load_bundle(path))


def bundle_of(surrogate: Surrogate, name: str, title: str, calibration: Calibration) -> Bundle:
    """Return a surrogate as a bundle with its arrays."""
    names = (_NET,) if surrogate.model == "cnn" else surrogate.targets
    arrays = {f"hull.{key}": array for key, array in surrogate.hull.arrays().items()}
    for prefix, part in zip(names, surrogate.parts, strict=True):
        arrays |= {f"{prefix}.{key}": array for key, array in part.arrays().items()}
    for target, chance in zip(surrogate.targets, surrogate.chances, strict=True):
        if chance is not None:
            arrays |= {f"{target}.chance.{key}": array for key, array in chance.arrays().items()}
    parameters = SurrogateParameters(
        interval_factors=surrogate.factors, noise_floor=surrogate.noise_floor, voxel_sizes_nm=surrogate.voxel_sizes_nm
    )
    plain = Bundle.of(
        name, title, parameters, licence="CC-BY-4.0", provenance="fitted", source="training of the surrogate",
        calibration=calibration,
    )  # fmt: skip
    content = plain.model_dump(by_alias=True)
    content["arrays"] = {key: ArrayRecord.of(array, "1", "fitted").model_dump() for key, array in arrays.items()}
    content["texts"] = {
        "model": (surrogate.model,),
        "rows": ("axes" if surrogate.by_axis else "volumes",),
        "targets": surrogate.targets,
        "features": surrogate.features,
        "stores": surrogate.stores,
    }
    return validated(content, f"bundle {name!r}").with_arrays(arrays)


def surrogate_of(bundle: Bundle) -> Surrogate:
    """Return the surrogate in a bundle.

    Raises
    ------
    BundleError
        If the bundle is of another model, or its parts do not belong together.
    """
    about = bundle.parameters_as(SurrogateParameters)
    try:
        return _surrogate(bundle, about)
    except KeyError as error:
        raise BundleError(f"bundle {bundle.name!r}: found no {error.args[0]!r}, which a surrogate has") from None
    except InputError as error:
        raise BundleError(f"bundle {bundle.name!r}: {one_line(error)}") from None


def _surrogate(bundle: Bundle, about: SurrogateParameters) -> Surrogate:
    texts = bundle.texts
    model, targets, features = texts["model"][:1], texts["targets"], texts["features"]
    if not model or model[0] not in _MODELS:
        raise InputError(f"texts.model: found {model}, expected one of {', '.join(_MODELS)}")
    unknown = [target for target in targets if target not in TARGETS]
    if unknown or not targets or len(about.interval_factors) != len(targets):
        raise InputError(f"texts.targets: found {list(targets)}, expected known targets, and a factor for each")
    if min(about.interval_factors) < 0:
        raise InputError(f"interval_factors: found {min(about.interval_factors):g}, expected numbers from 0")
    parts: tuple[Any, ...]
    if model[0] == "cnn":
        from nmcdist.learning.cnn import Net

        parts = (Net.from_arrays(_below(bundle, _NET)),)
    else:
        kind = _REGRESSIONS[model[0]]
        parts = tuple(kind.from_arrays(_below(bundle, target)) for target in targets)
    chances = tuple(
        Logistic.from_arrays(_below(bundle, f"{target}.chance"))
        if f"{target}.chance.weights" in bundle.arrays
        else None
        for target in targets
    )
    return Surrogate(
        model[0], targets, features, texts["rows"] == ("axes",), parts, chances, about.interval_factors,
        Hull.from_arrays(_below(bundle, "hull")), about.noise_floor, about.voxel_sizes_nm, texts["stores"],
    )  # fmt: skip


def _below(bundle: Bundle, prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {key[len(prefix) + 1 :]: array for key, array in bundle.arrays.items() if key.startswith(f"{prefix}.")}
