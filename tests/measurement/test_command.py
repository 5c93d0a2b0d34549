"""The command that measures an image: its table, files, report, blocks on workers, and one line for each refusal."""

import csv
import os
import re
import sys

import numpy as np
import pytest
import tifffile
import xarray as xr

import nmcdist
from nmcdist import cli

LABELS = np.random.default_rng([33, 0]).integers(0, 3, (20, 18, 22)).astype(np.uint8)
PHASES = {"pore": 0, "nmc": 1, "cbd": 2}
NAMED = "pore=0,nmc=1,cbd=2"


@pytest.fixture
def command(monkeypatch, capsys):
    """Call the command in this process; returns exit status, standard output and error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nmcdist", "measure", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return call


@pytest.fixture
def image(tmp_path):
    about = {"spacing": 0.02, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", LABELS, imagej=True, resolution=(100, 100), metadata=about)
    return tmp_path / "a.tif"


def test_names_of_other_systems_are_written(command, tmp_path):
    """A file named in Latin-1, or in a locale that is not UTF-8."""
    image = tmp_path / os.fsdecode(b"K\xf6rper.npy")
    np.save(image, LABELS)
    options = ["--voxel-size-nm", 10, "--descriptors", "volumes"]
    code, _, said = command(image, *options, "--out", tmp_path / "a.nc", "--report", tmp_path / "report")
    assert code == 0, said
    with xr.open_dataset(tmp_path / "a.nc", engine="scipy") as stored:
        assert stored.attrs["image"] == "K\ufffdrper.npy"
    assert (tmp_path / "report/report.md").read_text().startswith("# K\ufffdrper.npy")


def test_table_files_and_report(command, image, tmp_path):
    options = ["--phases", f"{NAMED},solid=1+2", "--conductivity", "nmc=1,cbd=0.1", "--windows", "2"]
    out, report = tmp_path / "values.nc", tmp_path / "report"
    code, printed, said = command(image, *options, "--fluid", "pore", "--out", out, "--report", report)
    assert code == 0, said
    expected = nmcdist.measure(
        image, {**PHASES, "solid": [1, 2]}, conductivity={"nmc": 1, "cbd": 0.1}, windows=[2], fluid="pore"
    )
    line = next(line for line in printed.splitlines() if "m_factor " in line and "together" in line)
    assert line.replace(" ", "").split("|")[5:8] == [
        f"{v:.4g}" for v in expected["m_factor"].sel(conduction="together")
    ]
    with xr.open_dataset(out, engine="scipy") as stored:
        xr.testing.assert_allclose(stored, expected)
    with (report / "measurement.csv").open() as file:
        rows = list(csv.DictReader(file))
    pore = [row for row in rows if row["quantity"] == "volume_fraction" and row["of"] == "pore"]
    assert float(pore[0]["value"]) == pytest.approx(np.mean(LABELS == 0))
    page = (report / "report.md").read_text()
    assert "Voxels: 20 x 18 x 22 along z, y, x, of 20 x 10 x 10 nm" in page
    assert "solid = 1+2" in page and "Together conduct: nmc 1, cbd 0.1" in page
    table = [line for line in page.splitlines() if line.startswith("| interface_area")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in table] == [8] * 4  # names of pairs do not add columns
    for name in ("sections", "curves", "representative-volume"):
        assert (report / f"{name}.png").stat().st_size > 1000
        assert f"{name}.png" in page


def test_report_of_one_phase(command, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((12, 10), np.uint8))
    code, _, said = command(tmp_path / "a.npy", "--voxel-size-nm", "10", "--report", tmp_path / "report")
    assert code == 0, said
    assert "Warning" not in said


def test_planes(command, tmp_path):
    tifffile.imwrite(tmp_path / "sem.tif", LABELS[:4], photometric="minisblack")
    code, printed, said = command(
        tmp_path / "sem.tif", "--planes", "--voxel-size-nm", "10", "--phases", NAMED, "--descriptors", "volumes",
        "--report", tmp_path / "report", "--out", tmp_path / "values.json",
    )  # fmt: skip
    assert code == 0, said
    shares = (LABELS[:4] == 0).mean(axis=(1, 2))
    assert f"{shares.mean():.4g} ± " in printed
    assert "4 planes. Pixels: 18 x 22" in (tmp_path / "report/report.md").read_text()
    assert (tmp_path / "values.json").stat().st_size > 100


def test_blocks_on_a_worker_equal_the_whole(command, image, tmp_path):
    chosen = ["--phases", NAMED, "--descriptors", "volumes,coverage,interfaces", "--out", tmp_path / "values.nc"]
    code, _, said = command(image, *chosen, "--blocks", "12", "--workers", "1", "--memory", "6GiB")
    assert code == 0, said
    expected = nmcdist.measure(image, PHASES, descriptors=["volumes", "coverage", "interfaces"])
    with xr.open_dataset(tmp_path / "values.nc", engine="scipy") as stored:
        xr.testing.assert_equal(stored, expected)


@pytest.mark.parametrize("wrong", [["--phases", "pore=0,nmc=1"], ["--phases", "pore"], ["--fluid", "oil"]])
def test_a_refusal_leaves_no_folder_for_the_report(command, image, tmp_path, wrong):
    (tmp_path / "empty").mkdir()
    for name in ("report", "empty"):
        code, _, _ = command(image, *wrong, "--report", tmp_path / name)
        assert code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "empty"]  # which was there before


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--phases", "pore"], "--phases: found 'pore', expected NAME=NUMBER, such as pore=0,nmc=1"),
        (["--phases", "pore=0,pore=1"], "--phases: pore is given twice"),
        (["--phases", "pore=x"], "--phases: found 'x', expected a whole number"),
        (["--phases", "pore=0,nmc=1"], "phases: label 2 ("),
        (["--conductivity", "label 0=a"], "--conductivity: found 'a', expected a number"),
        (["--voxel-size-nm", "1,2"], "voxel_size_nm: found [1.0, 2.0], expected a positive voxel size in nm"),
        (["--voxel-size-nm", "ten"], "'--voxel-size-nm': found 'ten', expected a number"),
        (["--windows", "two"], "--windows: found 'two', expected a whole number"),
        (["--workers", "2"], "--cluster, --workers, --threads and --memory apply to blocks: give --blocks, too"),
        (["--out", "a.txt"], "a.txt: expected a name that ends with .csv, .json or .nc"),
        (["--out", "no/such/a.csv"], "no such folder"),
        (["--descriptors", "volumes,sizez"], "descriptors: found 'sizez', expected some of"),
    ],
)
def test_one_line_for_each_refusal(command, image, options, complaint):
    code, printed, said = command(image, *options)
    assert (code, printed) == (2, "")
    assert complaint in said
    assert len(said.splitlines()) == 1


def test_nothing_is_replaced(command, image, tmp_path, monkeypatch):
    out = tmp_path / "values.csv"
    out.write_text("mine")
    code, _, said = command(image, "--out", out)
    assert code == 2 and "already exists" in said
    code, printed, said = command(image, "--report", out / "report")  # before the work
    assert (code, printed) == (2, "") and "report: cannot be made (Not a directory)" in said
    (tmp_path / "report").mkdir()
    (tmp_path / "report/mine").write_text("mine")
    code, _, said = command(image, "--report", tmp_path / "report")
    assert code == 2 and "holds other files" in said
    assert out.read_text() == "mine"
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *arguments: False)
        code, printed, said = command(image, "--out", tmp_path / "other.csv")
    assert (code, printed) == (2, "") and f"{tmp_path}: cannot be written to" in said
    code, _, said = command(image, "--descriptors", "volumes", "--out", out, "--overwrite")
    assert code == 0 and out.read_text() != "mine"
