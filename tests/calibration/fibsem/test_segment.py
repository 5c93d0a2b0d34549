"""Segmentation from scribbles: a phantom, two micrographs with references by hand, files, and bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner
from PIL import Image as PngImage

from nmcdist.calibration.fibsem.agreement import agreement
from nmcdist.calibration.fibsem.forest_files import load_forest
from nmcdist.calibration.fibsem.pictures import open_pixels
from nmcdist.calibration.fibsem.scribbles import read_scribbles
from nmcdist.calibration.fibsem.slicewise import segment, segment_slice, train_on
from nmcdist.cli.entry import cli
from nmcdist.errors import ImageError, InputError, StoreError

DATA = Path(__file__).parents[2] / "data" / "micrographs"
RNG = np.random.default_rng(4)


def halves(count=3):
    """Slices that are dark left and bright right, with noise."""
    truth = np.ones((count, 40, 60), int)
    truth[:, :, 30:] = 2
    return (60 * truth + 10 * RNG.normal(size=truth.shape)).astype(np.float32), truth


@pytest.fixture
def files(tmp_path):
    grey, truth = halves()
    tifffile.imwrite(tmp_path / "image.tif", grey, imagej=True, resolution=(100, 100),
                     metadata={"axes": "ZYX", "spacing": 0.02, "unit": "um"})  # fmt: skip
    (tmp_path / "scribbles").mkdir()
    scribble = np.where(RNG.random(truth.shape[1:]) < 0.2, truth[1], 0).astype(np.uint8)
    tifffile.imwrite(tmp_path / "scribbles" / "slice_01.tif", scribble)
    tifffile.imwrite(tmp_path / "truth.tif", truth.astype(np.uint8), imagej=True, metadata={"axes": "ZYX"})
    return tmp_path


def test_the_command_writes_classes_probabilities_forest_and_report(files):
    arguments = ["calibrate", "segment", str(files / "image.tif"), "--scribbles", str(files / "scribbles"), "--out",
                 str(files / "out"), "--reference", str(files / "truth.tif"), "--trees", "10"]  # fmt: skip
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    labels, results = (
        tifffile.imread(files / "out" / "labels.tif"),
        json.loads((files / "out/results.json").read_text()),
    )
    truth = halves()[1]
    assert results["agreement"]["share"] == pytest.approx((labels == truth).mean())
    assert results["agreement"]["share"] > 0.98
    assert open_pixels(files / "out" / "labels.tif").voxel_size_nm == pytest.approx((20, 10, 10))
    store = zarr.open_group(files / "out" / "segmentation.zarr", mode="r")
    assert np.array_equal(store["labels"][:], labels)
    assert np.array_equal(tifffile.imread(files / "out" / "probability-2.tif"), store["probability"][1])
    image = open_pixels(files / "image.tif")
    again = segment_slice(image, load_forest(files / "out" / "forest"), 2)
    assert np.array_equal(again, store["probability"][:, 2])
    assert (files / "out/report/before-and-after.png").exists()
    assert "optimistic" in (files / "out/report/report.md").read_text()


def test_a_forest_of_before_segments_another_image(files):
    whole = ["calibrate", "segment", str(files / "image.tif"), "--out"]
    first = CliRunner().invoke(cli, [*whole, str(files / "a"), "--scribbles", str(files / "scribbles"), "--trees", "5"])
    assert first.exit_code == 0, first.output
    again = CliRunner().invoke(cli, [*whole, str(files / "b"), "--forest", str(files / "a" / "forest")])
    assert again.exit_code == 0, again.output
    assert (files / "a" / "labels.tif").read_bytes() == (files / "b" / "labels.tif").read_bytes()
    assert "trained before" in (files / "b" / "report" / "report.md").read_text()
    both = [*whole, str(files / "c"), "--forest", str(files / "a" / "forest"), "--scribbles", str(files / "scribbles")]
    for arguments in (both, [*whole, str(files / "c")]):
        with pytest.raises(InputError, match="expected either --scribbles or --forest"):
            CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_tiles_give_the_classes_of_whole_slices(files, monkeypatch):
    image = open_pixels(files / "image.tif")
    forest = train_on(image, read_scribbles(files / "scribbles", image), 1, 5).forest
    whole = segment_slice(image, forest, 1)
    monkeypatch.setattr("nmcdist.calibration.fibsem.tiles.TILE_PX", 16)
    assert (abs(segment_slice(image, forest, 1).astype(int) - whole) > 1).mean() < 0.01  # sums of another length


def test_slices_may_be_spread(files):
    image = open_pixels(files / "image.tif")
    scribbles = read_scribbles(files / "scribbles", image)
    calls = []

    def spread(function, items):
        calls.append(function)
        return map(function, items)

    with pytest.raises(StoreError, match="holds other files"):
        segment(image, scribbles, files)
    segment(image, scribbles, files / "out", trees=5, spread=spread)
    assert len(calls) == 2


@pytest.mark.parametrize(("name", "least"), [("0", 0.80), ("1", 0.96)])
def test_micrographs_agree_with_their_references(name, least):
    """References of others; in 0.tif, 87 % of the differences lie within 4 pixels of an edge of theirs."""
    image = open_pixels(DATA / f"{name}.tif")
    forest = train_on(image, read_scribbles(DATA / f"{name}_labels.tif", image), 1).forest
    labels = forest.labels(segment_slice(image, forest, 0))[None]
    found = agreement(labels, open_pixels(DATA / f"{name}_ground_truth.tif").read())
    assert found.share > least


def test_agreement_of_known_labels():
    reference = np.zeros((1, 64, 64), int)
    reference[:, :32], reference[:, 32:60] = 1, 2
    labels = np.where(np.arange(64)[:, None] < 24, 1, 2) * np.ones((1, 64, 64), int)
    found = agreement(labels, reference)
    assert found.share == pytest.approx(52 / 60)
    assert found.dice == pytest.approx({1: 2 * 24 / (24 + 32), 2: 2 * 28 / (36 + 28)})
    with pytest.raises(ImageError, match="reference: found no label"):
        agreement(labels, 0 * reference)


@pytest.mark.parametrize(
    ("change", "line"),
    [(lambda a: np.minimum(a, 1), "found labels of 1 classes, expected at least two"),
     (lambda a: 0 * a, "found labels of 0 classes"),
     (lambda a: a[:-1], r"found shape \(39, 60\), expected \(40, 60\)"),
     (lambda a: a + np.float32(0.5), "found labels of type float32, expected whole numbers"),
     (lambda a: np.arange(a.size).reshape(a.shape) % 900, "found 899 classes, expected scribbles of at most 32")],
)  # fmt: skip
def test_bad_scribbles_are_refused(files, change, line):
    path = files / "scribbles" / "slice_01.tif"
    scribble = tifffile.imread(path)
    changed = change(scribble)
    tifffile.imwrite(path, changed.astype(np.uint16) if changed.dtype.kind == "i" else changed)
    with pytest.raises(ImageError, match=line):
        read_scribbles(files / "scribbles", open_pixels(files / "image.tif"))


def test_pictures_are_read_as_tiff_files_are(files):
    image, folder = open_pixels(files / "image.tif"), files / "png"
    folder.mkdir()
    expected = read_scribbles(files / "scribbles", image)
    grey = (100 + 20 * image.read()[1]).astype(np.uint8)
    scribble = tifffile.imread(files / "scribbles" / "slice_01.tif")
    labels = PngImage.fromarray(scribble, mode="P")  # colours stand for the labels
    labels.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    labels.save(folder / "slice_01.png")
    found = read_scribbles(folder, image)
    assert found.keys() == expected.keys()
    assert np.array_equal(found[1], expected[1])
    PngImage.fromarray(grey).save(files / "grey.png")
    assert np.array_equal(open_pixels(files / "grey.png").read(), grey[None])
    PngImage.fromarray(np.stack([scribble] * 3, -1)).save(folder / "slice_01.png")
    with pytest.raises(ImageError, match=r"slice_01\.png: found colours \(RGB\), expected a grey picture"):
        read_scribbles(folder, image)


def test_scribbles_of_no_slice_are_refused(files):
    (files / "scribbles" / "slice_01.tif").rename(files / "scribbles" / "slice_07.tif")
    with pytest.raises(ImageError, match=r"slice_07\.tif: expected the number of a slice in the name, from 0 to 2"):
        read_scribbles(files / "scribbles", open_pixels(files / "image.tif"))


def test_values_that_are_no_numbers_are_refused(in_memory):
    grey, truth = halves(1)
    grey[0, 3, 3] = np.nan
    with pytest.raises(ImageError, match="memory: slice 0: found values that are not finite numbers"):
        train_on(in_memory(grey), {0: truth[0].astype(np.int32)}, 1)


def test_a_refused_slice_leaves_the_folder_free(in_memory, tmp_path):
    grey, truth = halves()
    scribbles, torn = {0: truth[0].astype(np.int32)}, grey.copy()
    torn[2, 3, 3] = np.inf
    with pytest.raises(ImageError, match="slice 2: found values that are not finite numbers"):
        segment(in_memory(torn), scribbles, tmp_path / "out", trees=2)
    assert segment(in_memory(grey), scribbles, tmp_path / "out", trees=2)["shape"] == [3, 40, 60]


def test_an_image_of_two_values_has_a_page(files):
    tifffile.imwrite(files / "two.tif", tifffile.imread(files / "image.tif") > 90, photometric="minisblack")
    arguments = ["calibrate", "segment", files / "two.tif", "--scribbles", files / "scribbles", "--out", files / "out",
                 "--axes", "zyx", "--voxel-size-nm", "20,10,10", "--trees", "2"]  # fmt: skip
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("harm", ["child", "roots", "missing"])
def test_damaged_forests_are_refused(files, harm):
    from safetensors.numpy import load, save

    image = open_pixels(files / "image.tif")
    segment(image, read_scribbles(files / "scribbles", image), files / "out", trees=3)
    path = files / "out/forest/forest.safetensors"
    arrays = load(path.read_bytes())
    if harm == "missing":
        del arrays["shares"]
    else:
        arrays[harm] = arrays[harm] * 0 + 2**22
    path.write_bytes(save(arrays))
    with pytest.raises(ImageError, match=r"forest\.safetensors"):
        load_forest(files / "out/forest")
