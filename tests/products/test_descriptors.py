"""A new descriptor is one row: it is measured, laid out and stored."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import distance_transform_edt

from nmcdist import describe_cba
from nmcdist.datasets import open_store
from nmcdist.datasets.store import read_block
from nmcdist.descriptors import cba_quantities
from nmcdist.descriptors.cba import PHASES, descriptor_layout
from nmcdist.descriptors.quantity import Quantity
from tests.conftest import make, recipe_with

VOXEL_NM = 80.0
WIDEST = Quantity(
    "widest_ball_nm", ("phase",), "nm", "radius of the widest ball in the phase", "distance transform", "this test",
    measure=lambda phase: phase.voxel_size_nm * float(phase.distance2.max()) ** 0.5,
)  # fmt: skip
DEEP = Quantity(
    "share_deeper", ("phase", "radius_nm"), "1", "share of the phase deeper than a radius", "distance transform",
    "this test",
    measure=lambda phase: [
        (phase.distance2[phase.mask] * phase.voxel_size_nm**2 > r * r).mean() for r in phase.radii_nm
    ],
)  # fmt: skip
PAIRS = Quantity(
    "pairs_at_0", ("phase",), "1", "share of pairs at lag 0 in the phase", "pair counts", "this test",
    measure=lambda phase: phase.pairs[0, 0] / phase.pairs[1, 0],
)  # fmt: skip


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(cba_quantities, "OF_PHASES", (*cba_quantities.OF_PHASES, WIDEST, DEEP))
    monkeypatch.setattr(cba_quantities, "OF_SUMS", (*cba_quantities.OF_SUMS, PAIRS))


def mask_of(volume, phase):
    return volume > 0 if phase == "solid" else volume == PHASES.index(phase)


def check(data: xr.Dataset, volume):
    for phase in PHASES:
        mask = mask_of(volume, phase)
        depth = distance_transform_edt(mask) * VOXEL_NM
        assert float(data.widest_ball_nm.sel(phase=phase)) == pytest.approx(depth.max(), rel=1e-6)
        expected = [(depth[mask] > radius * (1 + 1e-9)).mean() for radius in data.radius_nm.values]
        np.testing.assert_allclose(data.share_deeper.sel(phase=phase), expected)
        assert float(data.pairs_at_0.sel(phase=phase)) == pytest.approx(mask.mean())


def test_one_row_is_measured_by_describe_cba(rows):
    volume = np.random.default_rng(6).integers(0, 3, (12, 14, 16)).astype(np.uint8)
    data = describe_cba(volume, VOXEL_NM, transport=False, max_radius_nm=240.0)
    check(data, volume)
    assert data.widest_ball_nm.attrs == {
        "units": "nm", "long_name": "radius of the widest ball in the phase", "estimator": "distance transform",
        "source": "this test",
    }  # fmt: skip


def test_one_row_is_laid_out(rows):
    whole = descriptor_layout((20, 20, 20), VOXEL_NM)
    blocks = descriptor_layout((20, 20, 20), VOXEL_NM, blockwise_only=True)
    assert whole.share_deeper.dims == ("phase", "radius_nm")
    assert {"widest_ball_nm", "share_deeper", "pairs_at_0"} <= set(whole)
    assert set(blocks) & {"widest_ball_nm", "share_deeper", "pairs_at_0"} == {"pairs_at_0"}


def test_one_row_is_in_the_store_of_a_run(rows, tmp_path):
    one = recipe_with(sweep={"graphite_fraction": [0.1]}, realisations=1, descriptors={"transport": False})
    make(tmp_path, recipe=one)
    store = tmp_path / "tiny.zarr"
    with open_store(store) as data:
        check(data.isel(sample=0), read_block(store, 0))
        assert data.share_deeper.attrs["long_name"] == DEEP.long_name
