"""Separation in blocks against the whole image at once, with what is read counted."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from scipy import ndimage

from nmcdist.calibration.shell import basins as basins_module
from nmcdist.calibration.shell import distance as distance_module
from nmcdist.calibration.shell.basins import find_basins
from nmcdist.calibration.shell.blocks import Box, blocks
from nmcdist.calibration.shell.packing import overlap, packed
from nmcdist.calibration.shell.paper_rule import crofton_areas
from nmcdist.calibration.shell.separate import Separated, Watershed
from nmcdist.calibration.shell.stars import fit_shapes
from nmcdist.errors import ImageError

CUBIC = (1.0, 1.0, 1.0)
EDGE, SHAPE = 32, (200, 50, 50)


class Recorded:
    """An array that notes the boxes that are read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, []

    def __getitem__(self, box):
        found = self.array[box]
        self.read.append(found.shape)
        return found

    def __setitem__(self, box, values):
        self.array[box] = values


def one_block(values):
    return max(values.shape)


@pytest.fixture(scope="module")
def truth():
    """Balls of radius 8 to 10 that overlap, in four layers of their own."""
    stream = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.arange(12), np.arange(3), np.arange(3), indexing="ij"), axis=-1).reshape(-1, 3)
    rows = np.zeros((len(grid), 100))
    rows[:, 0] = np.sqrt(4 * np.pi) * stream.uniform(8, 10, len(grid))
    rows[:, 4:9] = 0.4 * stream.standard_normal((len(grid), 5))
    centres = 9 + 16.0 * grid + stream.uniform(-1, 1, grid.shape)
    return packed(SHAPE, rows, centres, CUBIC), rows, centres


@pytest.fixture(scope="module")
def rough():
    """A phase with channels, thin parts, plateaus and many small peaks."""
    return ndimage.gaussian_filter(np.random.default_rng(2).standard_normal((70, 60, 50)), 2.5) > 0


def assert_equal_basins(one, two):
    assert np.array_equal(one.labels[:], two.labels[:])
    assert np.array_equal(one.peaks, two.peaks)
    for mine, other in ((one.counts, two.counts), (one.touching, two.touching)):
        assert all(np.array_equal(a, b) for a, b in zip(mine, other, strict=True))


@pytest.mark.parametrize("edge", [13, 32])
@pytest.mark.parametrize("spacing", [CUBIC, (1.6, 1.0, 0.625)])
def test_basins_do_not_depend_on_blocks(rough, edge, spacing, monkeypatch):
    """Equal to the last bit, ties too, also where the first halo is too narrow and has to be doubled."""
    whole = find_basins(rough, spacing, edge=one_block(rough))
    assert len(whole.peaks) > 100
    monkeypatch.setattr(basins_module, "FIRST_HALO", 2)
    monkeypatch.setattr(distance_module, "FIRST_HALO", 2)
    assert_equal_basins(find_basins(rough, spacing, edge=edge), whole)


def test_a_packing_in_blocks_of_zarr_on_threads(truth, tmp_path):
    """Labels, graph, counts and shapes are those of the whole; no read is larger than a block with its halo."""
    labels, rows, centres = truth
    made = {}

    def arrays(name, shape, dtype):
        store = zarr.create_array(tmp_path / name, shape=shape, dtype=dtype, chunks=(EDGE,) * 3)
        return made.setdefault(name, Recorded(store))

    with ThreadPoolExecutor(2) as pool:
        how = {"spread": pool.map, "arrays": arrays, "edge": EDGE}
        again = packed(SHAPE, rows, centres, CUBIC, **how)
        assert np.array_equal(again[:], labels)
        made["packing"].read.clear()
        found = Watershed.of(again, CUBIC, **how)
        whole = Watershed.of(labels > 0, CUBIC, edge=one_block(labels))
        allowed = [min(n, EDGE + 2 * basins_module.FIRST_HALO) for n in SHAPE]
        basins = made.pop("basins")
        assert not basins.read
        for array in made.values():
            assert array.read
            assert (np.array(array.read) <= allowed).all()
        assert_equal_basins(found.basins, whole.basins)
        shared = overlap(again, found.basins.labels, pool.map, EDGE)
        assert all(map(np.array_equal, shared, overlap(labels, whole.basins.labels, edge=one_block(labels))))
        areas = crofton_areas(found.basins.labels, found.count, CUBIC, pool.map, EDGE)
        assert np.array_equal(areas, crofton_areas(whole.basins.labels, whole.count, CUBIC, edge=one_block(labels)))
        regions = found.separated(0.9)
        chosen = np.flatnonzero(regions.kept(200))
        ways = np.broadcast_to(np.eye(3), (len(chosen), 3, 3))
        basins.read.clear()
        fitted = fit_shapes(regions, chosen, ways, CUBIC, 9, spread=pool.map)
        assert len(chosen) > 5
        assert max(np.prod(size) for size in basins.read) < 30**3  # a particle each
        assert np.array_equal(
            fitted.coefficients, fit_shapes(whole.separated(0.9), chosen, ways, CUBIC, 9).coefficients
        )


def test_counts_do_not_depend_on_blocks(truth):
    labels, rows, _ = truth
    one, two = (Separated.of(labels, len(rows), CUBIC, edge=edge).regions for edge in (21, one_block(labels)))
    for name in ("voxels", "centre", "low", "high", "is_whole", "area", "contact_area"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


def test_blocks_cover_the_image_once():
    seen = np.zeros((70, 33, 5), int)
    for core in blocks(seen.shape, 32):
        seen[core.slices] += 1
        assert max(core.shape) <= 32
        assert core.grown(7, seen.shape).within(core).low == tuple(-min(7, a) for a in core.low)
    assert (seen == 1).all()
    assert Box((1, 2, 3), (4, 6, 8)).shape == (3, 4, 5)


def test_a_particle_beyond_the_widest_halo_is_refused(monkeypatch):
    monkeypatch.setattr(distance_module, "FIRST_HALO", 2)
    monkeypatch.setattr(distance_module, "WIDEST_HALO", 4)
    phase = np.zeros((90, 60, 60), bool)
    phase[10:80, 5:55, 5:55] = True
    with pytest.raises(ImageError, match="lie over 4 voxels inside"):
        find_basins(phase, CUBIC, edge=10)
