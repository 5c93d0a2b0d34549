"""The numbered examples run from a folder of their own, and end in a picture or a table that makes sense."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
EXAMPLES = {path.stem[:2]: path for path in sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))}


@pytest.fixture
def run(tmp_path):
    def run(number):
        done = subprocess.run(
            [sys.executable, EXAMPLES[number], tmp_path], cwd=tmp_path, capture_output=True, text=True, timeout=300,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NMCDIST_LOG": ""},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def picture(folder, number, at_least=(600, 300)):
    """Return a picture's pixels, which show something: neither one colour nor noise."""
    path = folder / f"{EXAMPLES[number].stem}.png"
    with Image.open(path) as image:
        assert image.width >= at_least[0]
        assert image.height >= at_least[1]
        pixels = np.asarray(image.convert("RGB"))
    white = (pixels > 250).all(axis=-1).mean()
    assert 0.05 < white < 0.98
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10
    return pixels


def numbers(text):
    return [float(word) for word in re.findall(r"(?<![\w.])-?\d+\.?\d*(?![\w.])", text)]


def test_there_are_eight_from_01_to_08():
    assert list(EXAMPLES) == [f"{number:02}" for number in range(1, 9)]


def test_01_measures_what_theory_says(run, tmp_path):
    said = run("01")
    theory = float(re.search(r"by theory: (0\.\d+)", said)[1])
    rows = {line.split()[0]: [float(cell) for cell in line.split()[1:]] for line in said.splitlines()[2:]}
    assert sum(rows[phase][0] for phase in ("pore", "carbon_binder", "graphite")) == pytest.approx(1, abs=2e-3)
    assert rows["solid"][0] == pytest.approx(1 - rows["pore"][0], abs=2e-3)
    assert rows["solid"][1] == pytest.approx(rows["pore"][1], abs=0.02)  # one surface between them
    # One volume: plates of 4 um across in a box of 6 um, so a few dozen of them; half of the fraction is a wide bound.
    assert rows["graphite"][0] == pytest.approx(theory, rel=0.5)
    assert all(row[2] > 1 for row in rows.values())  # no path is shorter than the straight one
    picture(tmp_path, "01")


def test_02_has_grains_along_the_radius(run, tmp_path):
    said = run("02")
    in_space = int(re.search(r"grains in space: (\d+)", said)[1])
    in_plane = int(re.search(r"in the section: (\d+)", said)[1])
    # A section through the centre of a ball of N equal grains meets about (pi / 4) (6 N / pi)^(2/3) of them or more.
    assert in_plane > 0.5 * (np.pi / 4) * (6 * in_space / np.pi) ** (2 / 3)
    assert in_plane < in_space
    picture(tmp_path, "02")


def test_03_conducts_less_through_fewer_pores_and_more_through_more_graphite(run, tmp_path):
    rows = [numbers(line) for line in run("03").splitlines() if re.match(r"0\.\d+ ", line)]
    assert [row[0] for row in rows] == [0.04, 0.08, 0.12, 0.16]
    pore, solid = [row[1] for row in rows], [row[2] for row in rows]
    assert pore[0] > pore[-1]
    assert solid[0] < solid[-1]
    assert all(0 < value < 1 for value in (*pore, *solid))
    picture(tmp_path, "03")


def test_04_meshes_the_volume_of_the_voxels(run, tmp_path):
    said = run("04")
    mesh = float(re.search(r"of the mesh: +([\d.]+)", said)[1])
    voxels = float(re.search(r"of the voxels: ([\d.]+)", said)[1])
    assert mesh == pytest.approx(voxels, rel=2e-3)
    assert int(re.search(r"(\d+) grains in", said)[1]) > 50
    picture(tmp_path, "04")


def test_05_finds_the_grains_of_the_phantom(run, tmp_path):
    rows = {line.split()[0]: numbers(line) for line in run("05").splitlines()[1:]}
    assert rows["map"][0] == pytest.approx(rows["truth"][0], rel=0.1)
    assert rows["map"][1] == pytest.approx(rows["truth"][1], rel=0.1)
    picture(tmp_path, "05")


def test_06_measures_a_share_of_each_volume(run):
    rows = [numbers(line) for line in run("06").splitlines() if re.match(r" *0\.\d+ +\d ", line)]
    assert [(row[0], row[1]) for row in rows] == [(level, r) for level in (0.05, 0.1, 0.15) for r in (0, 1)]
    assert all(0.5 < row[2] < 1 for row in rows)  # more pores than carbon and binder are around


def test_07_makes_fibres_as_many_as_theory_says(run, tmp_path):
    theory, measured, error = numbers(run("07").splitlines()[0])
    assert abs(measured - theory) < 4 * error
    assert (tmp_path / "fibres-report" / "report.md").exists()


def test_08_makes_the_same_bytes_in_two_ways(run):
    said = run("08")
    hashes = re.findall(r"manifest ([0-9a-f]{16})", said)
    assert len(hashes) == 2
    assert hashes[0] == hashes[1]
    assert "same bytes: True" in said
