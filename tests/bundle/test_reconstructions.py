"""Bundles of media rebuilt from curves or images: what their parameters and arrays must be."""

import numpy as np
import pytest

from nmcdist.bundle import (
    AnnealedParameters,
    Bundle,
    LevelCutParameters,
    PatternsParameters,
    load_bundle,
    save_bundle,
)
from nmcdist.errors import BundleError

CURVES = {"directions": np.eye(3, dtype=np.float32), "coverage": np.full((3, 5), 0.25)}
SECTION = np.zeros((4, 5), dtype=np.float32)


def bundle_of(parameters, arrays=None):
    return Bundle.of("b", "B", parameters, licence="CC0-1.0", arrays=arrays)


@pytest.mark.parametrize(
    ("parameters", "arrays"),
    [
        (LevelCutParameters(threshold=-0.3, scales_nm=(10.0, 20.0), weights=(0.25, 0.75)), {}),
        (AnnealedParameters(voxel_size_nm=40.0), CURVES),
        (PatternsParameters(voxel_size_nm=40.0, neighbours=12.0), {"section": SECTION}),
        (
            PatternsParameters(voxel_size_nm=40.0),
            {"section_z": SECTION, "section_y": SECTION.T, "section_x": SECTION},
        ),
        (PatternsParameters(voxel_size_nm=40.0), {"image": np.ones((2, 3, 4))}),
    ],
)
def test_saved_and_loaded_as_the_same(parameters, arrays, tmp_path):
    bundle = bundle_of(parameters, arrays)
    read = load_bundle(save_bundle(bundle, tmp_path / "b"))
    assert read == bundle
    assert read.content_hash == bundle.content_hash
    assert read.parameters == parameters
    assert set(read.arrays) == set(arrays)
    assert all(np.array_equal(read.arrays[name], array) for name, array in arrays.items())
    assert {record.unit for record in read.array_records.values()} <= {"1"}


@pytest.mark.parametrize(
    ("parameters", "arrays", "fault"),
    [
        (AnnealedParameters(voxel_size_nm=1.0), {}, r"arrays: found \[\], expected \['coverage', 'directions'\]"),
        (
            AnnealedParameters(voxel_size_nm=1.0), {**CURVES, "directions": np.eye(2)},
            r"arrays.directions: found shape \(2, 2\), expected \(directions, 3\)",
        ),
        (
            AnnealedParameters(voxel_size_nm=1.0), {**CURVES, "coverage": np.ones((2, 5))},
            r"arrays.coverage: found shape \(2, 5\), expected \(3, lags \+ 1\)",
        ),
        (
            PatternsParameters(voxel_size_nm=1.0), {},
            r"arrays: found \[\], expected \['section_x', 'section_y', 'section_z'\]",
        ),
        (
            PatternsParameters(voxel_size_nm=1.0), {"image": SECTION},
            r"arrays.image: found shape \(4, 5\), expected 3 edges of at least 2 voxels",
        ),
        (
            PatternsParameters(voxel_size_nm=1.0), {"section": SECTION, "image": SECTION},
            r"arrays: found \['image', 'section'\], expected \['image'\]",
        ),
        (
            PatternsParameters(voxel_size_nm=1.0), {"section": SECTION.astype(np.int32)},
            r"arrays.section.dtype: found 'int32', expected float32 or float64",
        ),
    ],
)  # fmt: skip
def test_arrays_of_another_model_are_refused(parameters, arrays, fault):
    with pytest.raises(BundleError, match=fault):
        bundle_of(parameters, arrays)


@pytest.mark.parametrize(
    ("weights", "fault"),
    [((1.0,), "weights: found 1 numbers, expected one per scale: 2"), ((0.5, 0.6), "weights: found the sum 1.1")],
)
def test_weights_that_are_no_mixture_are_refused(weights, fault):
    with pytest.raises(ValueError, match=fault):
        LevelCutParameters(threshold=0.0, scales_nm=(1.0, 2.0), weights=weights)
