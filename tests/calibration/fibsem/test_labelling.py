"""Labelling in boxes: the same as of the whole, with each piece against brute force or the truth of a phantom."""

from functools import partial

import numpy as np
import pytest
import tifffile
import zarr
from scipy import ndimage

from nmcdist.bundle import load_bundle
from nmcdist.calibration.fibsem.clean import closed_by_ball
from nmcdist.calibration.fibsem.components import Grid, without_small_pieces
from nmcdist.calibration.fibsem.cubes import checked_factors, mean_in_cubes, voted_in_cubes
from nmcdist.calibration.fibsem.drift_files import read_drift
from nmcdist.calibration.fibsem.graphite_stages import _phases
from nmcdist.calibration.fibsem.labelling import CLASSES, HowToLabel, label_stack
from nmcdist.calibration.fibsem.ramp import Ramp
from nmcdist.calibration.fibsem.stack import CorrectedStack
from nmcdist.calibration.microscope.write import write_fib_sem
from nmcdist.calibration.stages import Stages
from nmcdist.errors import ImageError, InputError
from nmcdist.images import open_image

LABELLED = (6, 14)


def without_islands(phase, least):
    """The same for a whole image; only the largest piece stays if `least` is None."""
    pieces, _ = ndimage.label(phase)
    sizes = np.bincount(pieces.reshape(-1))
    sizes[0] = 0
    return (sizes >= (sizes.max() if least is None else least))[pieces] & phase


def smooth(shape, width, seed):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)


@pytest.mark.parametrize("least", [40, None])
def test_small_pieces_are_removed_wherever_boxes_end(tmp_path, least):
    phase = smooth((40, 50, 30), 1.5, 1) > 0.05
    grid = Grid(phase.shape, (20.0,) * 3, (16, 32, 8))
    stage = without_small_pieces(Stages(tmp_path), "phase", phase, grid, least, "a")
    found = np.asarray(zarr.open_array(stage.path)[:]) > 0
    assert (found == without_islands(phase, least)).all()
    assert 0 < found.sum() < phase.sum()
    assert sum(stage.facts) == found.sum()


def test_an_empty_phase_stays_empty(tmp_path):
    empty = np.zeros((9, 9, 9), bool)
    stage = without_small_pieces(Stages(tmp_path), "phase", empty, Grid(empty.shape, (20.0,) * 3, (4, 4, 4)), 5, "a")
    assert sum(stage.facts) == 0


def test_phases_of_a_box_are_those_of_the_whole():
    plates, solid = smooth((50, 44, 40), 4, 2) > 0.02, smooth((50, 44, 40), 1.5, 3) > 0
    whole = np.where(solid, np.where(closed_by_ball(plates, 5.0), 2, 1), 0)
    box = (slice(16, 32), slice(0, 16), slice(24, 40))
    found, counts = _phases(solid, plates, 5.0, box)
    assert (found == whole[box]).all()
    assert counts == [int((whole[box] == k).sum()) for k in range(3)]


def test_means_in_cubes_are_rounded_half_up():
    values = np.random.default_rng(4).integers(0, 256, (4, 6, 8)).astype(np.uint8)
    found = mean_in_cubes(values, (1, 2, 2))
    for z, y, x in np.ndindex(found.shape):
        part = values[z, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        assert found[z, y, x] == int(np.floor(part.astype(float).sum() / 4 + 0.5))


def test_labels_of_a_square_must_agree():
    labels = np.array([[1, 0, 2, 1], [0, 1, 0, 0], [0, 0, 2, 2], [0, 0, 2, 2]])
    assert voted_in_cubes(labels, (2, 2)).tolist() == [[1, 0], [0, 2]]


def test_voxels_that_make_no_cube_are_refused(in_memory):
    stack = in_memory(np.zeros((9, 9, 9), np.uint8))
    assert checked_factors(stack, None) == ((1, 2, 2), 20.0)
    assert checked_factors(stack, 40.0) == ((2, 4, 4), 40.0)
    with pytest.raises(InputError, match="found 30 nm for voxels of 20 x 10 x 10 nm, expected a whole multiple"):
        checked_factors(stack, 30.0)
    with pytest.raises(ImageError, match="smaller than a cubic voxel"):
        checked_factors(stack, 200.0)


def test_a_corrected_stack_loses_its_ramp_and_its_drift(in_memory):
    image = np.random.default_rng(5).uniform(100, 200, (3, 30, 40))
    shifts = np.array([[0.0, 0.0], [1.25, -2.5], [-0.75, 0.4]])
    stack = CorrectedStack(in_memory(image), Ramp(0.3), shifts)
    flat = image / (1 - 0.3 * np.arange(30) / 29)[:, None]
    for z, shift in enumerate(shifts):
        whole = ndimage.shift(flat[z], shift, order=1, mode="nearest")
        part = stack.read(slice(z, z + 1), slice(3, 20), slice(5, 40))[0]
        assert part == pytest.approx(whole[3:20, 5:40], rel=1e-5)


def test_values_that_are_not_finite_are_named(in_memory):
    image = np.ones((3, 8, 8), np.float32)
    image[1, 2, 3] = np.nan
    with pytest.raises(ImageError, match="slice 1: found values that are not finite"):
        CorrectedStack(in_memory(image), Ramp(0.0)).read(slice(None))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("d.json", '{"drift_px": [[0, 1], [2.5, -1]]}', None),
        ("d.csv", "# y, x\n0, 1\n2.5,-1\n", None),
        ("d.txt", "0 1\n2.5 -1\n", None),
        ("d.csv", "0,1\n", "found 1 rows, expected 2 pairs"),
        ("d.csv", "0,1\nnan,2\n", "expected 2 pairs of finite numbers"),
        ("d.csv", "0,1\n2\n", "expected 2 pairs"),
        ("d.json", "{}", "expected 2 pairs"),
    ],
)
def test_known_drifts(tmp_path, name, text, expected):
    path = tmp_path / name
    path.write_text(text)
    if expected is None:
        assert read_drift(path, 2).tolist() == [[0, 1], [2.5, -1]]
    else:
        with pytest.raises(ImageError, match=expected):
            read_drift(path, 2)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    write_fib_sem(load_bundle("cba-cathode-2025"), folder, "easy", (20, 192, 192), 10.0, 24)
    truth = tifffile.imread(folder / "truth.tif")
    rng = np.random.default_rng(6)
    scribbles, drift = {}, read_drift(folder / "phantom.json", 20)
    for z in LABELLED:
        noise = ndimage.gaussian_filter(rng.normal(size=truth.shape[1:]), 8)
        labels = np.where(noise > np.quantile(noise, 0.7), truth[z].astype(np.int32) + 1, 0)
        scribbles[z] = np.roll(labels, -np.rint(drift[z]).astype(int), axis=(0, 1))  # on slices as they were scanned
    return open_image(folder / "image.tif"), truth, scribbles, drift


def test_scribbles_move_with_their_slices(in_memory):
    # A structure that drifts, labelled on each slice as it was scanned: corrected, all labels lie on the structure.
    base = np.zeros((40, 40), np.float32)
    base[12:22, 15:30] = 1.0
    drift = np.array([(0.0, 0.0), (3.0, -2.0), (-4.0, 5.0)])
    scanned = np.stack([np.roll(base, -d.astype(int), axis=(0, 1)) for d in drift])
    stack = CorrectedStack(in_memory(scanned), Ramp(0.0), drift)
    scribbles = {z: (scanned[z] > 0).astype(np.int32) for z in range(3)}
    for z, plane in stack.moved(scribbles).items():
        np.testing.assert_array_equal(plane, stack.read(slice(z, z + 1))[0] > 0.5)
        np.testing.assert_array_equal(plane, base > 0)


@pytest.fixture(scope="module")
def labelled(phantom, tmp_path_factory):
    image, _, scribbles, drift = phantom
    stages = Stages(tmp_path_factory.mktemp("stages"))
    return label_stack(image, scribbles, stages, HowToLabel(drift=drift, trees=20)), stages


def test_pore_and_solid_of_an_easy_stack_are_found(phantom, labelled):
    truth = phantom[1][:, ::2, ::2]
    away = [z for z in range(len(truth)) if min(abs(z - k) for k in LABELLED) > 1]
    found = labelled[0].labels.read()
    assert found.shape == truth.shape
    assert ((found > 0) == (truth > 0))[away].mean() > 0.95  # 0.97 where a cubic voxel is one pixel, less at its edges
    shares = labelled[0].facts["shares"]
    assert list(shares.values()) == pytest.approx([float((found == k).mean()) for k in range(3)])


def test_stages_do_not_depend_on_the_boxes(phantom, labelled, tmp_path, monkeypatch):
    image, _, scribbles, drift = phantom
    monkeypatch.setattr("nmcdist.calibration.fibsem.phases._EDGE", 40)
    monkeypatch.setattr("nmcdist.calibration.fibsem.phases._SLICES", 8)
    again = label_stack(image, scribbles, Stages(tmp_path), HowToLabel(drift=drift, trees=20))
    one, two = (zarr.open_array(each.stages["solid"].path)[:].astype(int) for each in (labelled[0], again))
    assert (abs(one - two) > 1).mean() < 1e-3  # sums of another length may round to another side of a threshold


def test_a_resume_makes_nothing_again_and_other_thresholds_only_the_last(phantom, labelled):
    image, _, scribbles, drift = phantom
    before, stages = labelled
    told = []
    again = Stages(stages.folder, progress=told.append)
    settings = partial(HowToLabel, drift=drift, trees=20)
    found = label_stack(image, scribbles, again, settings())
    assert all(each["kept"] == each["pieces"] for each in told)
    assert found.facts == before.facts
    told.clear()
    label_stack(image, scribbles, Stages(stages.folder, progress=told.append), settings(threshold=0.7))
    remade = [each["name"] for each in told if each["kept"] == 0]
    assert remade == ["graphite-pieces", "graphite", "labels"]


def test_the_papers_quantile_fixes_the_share_before_the_clean_up(phantom, tmp_path):
    image, _, scribbles, drift = phantom
    found = label_stack(
        image,
        scribbles,
        Stages(tmp_path),
        HowToLabel(drift=drift, trees=10, graphite="paper", quantile=0.85, clean=True),
    )
    likely = zarr.open_array(found.stages["graphite-probability"].path)[:]
    above = likely > round(255 * found.facts["least_probability_of_graphite"]) - 1
    assert above.mean() <= 0.15
    assert (likely >= np.quantile(likely, 0.85)).mean() >= 0.15
    solid = zarr.open_array(found.stages["solid-clean"].path)[:] > 0
    assert ndimage.label(solid)[1] == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            {0: [[1, 2]]},
            "found labels \\[1, 2\\], expected pore=1, carbon_binder=2, graphite=3; there is none of graphite",
        ),
        ({0: [[1, 2, 3, 4]]}, "found the label 4, expected pore=1"),
    ],
)
def test_scribbles_without_a_phase_or_with_another_are_refused(phantom, tmp_path, labels, message):
    scribbles = {z: np.array(plane, np.int32) for z, plane in labels.items()}
    with pytest.raises(ImageError, match=message):
        label_stack(phantom[0], scribbles, Stages(tmp_path), HowToLabel())


def test_impossible_settings_are_refused(phantom, tmp_path):
    with pytest.raises(InputError, match="threshold: found 1\\.5, expected a number between 0 and 1"):
        HowToLabel(threshold=1.5)
    with pytest.raises(InputError, match="found beside a threshold, expected one of them"):
        HowToLabel(threshold=0.4, quantile=0.85)
    with pytest.raises(InputError, match="graphite: found 'flakes', expected 'plates' or 'paper'"):
        HowToLabel(graphite="flakes")
    with pytest.raises(InputError, match="expected \\(20, 2\\): finite shifts"):
        label_stack(phantom[0], phantom[2], Stages(tmp_path), HowToLabel(drift=np.zeros((3, 2))))
    assert CLASSES == {"pore": 1, "carbon_binder": 2, "graphite": 3}
