"""Exports of users' images equal those of the same labels from memory, and one line for each refusal."""

import sys

import meshio
import numpy as np
import pytest
import tifffile
import yaml

from nmcdist import cli, export_image
from nmcdist.datasets import export_labels
from nmcdist.errors import ImageError, InputError, NmcdistError

LABELS = np.kron(np.random.default_rng([41, 0]).integers(0, 3, (4, 3, 5)), np.ones((4, 4, 4))).astype(np.uint8)
GREYS = np.array([0, 85, 170], np.uint8)[LABELS]
PHASES = {"pore": 0, "nmc": 85, "cbd": 170}


@pytest.fixture
def image(tmp_path):
    about = {"spacing": 0.05, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "electrode.tif", GREYS, imagej=True, resolution=(20, 20), metadata=about)
    return tmp_path / "electrode.tif"


@pytest.mark.parametrize("file_format", ["inp", "vtk", "stl"])
def test_equals_the_export_of_the_same_labels(image, tmp_path, file_format):
    ours = export_image(image, file_format, tmp_path / "ours", phases=PHASES)
    names = {0: "pore", 85: "nmc", 170: "cbd"}
    theirs = export_labels(
        GREYS.astype(np.int32), 50.0, (25.0,) * 3, file_format, tmp_path / "theirs", title="electrode", names=names
    )
    assert ours.read_bytes() == theirs.read_bytes()


def test_unions_become_one_label(image, tmp_path):
    export_image(image, "tiff", tmp_path / "a.tif", phases={"pore": 0, "solid": [85, 170]})
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), np.where(GREYS > 0, 85, 0))


def test_names_of_phases_are_words_for_yaml(image, tmp_path):
    """An unquoted no would be false, and null nothing."""
    folder = export_image(image, "damask", tmp_path / "a", phases={"pore": 0, "no": 85, "null": 170})
    assert list(yaml.safe_load((folder / "material.yaml").read_text())["phase"]) == ["pore", "no", "null"]


def test_a_title_is_no_keyword_of_abaqus(image, tmp_path):
    image.rename(tmp_path / "*NODE.tif")
    path = export_image(tmp_path / "*NODE.tif", "inp", tmp_path / "a.inp", phases=PHASES)
    assert len(meshio.read(path).points) == len(
        meshio.read(export_image(tmp_path / "*NODE.tif", "vtu", tmp_path / "a.vtu")).points
    )


def test_voxels_with_three_edges_stay_so(image, tmp_path, monkeypatch, capsys):
    """The volume of a phase is that of its voxels, from the file of another program."""
    options = ["--format", "vtu", "--voxel-size-nm", "80,50,40", "--out", tmp_path / "a.vtu"]
    code, _, said = command(monkeypatch, capsys, image, *options)
    assert code == 0, said
    mesh = meshio.read(tmp_path / "a.vtu")
    assert np.ptp(mesh.points, axis=0) == pytest.approx(np.array(GREYS.shape[::-1]) * (40, 50, 80))


def command(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["nmcdist", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return ended.value.code, said.out.strip(), said.err


def test_the_command_meshes_an_image(image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--format", "vtu", "--elements", "tetrahedra", "--phases", "pore=0,nmc=85,cbd=170"]
    code, printed, said = command(monkeypatch, capsys, image, *options)
    assert (code, printed) == (0, "electrode.vtu"), said
    mesh = meshio.read("electrode.vtu")
    corners = mesh.points[mesh.cells_dict["tetra"]]
    volume = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])).sum() / 6
    assert volume == pytest.approx((GREYS > 0).sum() * 50.0**3, rel=0.05)


def test_an_image_has_no_items(image, monkeypatch, capsys):
    code, _, said = command(monkeypatch, capsys, image, "--item", 0, "--format", "vtu")
    hint = "is a file, expected a store for --item; leave --item out to export the image in it"
    assert (code, said.splitlines()) == (2, [f"nmcdist: error: {image}: {hint}"])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"phases": {"pore": 0, "nmc": 85}}, "phases: label 170 of .* has no name: add NAME=170"),
        (
            {"voxel_size_nm": (10.0, 10.0, 20.0), "file_format": "network", "phases": PHASES},
            "format network: found voxels of .*, expected cubes",
        ),
        ({"voxel_size_nm": (10.0, 10.0)}, "voxel_size_nm"),
        ({"phases": {"pore": 0, "nmc": 85, "cbd": [170, 255]}}, "phases: cbd = 255: no voxel of .* has this label"),
        ({"phases": {"pore": 0, "nmc": [85, 170], "cbd": 170}}, "phases: label 170 is of two phases"),
        ({"phases": {"pore": 0, "nmc": [85, 170], "cbd": [85]}}, "phases: label 85 is of two phases"),
        ({"phases": {"pore": 0, "nmc": 85, "cbd": []}}, r"phases: cbd: found \[\], expected a whole number"),
        ({"phases": {"pore": 0, "binder": 85, "é": 170}}, "phases: found the name 'é', expected one word"),
        ({"phases": {"pore": 0, "a b": 85, "c": 170}}, "phases: found the name 'a b', expected one word"),
        (
            {"phases": {"pore": 0, "NMC": 85, "nmc": 170}},
            "phases: found the names NMC and nmc, expected different ones",
        ),
        ({"phases": {"pore": 0, "..": 85, "nmc": 170}}, r"phases: found the name '\.\.'"),
        ({"file_format": "doc"}, "format"),
        ({"file_format": "csv"}, "csv"),
        ({"smoothing": 3}, "smoothing"),
    ],
)
def test_what_is_refused(image, tmp_path, options, complaint):
    chosen = {"file_format": "tiff", "target": tmp_path / "out", **options}
    with pytest.raises(NmcdistError, match=complaint) as caught:
        export_image(image, **chosen)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_several_edges_want_an_order_of_axes(tmp_path):
    np.save(tmp_path / "a.npy", LABELS)
    chosen = {"file_format": "npy", "target": tmp_path / "out.npy", "voxel_size_nm": (10.0, 20.0, 30.0)}
    with pytest.raises(ImageError, match=r"a.npy: does not say the order of its axes, .* such as zyx"):
        export_image(tmp_path / "a.npy", **chosen)
    assert (np.load(export_image(tmp_path / "a.npy", **chosen, axes="xyz")) == LABELS.transpose(2, 1, 0)).all()


def test_labels_that_are_no_labels(tmp_path):
    large = GREYS.astype(np.int64) << 24
    for name, voxels in (("a", GREYS - 0.5), ("b", GREYS.astype(np.int16) - 1), ("c", GREYS[0]), ("d", large)):
        np.save(tmp_path / f"{name}.npy", voxels)
        with pytest.raises(InputError, match=f"{name}.npy: "):
            export_image(tmp_path / f"{name}.npy", "tiff", tmp_path / "out", voxel_size_nm=10.0)


def test_one_of_both(image, monkeypatch, capsys):
    code, _, said = command(monkeypatch, capsys, image, "--item", "0", "--phases", "a=0")
    assert code == 2 and "give one of them" in said
    code, _, said = command(monkeypatch, capsys, image, "--radius-below-nm", "50")
    assert code == 2 and "is of a particle" in said
