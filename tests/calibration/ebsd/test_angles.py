"""Maps in a format of degrees whose angles could be radians: refused where they are, read where they are not."""

import h5py
import numpy as np
import pytest
from scipy.spatial import cKDTree

from nmcdist.calibration import ebsd
from nmcdist.errors import ImageError

ROWS, COLUMNS = 40, 50
NOISES = 0.0, 0.02, 0.07, 0.1, 0.15, 0.2, 0.3, 0.6, 1.5
HEADER = (
    f"Channel Text File\nPrj a\nAuthor\tb\nJobMode\tGrid\nXCells\t{COLUMNS}\nYCells\t{ROWS}\nXStep\t0.1\nYStep\t0.1\n"
    "Phases\t1\n2.87;2.87;14.2\t90;90;120\tNMC811\t7\t166\nPhase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS\n"
)


def grains(count, noise_deg=0.5, seed=1):
    """Return angles in degrees of a Voronoi mosaic of random orientations, as a map of many grains has them."""
    rng = np.random.default_rng(seed)
    place = np.indices((ROWS, COLUMNS)).reshape(2, -1).T
    _, grain = cKDTree(rng.random((count, 2)) * (ROWS, COLUMNS)).query(place)
    uniform = np.stack([rng.random(count), np.arccos(rng.uniform(-1, 1, count)) / (2 * np.pi), rng.random(count)], 1)
    angles = 360 * uniform[grain] + noise_deg * rng.standard_normal((len(place), 3))
    return np.clip(angles, 0, (360, 180, 360))


def crystal(noise_deg, at=(3.0, 2.5, 3.5)):
    """Return angles in degrees of one crystal that lies near the axes of the sample."""
    noise = noise_deg * np.random.default_rng(2).standard_normal((ROWS * COLUMNS, 3))
    return np.clip(np.array(at) + noise, 0, (6.28, 3.14, 6.28))


def bent(noise_deg):
    """Return angles in degrees of a crystal that turns by 3 degrees from one side to the other."""
    x = np.indices((ROWS, COLUMNS))[1].reshape(-1, 1) / COLUMNS
    return crystal(noise_deg, (1.5, 1.0, 1.0)) + x * (3.0, 1.0, 1.0)


def pair():
    """Return angles in degrees of two crystals with a boundary of 4 degrees."""
    return np.where(np.arange(ROWS * COLUMNS)[:, None] % COLUMNS < 20, (0.5, 1.0, 0.5), (4.5, 1.0, 0.5))


def ctf(path, angles, missing=0.0):
    hole = np.random.default_rng(3).random(len(angles)) < missing
    y, x = np.indices((ROWS, COLUMNS)).reshape(2, -1)
    rows = (
        f"{int(not h)}\t{i * 0.1:.1f}\t{j * 0.1:.1f}\t8\t0\t"
        + "\t".join(f"{a:.4f}" for a in euler * (not h))
        + "\t0.5\t9\t9"
        for i, j, h, euler in zip(x, y, hole, angles, strict=True)
    )
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("count", [8, 40, 400])
@pytest.mark.parametrize("noise_deg", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_radians_of_many_grains_are_refused(tmp_path, count, noise_deg, missing):
    path = ctf(tmp_path / "a.ctf", np.radians(grains(count, noise_deg)), missing)
    with pytest.raises(ImageError, match=r"a\.ctf: .*look like radians, expected degrees") as caught:
        ebsd.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [1, 8, 40, 400])
def test_degrees_of_grains_are_read_without_a_note(tmp_path, count):
    angles = grains(count)
    scan = ebsd.read(ctf(tmp_path / "a.ctf", angles))
    np.testing.assert_allclose(np.degrees(scan.euler).reshape(-1, 3), angles, atol=1e-4)
    assert scan.notes == ()


@pytest.mark.parametrize(
    "angles",
    [
        *(pytest.param(crystal(noise), id=f"noise {noise}") for noise in NOISES),
        *(pytest.param(bent(noise), id=f"bent, noise {noise}") for noise in (0.0, 0.05, 0.1, 0.3)),
        pytest.param(pair(), id="two crystals"),
    ],
)  # fmt: skip
def test_small_degrees_are_read_and_the_assumption_is_said(tmp_path, angles):
    scan = ebsd.read(ctf(tmp_path / "a.ctf", angles))
    np.testing.assert_allclose(np.degrees(scan.euler).reshape(-1, 3), angles, atol=1e-4)
    (note,) = scan.notes
    assert "read as degrees" in note


def test_angles_that_are_all_0_are_the_same_in_both(tmp_path):
    assert ebsd.read(ctf(tmp_path / "a.ctf", np.zeros((ROWS * COLUMNS, 3)))).notes == ()


def test_hdf5_files_in_degrees(tmp_path):
    def bruker(path, angles):
        y, x = np.indices((ROWS, COLUMNS)).reshape(2, -1)
        with h5py.File(path, "w") as file:
            group = file.create_group("Scan 0/EBSD")
            for name, value in {
                "NCOLS": COLUMNS,
                "NROWS": ROWS,
                "XSTEP": 0.1,
                "YSTEP": 0.1,
                "Phases/1/IT": 166,
            }.items():
                group[f"Header/{name}"] = value
            group["Header/Phases/1/Name"] = np.bytes_("NMC811")
            for k, name in enumerate(("phi1", "PHI", "phi2")):
                group[f"Data/{name}"] = angles[:, k]
            group["Data/Phase"] = np.ones(len(angles), "i4")
            group["Data/X BEAM"], group["Data/Y BEAM"] = x, y
        return path

    scan = ebsd.read(bruker(tmp_path / "a.h5", grains(40)))
    np.testing.assert_allclose(np.degrees(scan.euler).reshape(-1, 3), grains(40))
    with pytest.raises(ImageError, match=r"b\.h5: .*phi1.*look like radians, expected degrees"):
        ebsd.read(bruker(tmp_path / "b.h5", np.radians(grains(40))))


@pytest.mark.parametrize("factor", [1.0, 180 / np.pi])
def test_degrees_where_radians_belong_are_refused(tmp_path, factor):
    """A map of the same grains as .ang, whose angles are radians."""
    y, x = np.indices((ROWS, COLUMNS)).reshape(2, -1)
    angles = factor * np.radians(grains(40))
    head = "# Phase 1\n# MaterialName NMC811\n# Symmetry 32\n# GRID: SqrGrid\n# XSTEP: 0.1\n# YSTEP: 0.1\n"
    head += f"# NCOLS_ODD: {COLUMNS}\n# NCOLS_EVEN: {COLUMNS}\n# NROWS: {ROWS}\n"
    rows = (
        f"{a:.5f} {b:.5f} {c:.5f} {i * 0.1:.1f} {j * 0.1:.1f} 9 0.5 1 1 1"
        for (a, b, c), i, j in zip(angles, x, y, strict=True)
    )
    (tmp_path / "a.ang").write_text(head + "\n".join(rows) + "\n")
    if factor == 1:
        np.testing.assert_allclose(ebsd.read(tmp_path / "a.ang").euler.reshape(-1, 3), angles, atol=1e-5)
    else:
        with pytest.raises(ImageError, match="expected -360 to 360 degrees"):
            ebsd.read(tmp_path / "a.ang")
