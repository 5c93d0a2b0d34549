"""Direct sampling, refereed by images with known patterns and by the proportions of the image."""

import numpy as np
import pytest

from nmcdist.bundle import Bundle, PatternsParameters, load_bundle
from nmcdist.descriptors.copies import copied_share, largest_copy
from nmcdist.errors import BundleError, InputError
from nmcdist.models.cba import generate_cba
from nmcdist.models.patterns import draw_bytes, draw_patterns, generate_patterns

VOXEL_NM = 80.0


def bundle_of(arrays, **parameters):
    arrays = {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}
    chosen = PatternsParameters(voxel_size_nm=VOXEL_NM, **parameters)
    return Bundle.of("image", "Image", chosen, licence="CC0-1.0", arrays=arrays)


def stripes(*shape):
    """Diagonal stripes, four voxels along every axis."""
    return sum(np.indices(shape)) // 4 % 2


def checkerboard(*shape):
    return sum(np.indices(shape)) % 2


@pytest.fixture(scope="module")
def solid():
    return (generate_cba(load_bundle("cba-cathode-2025"), (72, 72, 72), VOXEL_NM, seed=7) > 0).astype(np.uint8)


class TestKnownPatterns:
    @pytest.mark.parametrize("arrays", [{"image": checkerboard(32, 32, 32)}, {"section": checkerboard(32, 32)}])
    def test_checkerboard(self, arrays):
        """Two domains may meet, as each voxel knows its surroundings only: two seams across an axis of 16 voxels."""
        found = generate_patterns(bundle_of(arrays), (16, 16, 16), VOXEL_NM, seed=1)
        unlike = [(found != np.roll(found, 1, axis)).mean() for axis in range(3)]
        assert min(unlike) >= 1 - 2 / 16
        assert np.mean(unlike) > 0.95

    def test_stripes(self):
        """16 voxels hold two periods of 8 along every axis, so the pattern fits the box; labels at random give 0.5."""
        found = generate_patterns(bundle_of({"image": stripes(32, 32, 32)}, neighbours=60.0), (16, 16, 16), VOXEL_NM, 2)
        for axis in range(3):
            assert (found != np.roll(found, 4, axis)).mean() > 0.85
        diagonal = found == np.roll(np.roll(found, 1, 0), -1, 1)
        assert diagonal.mean() > 0.85

    def test_labels_of_three_phases_stay_three(self):
        image = sum(np.indices((32, 32, 32))) // 2 % 3
        found = draw_patterns(bundle_of({"image": image}), (12, 12, 12), VOXEL_NM, seed=1)
        assert found.proportions == pytest.approx(np.full(3, 1 / 3), abs=0.02)
        # Two voxels on, the next label follows; labels at random give 1/3.
        assert (np.roll(found.labels, -2, 2) == (found.labels + 1) % 3).mean() > 0.8


class TestProportions:
    def test_those_of_a_volume(self, solid):
        found = draw_patterns(bundle_of({"image": solid}), (32, 32, 32), VOXEL_NM, seed=1)
        assert found.wanted[1] == pytest.approx(solid.mean())
        assert found.proportions[1] == pytest.approx(found.labels.mean())
        assert found.miss < 0.02

    def test_those_of_one_and_of_three_sections(self, solid):
        sections = {"section_z": solid[30], "section_y": solid[:, 30], "section_x": solid[:, :, 30]}
        for arrays in ({"section": solid[30]}, sections):
            found = draw_patterns(bundle_of(arrays), (22, 22, 22), VOXEL_NM, seed=1)
            assert found.wanted[1] == pytest.approx(np.mean([a.mean() for a in arrays.values()]))
            assert found.miss < 0.02

    def test_those_of_a_rare_phase(self):
        """Diagonal stripes, one voxel of eight thick."""
        image = sum(np.indices((32, 32, 32))) % 8 == 0
        found = draw_patterns(bundle_of({"image": image}), (24, 24, 24), VOXEL_NM, seed=1)
        assert found.wanted[1] == pytest.approx(1 / 8)
        assert found.miss < 0.02


def test_surface_and_chords_are_those_of_the_image(solid):
    """The mean chord varies by about 5 % between parts of the image of this size: 20 % is four of it."""
    found = generate_patterns(bundle_of({"image": solid}), (36, 36, 36), VOXEL_NM, seed=1)

    def mean_chord(labels):
        steps = [np.diff(labels.astype(np.int8), axis=axis) == 1 for axis in range(3)]
        return labels.mean() / np.mean([each.mean() for each in steps])

    assert mean_chord(found) == pytest.approx(mean_chord(solid), rel=0.2)
    assert largest_copy(found, solid) < 16  # of 36: no large part is copied
    assert copied_share(found, solid, 12) < 0.01


def test_items_are_repeated_and_differ(solid):
    bundle = bundle_of({"image": solid})
    one, again, other = (generate_patterns(bundle, (12, 14, 10), VOXEL_NM, 7, index) for index in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.dtype == np.uint8
    assert draw_bytes((12, 14, 10)) > one.nbytes


class TestRefused:
    @pytest.mark.parametrize("axis", range(3))
    def test_an_image_no_longer_than_its_largest_chord(self, axis):
        image = stripes(8, 9, 10)
        image[tuple(slice(None) if a == axis else 3 for a in range(3))] = 1
        fault = rf"arrays\.image: found a chord of label 1 over all {8 + axis} voxels along {'zyx'[axis]}, expected"
        with pytest.raises(BundleError, match=fault):
            generate_patterns(bundle_of({"image": image}), (8, 8, 8), VOXEL_NM, seed=1)

    @pytest.mark.parametrize("label", [-1, 0.5, 255])
    def test_impossible_labels(self, label):
        image = stripes(8, 8).astype(float)
        image[2, 2] = label
        with pytest.raises(BundleError, match=r"arrays\.section: found .* to .*, expected whole labels from 0 to 254"):
            generate_patterns(bundle_of({"section": image}), (8, 8, 8), VOXEL_NM, seed=1)

    def test_another_voxel_size(self):
        with pytest.raises(InputError, match="voxel_size_nm: found 40, expected 80"):
            generate_patterns(bundle_of({"section": stripes(8, 8)}), (8, 8, 8), 40.0, seed=1)
