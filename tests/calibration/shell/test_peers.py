"""Harmonics beside pyshtools, and the separation beside the SNOW of porespy."""

import numpy as np
import pytest

from nmcdist.bundle import load_bundle
from nmcdist.calibration.microscope.packing import pack
from nmcdist.calibration.shell.blocks import Box
from nmcdist.calibration.shell.harmonics import fit_series
from nmcdist.calibration.shell.packing import overlap, score
from nmcdist.calibration.shell.separate import Separated, Watershed
from nmcdist.geometry import sphere

CUBIC = (1.0, 1.0, 1.0)
ORDER = 9
DIRECTIONS = sphere.icosphere(3)[0]


class TestPyshtools:
    """Orthonormal (norm 4) without the phase (-1)^m (csphase 1); latitude from the equator, in degrees.

    Its cosines, [0, l, m], are ours of m >= 0, its sines, [1, l, m], ours of -m.
    """

    @pytest.fixture
    def peer(self):
        return pytest.importorskip("pyshtools", reason="pyshtools is not installed (extra 'peers')").expand

    @staticmethod
    def angles(directions):
        latitude = np.degrees(np.arcsin(np.clip(directions[:, 0], -1, 1)))
        return latitude, np.degrees(np.arctan2(directions[:, 1], directions[:, 2])) % 360

    @staticmethod
    def as_rows(cosines_and_sines):
        row = np.zeros((ORDER + 1) ** 2)
        for degree in range(ORDER + 1):
            for m in range(degree + 1):
                row[degree**2 + degree + m] = cosines_and_sines[0, degree, m]
                if m:
                    row[degree**2 + degree - m] = cosines_and_sines[1, degree, m]
        return row

    def test_each_harmonic_is_the_same(self, peer):
        directions = np.random.default_rng(1).standard_normal((20, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        ours, latitudes = sphere.real_spherical_harmonics(directions, ORDER), self.angles(directions)
        for k, (latitude, longitude) in enumerate(zip(*latitudes, strict=True)):
            theirs = self.as_rows(peer.spharm(ORDER, 90 - latitude, longitude, normalization="ortho", csphase=1))
            assert ours[k] == pytest.approx(theirs, abs=1e-12)

    def test_the_least_squares_are_the_same(self, peer):
        """Star radii of voxels, which are no harmonics: both minimise the same sum over 642 directions."""
        stream = np.random.default_rng(2)
        radii = 10 + stream.standard_normal(642)
        found, misfit = peer.SHExpandLSQ(radii, *self.angles(DIRECTIONS), ORDER, norm=4, csphase=1)[:2]
        ours = fit_series(radii[None], ORDER)
        assert ours.coefficients[0] == pytest.approx(self.as_rows(found), abs=1e-10)
        assert ours.residual[0] ** 2 * 642 == pytest.approx(misfit, rel=1e-9)


def test_touching_particles_are_found_no_worse_than_by_snow():
    """Some 150 shells of a known packing, SNOW with its own settings, both against the known particles."""
    porespy = pytest.importorskip("porespy", reason="porespy is not installed (extra 'peers')")
    porespy.settings.tqdm["disable"] = True
    labels = pack(load_bundle("nmc-ct-2018"), (150,) * 3, 398.0, 2, 0.5).labels
    regions = Watershed.of(labels > 0, CUBIC).separated(0.9)
    true = Separated.of(labels, int(labels.max()), CUBIC)

    def judged(found):
        own = Separated.of(found, int(found.max()), CUBIC)
        return score(0.9, overlap(labels, found), true.regions.voxels, true.kept(200), own.regions.voxels,
                     own.kept(200))  # fmt: skip

    ours = judged(regions.read(Box((0, 0, 0), labels.shape)))
    snow = judged(np.asarray(porespy.filters.snow_partitioning(labels > 0).regions).astype(np.int32))
    assert ours.true > 80
    assert ours.share_over_08 > 0.85
    assert ours.share_over_08 >= snow.share_over_08
    assert ours.split + ours.merged <= snow.split + snow.merged
    assert abs(ours.found / ours.true - 1) <= abs(snow.found / snow.true - 1)
