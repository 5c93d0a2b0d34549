"""A bundle with a marker net of random weights: what a trained one looks like, without its training."""

from itertools import pairwise

import numpy as np
import pytest

from nmcdist.bundle import ArrayRecord, Bundle, ParticleParameters, load_bundle

NET_VALUES = {
    "length_unit_nm": (50.0, "nm"),
    "diagonal_low": (1.0, "1"),
    "diagonal_high": (10.0, "1"),
    "offset_low": (0.0, "length_unit^2"),
    "offset_high": (50.0, "length_unit^2"),
}


def net_arrays(widths, seed=3):
    rng = np.random.default_rng(seed)
    arrays = {}
    for k, (inputs, outputs) in enumerate(pairwise(widths)):
        # Displacements are about 10 units of length: the first layer brings them to about 1.
        scale = (0.1 if k == 0 else 1.0) / np.sqrt(inputs)
        arrays[f"weight_{k}"] = (scale * rng.standard_normal((outputs, inputs))).astype(np.float32)
        arrays[f"bias_{k}"] = (0.1 * rng.standard_normal(outputs)).astype(np.float32)
    return arrays


@pytest.fixture(scope="session")
def net_bundle():
    content = load_bundle("nmc811-radial").model_dump(by_alias=True)
    shared = {name: content["parameters"][name] for name in ParticleParameters.model_fields}
    own = {n: {"value": v, "unit": unit, "provenance": "assumed"} for n, (v, unit) in NET_VALUES.items()}
    arrays = net_arrays((60, 64, 64, 4))
    records = {name: ArrayRecord.of(array, "1", "assumed") for name, array in arrays.items()}
    changes = {"name": "net", "model": "particle-net", "parameters": {**shared, **own}, "arrays": records}
    return Bundle.model_validate({**content, **changes}).with_arrays(arrays)
