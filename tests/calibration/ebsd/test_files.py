"""EBSD files of all makers: what is read, and one line for each way to be broken."""

import gzip
import math
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from nmcdist.calibration import ebsd
from nmcdist.errors import ImageError

DATA = Path(__file__).parents[2] / "data" / "ebsd"
EDAX = DATA / "edax_ebsdlib"
OXFORD = DATA / "ni_defdap"


@pytest.fixture
def pair(tmp_path):
    """Return the path of a .crc file with its .cpr beside it."""
    shutil.copyfile(OXFORD / "testDataEBSD_100x100.cpr", tmp_path / "map.cpr")
    packed = (OXFORD / "testDataEBSD_100x100.crc.gz").read_bytes()
    (tmp_path / "map.crc").write_bytes(gzip.decompress(packed))
    return tmp_path / "map.crc"


def unpacked(tmp_path, name):
    """Return the path of a data file, without its compression."""
    target = tmp_path / Path(name).stem
    target.write_bytes(gzip.decompress((DATA / name).read_bytes()))
    return target


def edited(tmp_path, source, *changes):
    """Return the path of a copy with texts replaced, each of which is there."""
    data = source.read_bytes()
    for old, new in changes:
        assert old in data
        data = data.replace(old, new, 1)
    target = tmp_path / source.name
    target.write_bytes(data)
    return target


def oina(path, shape=(3, 4), slices=1):
    """Write a file as H5OINA 5.0 has it: scalars of shape (1, 1), columns of (size, 1), angles in radians."""
    rng = np.random.default_rng(2)
    text = h5py.string_dtype("utf-8")
    with h5py.File(path, "w") as file:
        file["Format Version"] = np.array([["5.0"]], dtype=text)
        file["Index"] = np.array([[str(k + 1)] for k in range(slices)], dtype=text)
        for k in range(slices):
            header, data = file.create_group(f"{k + 1}/EBSD/Header"), file.create_group(f"{k + 1}/EBSD/Data")
            header["Y Cells"], header["X Cells"] = np.int32([[shape[0]]]), np.int32([[shape[1]]])
            for axis, step in (("X", 0.1), ("Y", 0.2)):
                header[f"{axis} Step"] = np.float32([[step]])
                header[f"{axis} Step"].attrs["Unit"] = "um"
            crystals = [("NMC811", 7, 166), ("LiNiO3", 7, 162), ("Aluminium", 11, 225)]
            for number, (name, laue, space_group) in enumerate(crystals, 1):
                phase = header.create_group(f"Phases/{number}")
                phase["Phase Name"] = np.array([[name]], dtype=text)
                phase["Laue Group"], phase["Space Group"] = np.int32([[laue]]), np.int32([[space_group]])
            size = shape[0] * shape[1]
            data["Phase"] = np.uint8(np.arange(size) % 4)[:, None]
            data["Euler"] = np.float32(rng.uniform(0, [2 * math.pi, math.pi, 2 * math.pi], (size, 3)))
            data["Euler"].attrs["Unit"] = "rad"
            data["Euler"][::4] = np.nan
            data["Band Contrast"] = np.uint8(np.arange(size) + 10 * k)[:, None]
            y, x = np.indices(shape)
            data["X"], data["Y"] = np.float32(0.1 * x.reshape(-1, 1)), np.float32(0.2 * y.reshape(-1, 1))
    return path


# --- what is read ---


@pytest.mark.parametrize(
    ("name", "grid", "shape", "step_nm", "phases", "unindexed"),
    [
        ("Test_1.ang", "square", (4, 40), (250, 250), [("Nickel", "O")], 160),
        ("Test_US_1.ctf", "square", (5, 40), (500, 500), [("Zirc-alloy4", "D6")], 10),
        ("Test_European_1.ctf", "square", (5, 40), (500, 500), [("Zirc-alloy4", "D6")], 10),
        ("EdaxAngOnly_40rows.h5", "square", (40, 186), (1500, 1500), [("Nickel", "O")], 0),
    ],
)
def test_reads_the_files_of_ebsdlib(name, grid, shape, step_nm, phases, unindexed):
    scan = ebsd.read(EDAX / name)
    assert (scan.name, scan.grid, scan.shape, scan.step_nm) == (name, grid, shape, step_nm)
    assert [(phase.name, phase.symmetry) for phase in scan.phases] == phases
    assert (~scan.indexed).sum() == np.isnan(scan.euler).all(axis=-1).sum() == unindexed


def test_a_map_shows_itself_in_a_line():
    shown = repr(ebsd.read(EDAX / "Test_US_1.ctf"))
    assert shown.startswith("Scan(name='Test_US_1.ctf', grid='square', step_nm=")
    assert "array" not in shown and "\n" not in shown


def test_decimal_commas_are_decimal_points():
    first, second = (ebsd.read(EDAX / f"Test_{name}_1.ctf") for name in ("European", "US"))
    np.testing.assert_array_equal(first.euler, second.euler)
    np.testing.assert_array_equal(first.phase, second.phase)
    np.testing.assert_allclose(np.degrees(first.euler[0, 1]), [103.85, 40.207, 29.394])
    assert first.step_nm == second.step_nm


@pytest.mark.parametrize("line", [b" Phases\t1", b"PhasesX\t7\r\nPhases\t1"])
def test_phases_stand_after_the_line_whose_first_word_is_phases(tmp_path, line):
    scan = ebsd.read(edited(tmp_path, EDAX / "Test_US_1.ctf", (b"Phases\t1", line)))
    assert scan.phases == (ebsd.Phase("Zirc-alloy4", "D6"),)


def test_numbers_that_are_not_needed_may_be_missing(tmp_path):
    lines = (EDAX / "Test_US_1.ctf").read_text().splitlines()
    names = lines[14].split()
    point = next(i for i, line in enumerate(lines[15:], 15) if line.startswith("0\t"))
    values = lines[point].split("\t")
    for name in ("Euler1", "Euler2", "Euler3", "MAD"):
        values[names.index(name)] = "NaN"
    lines[point] = "\t".join(values)
    (tmp_path / "map.ctf").write_text("\n".join(lines))
    np.testing.assert_array_equal(ebsd.read(tmp_path / "map.ctf").phase, ebsd.read(EDAX / "Test_US_1.ctf").phase)
    quality = (POINT, POINT.replace(b"   0.0 -1", b"   nan -1"))
    assert not ebsd.read(edited(tmp_path, EDAX / "Test_1.ang", quality)).indexed.any()
    angle = (b"\r\n1\t0.5000\t0.0000\t8\t0\t103.85", b"\r\n1\t0.5000\t0.0000\t8\t0\tnan")
    path = edited(tmp_path, EDAX / "Test_US_1.ctf", angle)
    assert refusal(path).startswith("Test_US_1.ctf: line 17: Euler angle 1 is nan rad")


def wide_map(path, step, written, columns=500, rows=40):
    """Return path, header and points of a map with this step, of which another is written in the header."""
    head = f"# MaterialName A\n# Symmetry 43\n# GRID: SqrGrid\n# XSTEP: {written}\n# YSTEP: {written}\n"
    head += f"# NCOLS_ODD: {columns}\n# NCOLS_EVEN: {columns}\n# NROWS: {rows}\n"
    x = np.tile(np.arange(columns) * step, (rows, 1))
    y = np.repeat(np.arange(rows) * step, columns)
    table = np.zeros((rows * columns, 8))
    table[:, 3], table[:, 4], table[:, 6] = x.ravel(), y, 1.0
    return path, head, table


def write_wide(path, head, table):
    path.write_text(head + "".join(f"0 0 0 {x:.5f} {y:.5f} 0 1 1\n" for x, y in table[:, 3:5]))
    return path


def test_a_step_that_the_header_rounds_is_measured_over_a_wide_map(tmp_path):
    scan = ebsd.read(write_wide(*wide_map(tmp_path / "map.ang", 0.04983, 0.0498)))
    np.testing.assert_allclose(scan.step_nm, 49.83, rtol=1e-6)
    # Rows are few enough for either step, but one step is for both.
    narrow = ebsd.read(write_wide(*wide_map(tmp_path / "map.ang", 0.0498, 0.05)))
    np.testing.assert_allclose(narrow.step_nm, 49.8, rtol=1e-6)


@pytest.mark.parametrize("point", [250, 499])
def test_a_point_off_a_wide_map_is_named_though_the_header_rounds_its_step(tmp_path, point):
    path, head, table = wide_map(tmp_path / "map.ang", 0.04983, 0.0498)
    table[point, 3] += 0.03
    assert refusal(write_wide(path, head, table)).startswith(f"map.ang: line {9 + point}: x is ")


def test_a_step_that_is_not_the_headers_is_refused(tmp_path):
    path = write_wide(*wide_map(tmp_path / "map.ang", 0.051, 0.05))
    assert refusal(path).startswith("map.ang: line 22: x is 0.663, expected 0.65, as row 1, column 14 of a square grid")


def test_angles_of_a_volume_are_in_radians_and_its_sections_are_read_one_by_one():
    path = EDAX / "Test_European_2.ctf"
    first, last = ebsd.read(path), ebsd.read(path, 4)
    assert first.shape == last.shape == (5, 5)
    np.testing.assert_array_equal(first.euler[0, 0], [5.673, 0.2549, 0.2423])
    np.testing.assert_array_equal(last.euler[0, 0], [2.275, 0.8453, 0.8791])
    assert [phase.symmetry for phase in first.phases] == ["O", "D4", "D3x", "D3y", "O"]
    with pytest.raises(ImageError, match=r"Test_European_2.ctf: there is no map 5, expected 0 to 4"):
        ebsd.read(path, 5)


def test_a_hexagonal_grid_needs_no_sizes_in_the_header(tmp_path):
    scan = ebsd.read(unpacked(tmp_path, "cu_ebsdlab/EBSD_41rows.ang.gz"))
    assert (scan.grid, scan.shape) == ("hexagonal", (41, 104))
    np.testing.assert_allclose(scan.step_nm, (200 * math.sqrt(0.75), 200), rtol=1e-3)
    # The header ends at line 93; row 2 has 103 points, from line 198 on.
    table = np.loadtxt(tmp_path / "EBSD_41rows.ang")
    np.testing.assert_array_equal(scan.euler[1, 2], table[106, :3])
    np.testing.assert_array_equal(scan.indexed[2, :104], table[207:311, 9] < 180)
    assert not scan.indexed[1::2, 103].any()


def test_reads_emsoft_two_phases_and_names_that_are_not_ascii(tmp_path):
    path = unpacked(tmp_path, "sdss_orix/sdss_ferrite_austenite.ang.gz")
    scan = ebsd.read(path)
    assert [phase.name for phase in scan.phases] == ["austenite/austenite", "ferrite/ferrite"]
    table = np.loadtxt(path, encoding="utf-8").reshape(100, 117, 8)
    np.testing.assert_array_equal(scan.phase, table[..., 7])
    np.testing.assert_array_equal(scan.euler, table[..., :3])
    np.testing.assert_array_equal(scan.confidence, table[..., 6])
    path.write_bytes(path.read_text("utf-8").encode("latin-1"))
    np.testing.assert_array_equal(ebsd.read(path).euler, scan.euler)


def test_reads_eight_columns_of_edax(tmp_path):
    scan = ebsd.read(unpacked(tmp_path, "ti64_pymicro/Ti64-70x60.ang.gz"))
    assert scan.phases == (ebsd.Phase("Titanium", "D6"),)
    assert scan.shape == (60, 70)
    np.testing.assert_allclose(scan.step_nm, 499.9)
    assert scan.indexed.all()


def test_phases_of_edax_go_by_their_numbers_and_0_is_none_if_there_are_several(tmp_path):
    crystal = "# Phase {}\n# MaterialName \t{}\n# Symmetry {}\n"
    header = crystal.format(2, "NMC811", 32) + crystal.format(1, "Aluminium", 43)
    sizes = "# GRID: SqrGrid\n# XSTEP: 0.1\n# YSTEP: 0.1\n# NCOLS_ODD: 3\n# NCOLS_EVEN: 3\n# NROWS: 1\n"
    points = "".join(f"1 1 1 {x / 10} 0 100 0.5 {phase}\n" for x, phase in enumerate((2, 0, 1)))
    path = tmp_path / "map.ang"
    path.write_text(header + sizes + points)
    scan = ebsd.read(path)
    assert scan.phases == (ebsd.Phase("Aluminium", "O"), ebsd.Phase("NMC811", "D3x"))
    np.testing.assert_array_equal(scan.phase, [[2, 0, 1]])
    assert scan.step_nm == (100.0, 100.0)
    path.write_text("# File created from ACOM RES results\n" + header + sizes + points)
    assert ebsd.read(path).step_nm == (0.1, 0.1)


def test_either_path_of_a_pair_reads_both(pair):
    first, second = ebsd.read(pair), ebsd.read(pair.with_suffix(".cpr"))
    np.testing.assert_array_equal(first.euler, second.euler)
    assert first.step_nm == (120.0, 120.0)
    pair.rename(pair.with_suffix(".CRC"))
    np.testing.assert_array_equal(ebsd.read(pair.with_suffix(".CRC")).euler, first.euler)


def test_the_binary_and_the_text_of_one_scan_agree(pair):
    binary, text = ebsd.read(pair), ebsd.read(OXFORD / "testDataEBSD_25x25.ctf")
    corner = binary.quaternions()[:25, :25].reshape(-1, 4)
    # The text has five digits of each angle, up to 360 degrees.
    assert ebsd.misorientations(corner, text.quaternions().reshape(-1, 4), "C1").max() < 0.01
    np.testing.assert_array_equal(binary.confidence[:25, :25], text.confidence)
    np.testing.assert_array_equal(binary.phase[:25, :25], text.phase)
    assert (binary.phases, binary.step_nm) == (text.phases, text.step_nm)


def test_edax_hdf5_says_itself_which_points_are_invalid(tmp_path):
    path = tmp_path / "map.h5"
    shutil.copyfile(EDAX / "EdaxAngOnly_40rows.h5", path)
    with h5py.File(path, "r+") as file:
        data = file["Scan_1/EBSD/Data"]
        data["Valid"][[5, 200]] = [1, 2]
        data["X Position"][200] = data["Y Position"][200] = -1111111.0
        for name in ("Phi1", "Phi", "Phi2"):
            data[name][7] = 12.56637
        data["CI"][9] = -1.0
    np.testing.assert_array_equal(np.flatnonzero(~ebsd.read(path).indexed), [5, 7, 9, 200])


def test_a_fit_of_180_degrees_with_sound_angles_is_indexed():
    with h5py.File(EDAX / "EdaxAngOnly_40rows.h5") as file:
        fit = file["Scan_1/EBSD/Data/Fit"][()].reshape(40, 186)
    assert (fit == 180).sum() > 5
    assert ebsd.read(EDAX / "EdaxAngOnly_40rows.h5").indexed.all()


def test_reads_oxford_hdf5(tmp_path):
    scan = ebsd.read(oina(tmp_path / "map.h5oina"))
    assert (scan.grid, scan.shape) == ("square", (3, 4))
    np.testing.assert_allclose(scan.step_nm, (200, 100))
    # The two-fold axes of -3m1 are along b, which is Oxford's y; those of -31m are between.
    assert [phase.symmetry for phase in scan.phases] == ["D3y", "D3x", "O"]
    np.testing.assert_array_equal(scan.phase, [[0, 1, 2, 3]] * 3)
    with h5py.File(tmp_path / "map.h5oina") as file:
        np.testing.assert_array_equal(scan.euler.reshape(-1, 3), file["1/EBSD/Data/Euler"])
    np.testing.assert_array_equal(scan.confidence.ravel(), np.arange(12))


def test_one_of_several_maps_is_read_by_its_index(tmp_path):
    path = oina(tmp_path / "map.h5oina", slices=3)
    assert ebsd.read(path, 2).confidence[0, 0] == 20
    with pytest.raises(ImageError, match=r"map.h5oina: there is no map 3, expected 0 to 2"):
        ebsd.read(path, 3)


def test_maps_are_counted_by_the_numbers_in_their_names(tmp_path):
    path = oina(tmp_path / "map.h5oina", slices=11)
    assert [ebsd.read(path, k).confidence[0, 0] for k in (1, 9, 10)] == [10, 90, 100]


def test_a_map_without_band_contrast_cannot_be_filtered(tmp_path):
    path = oina(tmp_path / "map.h5oina")
    with h5py.File(path, "r+") as file:
        del file["1/EBSD/Data/Band Contrast"]
    scan = ebsd.read(path)
    assert np.isnan(scan.confidence).all()
    with pytest.raises(ValueError, match="has no band contrast"):
        scan.filtered(10)


# --- what is refused, in one line ---


def refusal(path, index=0):
    """Return the error of reading, without the folder."""
    with pytest.raises(ImageError) as caught:
        ebsd.read(path, index)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(Path(path).with_suffix("")))
    return message.removeprefix(f"{Path(path).parent}/")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GridMissing.ang", "GridMissing.ang: header has no GRID, expected a line with it"),
        ("MissingHeader_1.ang", "MissingHeader_1.ang: header has no XSTEP, expected a line with it"),
        (
            "HexHeader.ang",
            "HexHeader.ang: line 73: x is 0, expected 0.125, as row 2, column 1 of a hexagonal grid of 4 rows of 40, "
            "step 0.25",
        ),
        ("ShortFile.ang", "ShortFile.ang: line 120: there are 88 points, expected 160 (4 rows of 40)"),
        ("ShortFile.ctf", "ShortFile.ctf: line 17: there are 2 points, expected 500 (5 rows of 100)"),
        (
            "Corrupted_XCells.ctf",
            "Corrupted_XCells.ctf: line 5: XCells is '123456789123456789', expected a whole number, 1 to 2147483647",
        ),
        ("ZeroXYCells.ctf", "ZeroXYCells.ctf: line 5: XCells is '0', expected a whole number, 1 to 2147483647"),
    ],
)
def test_refuses_the_broken_files_of_ebsdlib(name, message):
    assert refusal(EDAX / name) == message


POINT = b" 12.56637  12.56637  12.56637      0.25000      0.00000    0.0 -1.000  0   -768 180.000 "


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"# TEM", b"TEM", "line 1 is 'TEM_PIXperUM          1.000000', expected a header line that begins with #"),
        (b"SqrGrid", b"TriGrid", "line 20: grid is 'TriGrid', expected SqrGrid or HexGrid"),
        (b"XSTEP: 0.25", b"XSTEP: -0.25", "line 21: XSTEP is '-0.250000', expected a positive number"),
        (b"NROWS: 4", b"NROWS: 4.5", "line 25: NROWS is '4.5', expected a whole number, 1 to 2147483647"),
        (b"EVEN: 40", b"EVEN: 39", "line 24: NCOLS_EVEN is 39, expected 40, as NCOLS_ODD, on a square grid"),
        (b"NROWS: 4", b"NROWS: 3", "line 153: there are 160 points, expected 120 (3 rows of 40)"),
        (b"YSTEP: 0.25", b"YSTEP: 0.40", "line 73: y is 0.25, expected 0.4, as row 2, column 1 of a square grid"),
        (b"              43", b" \x1743", r"line 11: Symmetry is '\x1743', expected one of 43, 23, 62"),
        (b"# Phase 1", b"# Phase " + b"1" * 5000, "line 7: Phase is '1111111111"),
        (b"NROWS: 4", b"NROWS: " + b"4" * 5000, "line 25: NROWS is '4444444444"),
        (POINT, POINT.replace(b"0.25000", b"1_0.000"), "line 34: column 4 is '1_0.000', expected a number"),
        (POINT, POINT.replace(b"0.25000", "٢.٥".encode()), "line 34: column 4 is '٢.٥', expected a number"),
        (b"              43", b" 99", "line 11: Symmetry is '99', expected one of 43, 23, 62"),
        (b"# Symmetry              43\n", b"", "header has no Symmetry, expected a line with it"),
        (POINT, POINT.replace(b"0.25000", b"    nan"), "line 34: column 4 is nan, expected a finite number"),
        (POINT, POINT.replace(b"0.25000", b"   inf "), "line 34: column 4 is inf, expected a finite number"),
        (POINT, POINT.replace(b"0.25000", b"  what "), "line 34: column 4 is 'what', expected a number"),
        (POINT, POINT.replace(b"-768", b"    "), "line 34 has 9 columns, expected 10"),
        (POINT, b"", "line 34 has 0 columns, expected 10"),
        (POINT, POINT.replace(b" 0   -", b" 2   -"), "line 34: phase is 2, expected one of 0, 1"),
        (
            POINT,
            POINT.replace(b"12.56637  12.56637  12.56637", b"8 1 1").replace(b"-1.000", b" 0.500"),
            "line 34: Euler angle 1 is 8 rad (458.366 degrees), expected -360 to 360 degrees",
        ),
    ],
)
def test_refuses_a_broken_ang(tmp_path, old, new, message):
    assert refusal(edited(tmp_path, EDAX / "Test_1.ang", (old, new))).startswith(f"Test_1.ang: {message}")


def test_refuses_a_header_alone(tmp_path):
    path = tmp_path / "map.ang"
    path.write_bytes(b"\n".join((EDAX / "Test_1.ang").read_bytes().split(b"\n")[:20]))
    assert refusal(path) == "map.ang: line 20 is the last, expected points after the header"


def test_refuses_a_hexagonal_map_with_a_row_too_short(tmp_path):
    path = unpacked(tmp_path, "cu_ebsdlab/EBSD_41rows.ang.gz")
    lines = path.read_bytes().split(b"\r\n")
    path.write_bytes(b"\r\n".join(lines[:-50]))
    assert refusal(path) == "EBSD_41rows.ang: line 4288: row 41 ends after 55 points, expected 104"
    header = sum(line.startswith(b"#") for line in lines)
    path.write_bytes(b"\r\n".join(lines[: header + 300] + lines[header + 301 :]))
    assert refusal(path) == f"EBSD_41rows.ang: line {header + 310}: row 3 ends after 103 points, expected 104"


def test_refuses_a_hexagonal_map_cut_off_in_its_second_row(tmp_path):
    path = unpacked(tmp_path, "cu_ebsdlab/EBSD_41rows.ang.gz")
    lines = path.read_bytes().split(b"\r\n")
    header = sum(line.startswith(b"#") for line in lines)
    path.write_bytes(b"\r\n".join(lines[: header + 150]))
    message = f"EBSD_41rows.ang: line {header + 150}: row 2 ends after 46 points, expected 103 to 105"
    assert refusal(path) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"Channel Text File", b"Kanal", "line 1 is 'Kanal', expected 'Channel Text File'"),
        (b"YCells\t5\r\n", b"", "header has no YCells, expected a line with it"),
        (b"XStep\t0.5", b"XStep\tnan", "line 7: XStep is 'nan', expected a positive number"),
        (b"Zirc-alloy4\t9", b"Zirc-alloy4\t" + b"9" * 5000, "line 14: Laue group is '9999999999"),
        (b"Phases\t1", b"PhasesX\t1", "header has no Phases, expected a line with it"),
        (b"Zirc-alloy4\t9", b"Zirc-alloy4\t12", "line 14: Laue group is '12', expected 1 to 11"),
        (b"\tEuler2\t", b"\tEulerX\t", "line 15 names no column Euler2, expected Phase X Y Euler1 Euler2 Euler3"),
        (b"Phase\tX\tY", b"Phases\tX\tY", "there is no line of column names, expected 'Phase X Y ...'"),
        (b"Phases\t1", b"Phases\t3", "line 15: Laue group is 'Bands', expected 1 to 11"),
        (b"\tBS\r\n", b"\r\n", "line 16 has 11 columns, expected 10, as named"),
        (b"XStep\t0.5", b"XStep\t0.7", "line 17: x is 0.5, expected 0.7, as row 1, column 2 of a square grid"),
        (b"1\t0.5000\t0.0000\t8", b"2\t0.5000\t0.0000\t8", "line 17: phase is 2, expected 0 (unindexed) to 1"),
        (b"103.85", b"503.85", "line 17: Euler angle 1 is 8.79384 rad (503.85 degrees), expected -360 to 360"),
    ],
)
def test_refuses_a_broken_ctf(tmp_path, old, new, message):
    assert refusal(edited(tmp_path, EDAX / "Test_US_1.ctf", (old, new))).startswith(f"Test_US_1.ctf: {message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"xCells=100", b"xCells=x", "map.cpr: line 22: Job.xCells is 'x', expected a whole number, 1 to"),
        (b"GridDistX=0.1200\n", b"", "map.cpr: header has no Job.GridDistX, expected a line with it"),
        (b"LaueGroup=11", b"LaueGroup=0", "map.cpr: line 51: Laue group is '0', expected 1 to 11"),
        (b"Field2=4", b"Field2=3", "map.cpr: line 29: Fields name phi1 twice, expected each once"),
        (b"Field2=4", b"Field2=13", "map.cpr: line 29: Fields have no Phi, expected the fields 3, 4 and 5"),
        (b"xCells=100", b"xCells=99", "map.crc: file has 250000 bytes, expected 247500 (100 rows of 99, 25 bytes each"),
    ],
)
def test_refuses_a_broken_cpr(pair, old, new, message):
    header = pair.with_suffix(".cpr")
    data = header.read_bytes()
    assert old in data
    header.write_bytes(data.replace(old, new, 1))
    assert refusal(pair).startswith(message)


def test_refuses_a_crc_that_is_cut_off_or_has_numbers_that_are_none(pair):
    data = bytearray(pair.read_bytes())
    pair.write_bytes(data[:-7])
    assert refusal(pair).startswith("map.crc: file has 249993 bytes, expected 250000 (100 rows of 100, 25 bytes each")
    data[26:30] = np.float32(np.nan).tobytes()
    pair.write_bytes(data)
    assert refusal(pair).startswith("map.crc: record 2: Euler angle 1 is nan")
    data[25] = 9
    pair.write_bytes(data)
    assert refusal(pair) == "map.crc: record 2: phase is 9, expected 0 (unindexed) to 1"


@pytest.mark.parametrize(("records", "rows"), [(6000, 60), (9950, 100)])
def test_a_crc_that_ends_after_a_row_or_within_the_last_is_read_as_far_as_it_goes(pair, records, rows):
    before = ebsd.read(pair)
    pair.write_bytes(pair.read_bytes()[: 25 * records])
    scan = ebsd.read(pair)
    there = np.arange(100 * rows).reshape(rows, 100) < records
    np.testing.assert_array_equal(scan.phase, np.where(there, before.phase[:rows], 0))
    np.testing.assert_array_equal(scan.euler[there], before.euler[:rows][there])
    assert len(scan.notes) == 1
    pair.write_bytes(pair.read_bytes()[: 25 * 5950])
    assert refusal(pair).startswith("map.crc: file has 148750 bytes, expected 250000 (100 rows of 100, 25 bytes each")


def test_the_five_fields_after_the_misfit_take_a_byte_each(pair):
    """Fields 7 to 11, of which 9 is in none of the files at hand: put in between 8 and 10."""
    before = ebsd.read(pair)
    records = np.frombuffer(pair.read_bytes(), np.uint8).reshape(10_000, 25)
    split = 1 + 4 * 4 + 2
    pair.write_bytes(np.concatenate([records[:, :split], records[:, :1], records[:, split:]], axis=1).tobytes())
    header = pair.with_suffix(".cpr")
    changes = [(b"Count=9", b"Count=10")] + [(b"Field%d=" % k, b"Field%d=" % (k + 1)) for k in range(9, 6, -1)]
    data = header.read_bytes()
    for old, new in [*changes, (b"Field8=", b"Field7=9\nField8=")]:
        data = data.replace(old, new, 1)
    header.write_bytes(data)
    after = ebsd.read(pair)
    assert np.array_equal(after.euler, before.euler)
    assert np.array_equal(after.confidence, before.confidence)


def test_refuses_half_a_pair(pair):
    pair.with_suffix(".cpr").unlink()
    assert refusal(pair) == "map.crc: there is no map.cpr beside it, expected the pair .cpr and .crc"


def put(name, value):
    """Return a change that puts another dataset in the place of one."""

    def change(file):
        del file[name]
        file[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.move("1/EBSD", "1/EDS"), "no group holds EBSD/Data, expected a map of EDAX or Oxford"),
        (put("1/EBSD/Data/Phase", np.full(12, b"Ni")), "1/EBSD/Data/Phase holds text, expected numbers"),
        (put("1/EBSD/Data/Phase", np.full(12, "Ni", object)), "1/EBSD/Data/Phase holds text, expected numbers"),
        (put("1/EBSD/Data/Phase", np.ones(12, "c8")), "1/EBSD/Data/Phase holds complex numbers, expected numbers"),
        (put("1/EBSD/Data/Euler", h5py.Empty("f4")), "1/EBSD/Data/Euler is missing"),
        (put("1/EBSD/Header/X Cells", np.float32([[np.nan]])), "1/EBSD/Header/X Cells: Header/X Cells is 'nan'"),
        (lambda file: file["1/EBSD/Header/Phases"].create_group("9" * 5000), "cannot be read as HDF5, Exceeds"),
        (lambda file: file.pop("1/EBSD/Data/Euler"), "1/EBSD/Data/Euler is missing"),
        (lambda file: file.pop("1/EBSD/Header/Phases"), "1/EBSD/Header/Phases is missing"),
        (lambda file: file.move("1/EBSD/Header/Phases/1", "x"), "1/EBSD/Header/Phases/2 is phase 2, expected 1"),
        (
            put("1/EBSD/Header/X Cells", np.int32([[5]])),
            "1/EBSD/Data/Euler has shape (12, 3), expected (15, 3) numbers",
        ),
        (
            put("1/EBSD/Header/X Cells", np.int32([[0]])),
            "1/EBSD/Header/X Cells: Header/X Cells is '0', expected a whole",
        ),
        (
            put("1/EBSD/Header/Y Step", np.float32([[0]])),
            "1/EBSD/Header/Y Step: Header/Y Step is '0.0', expected a pos",
        ),
        (
            put("1/EBSD/Header/Phases/2/Laue Group", np.int32([[0]])),
            "1/EBSD/Header/Phases/2/Laue Group: Laue group is '0'",
        ),
        (
            put("1/EBSD/Data/Phase", np.full(12, 4, np.uint8)),
            "1/EBSD/Data: phase of point 1 is 4, expected 0 (unindexed)",
        ),
        (put("1/EBSD/Data/Euler", np.full((12, 3), np.nan)), "1/EBSD/Data: Euler angle 1 of point 2 is nan rad"),
        (put("1/EBSD/Data/X", np.zeros(12)), "1/EBSD/Data: x of point 2 is 0, expected 0.1, as row 1, column 2"),
    ],
)
def test_refuses_a_broken_h5oina(tmp_path, change, message):
    path = oina(tmp_path / "map.h5oina")
    with h5py.File(path, "r+") as file:
        change(file)
    assert refusal(path).startswith(f"map.h5oina: {message}")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Header/nRows", np.int32([41]), "Data/Phi1 has 7440 entries, expected 7626 (41 rows of 186)"),
        ("Header/Grid Type", np.bytes_(["Radial"]), "Header/Grid Type: grid is 'Radial', expected SqrGrid or HexGrid"),
        ("Header/Phase/1/Symmetry", np.int32([7]), "Header/Phase/1/Symmetry: Symmetry is '7', expected one of 43"),
        ("Data/Phase", np.full(7440, 3), "Data: phase of point 1 is 3, expected one of 0, 1"),
        ("Data/CI", np.zeros(5), "Data/CI has shape (5,), expected (7440,) numbers"),
    ],
)
def test_refuses_a_broken_edax_hdf5(tmp_path, name, value, message):
    path = tmp_path / "map.h5"
    shutil.copyfile(EDAX / "EdaxAngOnly_40rows.h5", path)
    with h5py.File(path, "r+") as file:
        put(f"Scan_1/EBSD/{name}", value)(file)
    assert refusal(path).startswith(f"map.h5: Scan_1/EBSD/{message}")


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_space_group_that_is_no_number_is_unknown(tmp_path, number):
    path = oina(tmp_path / "map.h5oina")
    with h5py.File(path, "r+") as file:
        put("1/EBSD/Header/Phases/2/Space Group", np.float32([[number]]))(file)
    assert ebsd.read(path).phases[1].symmetry == "D3y"


@pytest.mark.parametrize(
    "error", [AttributeError("a"), MemoryError(), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad\nbyte")]
)
def test_whatever_h5py_raises_is_one_line(tmp_path, monkeypatch, error):
    def broken(*_):
        raise error

    path = oina(tmp_path / "map.h5oina")
    monkeypatch.setattr(h5py.Dataset, "__getitem__", broken)
    assert refusal(path).startswith("map.h5oina: cannot be read as HDF5, ")


def test_refuses_hdf5_that_is_none_or_cut_off(tmp_path):
    path = tmp_path / "map.h5"
    path.write_bytes(b"no")
    assert refusal(path) == "map.h5: is not an HDF5 file, though its extension says so"
    data = (EDAX / "EdaxAngOnly_40rows.h5").read_bytes()
    path.write_bytes(data[:5000])
    assert refusal(path).startswith("map.h5: cannot be read as HDF5, ")
    path.write_bytes(data.replace(b"SNOD", b"XXXX"))
    assert refusal(path).startswith("map.h5: cannot be read as HDF5, ")


@pytest.mark.parametrize("suffix", [".ang", ".ctf", ".cpr"])
def test_refuses_what_is_no_file_or_empty(tmp_path, suffix):
    path = tmp_path / f"map{suffix}"
    assert refusal(path) == f"map{suffix}: no such file"
    path.mkdir()
    assert refusal(path) == f"map{suffix}: is a folder, expected an ordinary file"
    path.rmdir()
    path.touch()
    path.with_suffix(".crc").touch()
    assert refusal(path) == f"map{suffix}: file is empty, expected an EBSD map"


def test_refuses_a_name_too_long_for_a_file(tmp_path):
    path = tmp_path / f"{'a' * 300}.ang"
    assert refusal(path) == f"{path.name}: cannot be read (File name too long)"


def test_refuses_an_unknown_extension(tmp_path):
    path = tmp_path / "map.tif"
    path.touch()
    assert refusal(path).startswith("map.tif: extension is '.tif', expected one of .ang, .ctf, .crc, .cpr, .h5")
