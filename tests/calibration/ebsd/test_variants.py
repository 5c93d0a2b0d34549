"""EBSD maps as other programs write them: each is built from a known array, which has to come back."""

import math

import h5py
import numpy as np
import pytest

from nmcdist.calibration import ebsd
from nmcdist.errors import ImageError
from tests.calibration.ebsd.test_segment import bunge_matrices

ROWS, COLUMNS, STEP_UM = 5, 6, 0.1
GRID = (
    f"# GRID: SqrGrid\n# XSTEP: {STEP_UM}\n# YSTEP: {STEP_UM}\n# NCOLS_ODD: {COLUMNS}\n# NCOLS_EVEN: {COLUMNS}\n"
    f"# NROWS: {ROWS}\n#\n"
)
ONE = "# Phase 1\n# MaterialName\tNMC811\n# Symmetry 32\n"
TWO = "# Phase 1\n# MaterialName\tAluminium\n# Symmetry 43\n# Phase 2\n# MaterialName\tNMC811\n# Symmetry 32\n"
Y, X = np.indices((ROWS, COLUMNS))
EULER = np.stack([0.1 + 0.01 * Y, 0.3 + 0.01 * X, 0.2 + 0.0 * X], axis=-1)
HOLE = Y == 2  # not indexed
RIGHT = X > 2


def point(y, x, phase=1, euler=None, quality=100.0, confidence=0.5, fit=0.8):
    """Return the fields of a point as EDAX writes them."""
    angles = EULER[y, x] if euler is None else euler
    return [*angles, x * STEP_UM, y * STEP_UM, quality, confidence, phase, 1, fit]


def line(fields):
    return " ".join(f"{value:.5f}" if isinstance(value, float) else str(value) for value in fields)


def ang(path, fields, head=ONE, grid=GRID, order=None):
    """Write an .ang file of the points that `fields` gives for each row and column."""
    cells = [(y, x) for y in range(ROWS) for x in range(COLUMNS)] if order is None else order
    path.write_text(head + grid + "".join(line(fields(y, x)) + "\n" for y, x in cells))
    return path


def check(scan, phase):
    """Check that a map is the known one, with this phase in each point."""
    np.testing.assert_array_equal(scan.phase, phase)
    np.testing.assert_allclose(scan.euler[phase > 0], EULER[phase > 0], atol=1e-5)
    assert np.isnan(scan.euler[phase == 0]).all()
    np.testing.assert_allclose(scan.step_nm, 1000 * STEP_UM, rtol=1e-5)


# --- unindexed points ---

BLANK = {"euler": (0, 0, 0), "quality": 0, "confidence": 0, "fit": 0}
FOUR_PI = {"euler": (12.56637, 12.56637, 12.56637), "quality": 0, "confidence": -1, "fit": 180}


@pytest.mark.parametrize(
    ("indexed", "hole"),
    [
        pytest.param(1, {"phase": 0, **BLANK}, id="0 beside 1, zeros"),
        pytest.param(1, {"phase": 0, "euler": (1.0, 1.0, 1.0)}, id="0 beside 1, angles kept"),
        pytest.param(1, {"phase": 0, **FOUR_PI}, id="0 beside 1, 4 pi"),
        pytest.param(1, {"phase": 1, **BLANK}, id="1 throughout, zeros"),
        pytest.param(1, {"phase": 1, **BLANK, "quality": 50.0}, id="1 throughout, zeros, quality kept"),
        pytest.param(1, {"phase": 1, **FOUR_PI}, id="1 throughout, 4 pi"),
        pytest.param(1, {"phase": -1, **FOUR_PI}, id="-1 beside 1"),
        pytest.param(0, {"phase": -1, **FOUR_PI}, id="-1 beside 0"),
        pytest.param(0, {"phase": 0, **FOUR_PI}, id="0 throughout, 4 pi"),
        pytest.param(0, {"phase": 0, **BLANK}, id="0 throughout, zeros"),
        pytest.param(0, {"phase": 0, "confidence": -1}, id="0 throughout, confidence -1"),
        pytest.param(0, {"phase": "nan", "euler": ("nan", "nan", "nan"), "confidence": "nan"}, id="NaN"),
        pytest.param(1, {"phase": 1, "euler": ("NaN", "NaN", "NaN")}, id="1 throughout, angles NaN"),
        pytest.param(1, {"phase": 1, "euler": ("1.#QNAN0", "-nan(ind)", "-1.#IND00")}, id="NaN of Windows"),
    ],
)
def test_unindexed_points_of_a_map_of_one_phase(tmp_path, indexed, hole):
    path = ang(tmp_path / "a.ang", lambda y, x: point(y, x, **(hole if HOLE[y, x] else {"phase": indexed})))
    scan = ebsd.read(path)
    check(scan, np.where(HOLE, 0, 1))
    assert ebsd.segment(scan).max() == 2


@pytest.mark.parametrize(
    "hole", [{"phase": 0, **BLANK}, {"phase": 0, **FOUR_PI}, {"phase": -1, **FOUR_PI}, {"phase": 0}]
)
def test_unindexed_points_of_a_map_of_two_phases(tmp_path, hole):
    fields = lambda y, x: point(y, x, **(hole if HOLE[y, x] else {"phase": 1 + RIGHT[y, x]}))  # noqa: E731
    check(ebsd.read(ang(tmp_path / "a.ang", fields, TWO)), np.where(HOLE, 0, 1 + RIGHT))


@pytest.mark.parametrize("phase", [0, 1])
def test_points_that_only_their_zeros_mark_are_counted_in_a_note(tmp_path, phase):
    path = ang(
        tmp_path / "a.ang", lambda y, x: point(y, x, **({**BLANK, "phase": phase} if HOLE[y, x] else {"phase": phase}))
    )
    assert ebsd.read(path).notes == ("6 points have angles and a quality of 0: they count as unindexed",)


def test_points_of_phase_0_with_angles_are_counted_in_a_note(tmp_path):
    notes = ebsd.read(ang(tmp_path / "a.ang", lambda y, x: point(y, x, int(not HOLE[y, x])))).notes
    assert notes == ("6 points of phase 0 have angles: they count as unindexed, because the header lists no phase 0",)


def test_a_confidence_of_0_or_angles_of_0_alone_are_no_mark(tmp_path):
    """An orientation may be (0, 0, 0), and a confidence 0; where no confidence is above 0, it says nothing."""
    flat = ang(tmp_path / "a.ang", lambda y, x: point(y, x, euler=(0, 0, 0)))
    unsure = ang(tmp_path / "b.ang", lambda y, x: point(y, x, confidence=0 if HOLE[y, x] else 0.5))
    nothing = ang(tmp_path / "c.ang", lambda y, x: point(y, x, euler=(0, 0, 0), confidence=0, quality=0))
    for path in (flat, unsure, nothing):
        assert ebsd.read(path).indexed.all()


def test_phase_0_of_a_header_that_lists_it_is_a_phase(tmp_path):
    head = TWO.replace("Phase 1", "Phase 0").replace("Phase 2", "Phase 1")
    check(ebsd.read(ang(tmp_path / "a.ang", lambda y, x: point(y, x, int(RIGHT[y, x])), head)), 1 + RIGHT)


# --- phases that are numbered otherwise than in the header ---


def test_phases_numbered_from_0_are_those_of_the_header_from_1(tmp_path):
    fields = lambda y, x: point(y, x, **({"phase": 0, **FOUR_PI} if HOLE[y, x] else {"phase": int(RIGHT[y, x])}))  # noqa: E731
    scan = ebsd.read(ang(tmp_path / "a.ang", fields, TWO))
    check(scan, np.where(HOLE, 0, 1 + RIGHT))
    assert [phase.name for phase in scan.phases] == ["Aluminium", "NMC811"]
    assert any("numbered from 0 (0 Aluminium, 1 NMC811)" in note for note in scan.notes)


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param(lambda y, x: {"phase": 0}, id="all points 0"),
        pytest.param(lambda y, x: {"phase": 0, **BLANK} if y == 2 else {"phase": int(x > 2)}, id="0 is both"),
        pytest.param(lambda y, x: {"phase": int(x > 2), "euler": (0, 0, 0)} if x < 3 else {}, id="no angles"),
        pytest.param(lambda y, x: {"phase": 0, "confidence": 0.1 + 0.01 * x} if y == 2 else {}, id="a threshold"),
    ],
)
def test_phase_0_that_may_be_unindexed_or_a_phase_is_refused(tmp_path, phase):
    with pytest.raises(
        ImageError, match=r"a\.ang: line \d+: phase is 0 but .* 0 may be unindexed or a phase, expected phases numbered"
    ):
        ebsd.read(ang(tmp_path / "a.ang", lambda y, x: point(y, x, **phase(y, x)), TWO))


def test_a_map_without_the_last_of_its_phases_is_refused_if_its_0_has_angles(tmp_path):
    three = TWO + "# Phase 3\n# MaterialName Copper\n# Symmetry 43\n"
    with pytest.raises(ImageError, match="no point has phase 3"):
        ebsd.read(ang(tmp_path / "a.ang", lambda y, x: point(y, x, int(RIGHT[y, x])), three))


# --- the order and the number of points ---


def test_points_column_by_column_are_placed_by_their_positions(tmp_path):
    order = [(y, x) for x in range(COLUMNS) for y in range(ROWS)]
    scan = ebsd.read(ang(tmp_path / "a.ang", point, order=order))
    check(scan, np.ones((ROWS, COLUMNS)))
    assert scan.notes == ("the points are not in row order: each is placed by its position",)


def test_points_from_the_bottom_up_are_placed_by_their_positions(tmp_path):
    order = [(y, x) for y in reversed(range(ROWS)) for x in range(COLUMNS)]
    check(ebsd.read(ang(tmp_path / "a.ang", point, order=order)), np.ones((ROWS, COLUMNS)))


def test_points_that_the_file_leaves_out_are_unindexed(tmp_path):
    out = (Y == 1) & (X == 4) | (Y == 3)
    order = [(y, x) for y, x in np.ndindex(ROWS, COLUMNS) if not out[y, x]]
    scan = ebsd.read(ang(tmp_path / "a.ang", point, order=order))
    check(scan, np.where(out, 0, 1))
    assert scan.notes == ("7 points of the grid are not in the file: they count as unindexed",)


@pytest.mark.parametrize(("whole", "rest"), [(4, 0), (1, 0), (4, 2)])
def test_a_file_that_ends_early_is_read_as_far_as_it_goes(tmp_path, whole, rest):
    order = list(np.ndindex(ROWS, COLUMNS))[: whole * COLUMNS + rest]
    scan = ebsd.read(ang(tmp_path / "a.ang", point, order=order))
    rows = whole + (rest > 0)
    phase = (np.arange(ROWS * COLUMNS) < len(order)).reshape(ROWS, COLUMNS)[:rows]
    np.testing.assert_array_equal(scan.phase, phase)
    np.testing.assert_allclose(scan.euler[phase > 0], EULER[:rows][phase > 0], atol=1e-5)
    assert len(scan.notes) == 1
    assert scan.notes[0].startswith(
        f"the file ends after {f'{rest} points of the last row' if rest else f'row {whole}'}"
    )


@pytest.mark.parametrize("count", [3, COLUMNS + 1, 3 * COLUMNS + 2])
def test_a_file_that_ends_within_a_row_before_the_last_is_refused(tmp_path, count):
    with pytest.raises(ImageError, match=f"line {11 + count - 1}: there are {count} points, expected 30"):
        ebsd.read(ang(tmp_path / "a.ang", point, order=list(np.ndindex(ROWS, COLUMNS))[:count]))


def test_points_beside_the_grid_or_at_one_place_are_refused(tmp_path):
    order = list(np.ndindex(ROWS, COLUMNS))
    order[7] = order[8]
    with pytest.raises(ImageError, match=r"line 18: x is 0\.2, expected 0\.1"):
        ebsd.read(ang(tmp_path / "a.ang", point, order=order))


@pytest.mark.parametrize("origin", [(0.0, 0.0), (-3.7, 12.35), (1e4, -1e4)])
def test_the_origin_of_positions_is_free(tmp_path, origin):
    def fields(y, x):
        values = point(y, x)
        values[3:5] = x * STEP_UM + origin[0], y * STEP_UM + origin[1]
        return values

    check(ebsd.read(ang(tmp_path / "a.ang", fields)), np.ones((ROWS, COLUMNS)))


# --- how .ang files are written ---


def test_nanomegas_writes_nanometres_and_no_sizes(tmp_path):
    head = "# File created from ACOM RES results\n# a.res\n#\n" + ONE.replace("# Phase 1\n", "")

    def fields(y, x):
        return [*EULER[y, x], 2.0 * x, 1.9 * y, 30.0, 0.35, 1, 35]

    for grid in ("# GRID: SqrGrid#\n", "# GRID: SqrGrid#"):  # the second has its first point on the same line
        scan = ebsd.read(ang(tmp_path / "a.ang", fields, head, grid))
        np.testing.assert_allclose(scan.step_nm, (1.9, 2.0))
        np.testing.assert_allclose(scan.euler, EULER, atol=1e-5)
        assert [("nanometres" in note, "from the positions" in note) for note in scan.notes] == [
            (True, False),
            (False, True),
        ]
    order = list(np.ndindex(ROWS, COLUMNS))[:-1]
    with pytest.raises(
        ImageError, match="line 35: the last point makes 29 points at 6 values of x and 5 of y, expected 30"
    ):
        ebsd.read(ang(tmp_path / "a.ang", fields, head, "# GRID: SqrGrid#\n", order))


def text():
    return ONE + GRID + "".join(line(point(y, x)) + "\n" for y in range(ROWS) for x in range(COLUMNS))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t.encode("utf-8-sig"), id="UTF-8 with mark"),
        pytest.param(lambda t: t.encode("utf-16"), id="UTF-16"),
        pytest.param(lambda t: b"\xfe\xff" + t.encode("utf-16-be"), id="UTF-16 big-endian"),
        pytest.param(lambda t: t.encode("utf-16-le"), id="UTF-16 without mark"),
        pytest.param(lambda t: t.encode("utf-16-be"), id="UTF-16 big-endian without mark"),
        pytest.param(lambda t: t.replace("# Sym", "# Info 5 µm\n# Sym").encode("latin-1"), id="Latin-1"),
        pytest.param(lambda t: t.replace("# Sym", "# Info 5 µm – Ä\n# Sym").encode("cp1252"), id="cp1252"),
        pytest.param(lambda t: t.replace("# Sym", "# Info 5 µm\n# Sym").encode("utf-16"), id="UTF-16, not ASCII"),
        pytest.param(lambda t: t.replace("\n", "\r\n").encode(), id="CRLF"),
        pytest.param(lambda t: t.replace("\n", "\r").encode(), id="CR"),
        pytest.param(lambda t: t.replace("\n", "\r\r\n").encode(), id="CRCRLF"),
        pytest.param(lambda t: (t + "\n \n\x1a").encode(), id="blanks at the end"),
        pytest.param(lambda t: t.replace("\n", " \t\n").encode(), id="trailing blanks"),
        pytest.param(lambda t: t.replace("\n0", "\n   0").replace(" ", "\t").encode(), id="tabs"),
        pytest.param(lambda t: t.replace(".", ",").encode(), id="decimal commas"),
        pytest.param(lambda t: t.replace("0.30000", "3.0D-01").replace("0.20000", "2d-1").encode(), id="Fortran"),
        pytest.param(lambda t: t.lower().replace("nmc", "NMC").encode(), id="lower case"),
        pytest.param(lambda t: t.upper().encode(), id="upper case"),
        pytest.param(lambda t: t.replace(" 0.80000\n", " 0.80000 7 8 9\n").encode(), id="more columns"),
        pytest.param(lambda t: t.replace(" 1 0.80000\n", "\n").encode(), id="eight columns"),
        pytest.param(lambda t: t.replace("# GRID", "#\n\n# GRID").replace("#\n0", "#\n\n0").encode(), id="blank lines"),
        pytest.param(lambda t: t.replace("# ", "  #").encode(), id="header indented"),
        pytest.param(lambda t: t.replace(" 100.00000 ", " nan ").replace(" 0.80000", " inf").encode(), id="nan, inf"),
    ],
)  # fmt: skip
def test_ang_files_of_all_encodings_and_spellings(tmp_path, change):
    (tmp_path / "a.ang").write_bytes(change(text()))
    scan = ebsd.read(tmp_path / "a.ang")
    check(scan, np.ones((ROWS, COLUMNS)))
    assert scan.phases == (ebsd.Phase("NMC811", "D3x"),)
    assert not scan.notes


@pytest.mark.parametrize("key", ["COLUMN_HEADERS:", "COLUMN_NOTES:", "Column names:"])
def test_columns_go_by_the_names_in_the_header(tmp_path, key):
    names = "Phase index, IQ, CI, phi1, PHI, phi2, x, y, Fit"
    units = "# COLUMN_UNITS: , , , degrees, degrees, degrees, nm, nm, degrees\n"

    def fields(y, x):
        return [1, 100.0, 0.5, *np.degrees(EULER[y, x]), 100.0 * x, 100.0 * y, 0.8]

    grid = GRID.replace(f"STEP: {STEP_UM}", "STEP: 100")
    scan = ebsd.read(ang(tmp_path / "a.ang", fields, ONE + f"# {key} {names}\n{units}", grid))
    check(scan, np.ones((ROWS, COLUMNS)))
    assert (scan.confidence == 0.5).all()
    with pytest.raises(ImageError, match=r"line 13: x is 5\.7"):
        ebsd.read(ang(tmp_path / "a.ang", fields, ONE + f"# {key} {names.replace('phi2', 'no')}\n", grid))


@pytest.mark.parametrize("header", ["COLUMN_HEADERS: a, b, c", "COLUMN_NOTES: cut, cleaned, turned"])
def test_names_of_columns_that_are_not_known_change_nothing(tmp_path, header):
    scan = ebsd.read(ang(tmp_path / "a.ang", point, ONE + f"# {header}\n"))
    check(scan, np.ones((ROWS, COLUMNS)))
    assert scan.notes == ("the header's column names are unknown: columns are read in EDAX's order",)


def test_a_map_without_confidence_has_none(tmp_path):
    head = ONE + "# COLUMN_HEADERS: phi1, phi, phi2, x, y, phase\n"
    scan = ebsd.read(ang(tmp_path / "a.ang", lambda y, x: [*point(y, x)[:5], int(not HOLE[y, x])], head))
    check(scan, np.where(HOLE, 0, 1))
    assert np.isnan(scan.confidence).all()
    with pytest.raises(ImageError, match=r"line 11 has 6 columns, expected 8"):
        ebsd.read(ang(tmp_path / "a.ang", lambda y, x: [*point(y, x)[:5], 1]))


@pytest.mark.parametrize(
    ("line", "unit_nm"),
    [
        ("", 1000), ("# UNITS: um\n", 1000), ("# SCANUNIT: µm\n", 1000), ("# UNIT: microns\n", 1000),
        ("# UNITS: nm\n", 1), ("# Units: Nanometers\n", 1), ("# COLUMN_UNITS: , , , nm, nm\n", 1),
        ("# SAMPLEID: astar\n", 1000), ("# File created from ACOM RES results\n", 1),
        ("# File created from ACOM RES results\n# UNITS: um\n", 1000),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_unit_is_that_of_the_header(tmp_path, line, unit_nm, encoding):
    (tmp_path / "a.ang").write_bytes((line + text()).encode(encoding))
    np.testing.assert_allclose(ebsd.read(tmp_path / "a.ang").step_nm, STEP_UM * unit_nm)


@pytest.mark.parametrize(("unit", "unit_nm"), [("um", 1000), ("\u00b5m", 1000), ("\u03bcm", 1000), ("nm", 1)])
def test_a_unit_may_stand_behind_the_step(tmp_path, unit, unit_nm):
    changed = text().replace(f"STEP: {STEP_UM}", f"STEP: {STEP_UM} {unit}")
    (tmp_path / "a.ang").write_text(changed, encoding="utf-8")
    np.testing.assert_allclose(ebsd.read(tmp_path / "a.ang").step_nm, STEP_UM * unit_nm)
    (tmp_path / "a.ang").write_text("# UNITS: mm\n" + changed, encoding="utf-8")
    with pytest.raises(ImageError, match=r"a\.ang: line 1: unit is 'mm', expected um or nm"):
        ebsd.read(tmp_path / "a.ang")
    other = "nm" if unit_nm == 1000 else "um"
    (tmp_path / "a.ang").write_text(f"# UNITS: {other}\n" + changed, encoding="utf-8")
    with pytest.raises(ImageError, match=rf"a\.ang: line 6: unit is '{unit}', expected '{other}' as before"):
        ebsd.read(tmp_path / "a.ang")


def test_the_phase_may_stand_behind_the_fit(tmp_path):
    def fields(y, x):
        return [*point(y, x)[:7], 0.83, int(1 + RIGHT[y, x]), 12.5]

    scan = ebsd.read(ang(tmp_path / "a.ang", fields, TWO))
    check(scan, 1 + RIGHT)
    assert scan.notes == ("column 8 holds no phase numbers: column 9 is read as the phase",)


@pytest.mark.parametrize("bad", [1, ROWS * COLUMNS // 2])
def test_cells_that_are_no_phase_in_a_column_of_phases_are_refused_by_their_line(tmp_path, bad):
    last = list(np.ndindex(ROWS, COLUMNS))[-bad:]
    path = ang(tmp_path / "a.ang", lambda y, x: point(y, x, 1.5 if (y, x) in last else 1))
    head = (ONE + GRID).count("\n")
    with pytest.raises(ImageError, match=rf"a\.ang: line {head + 1 + ROWS * COLUMNS - bad}: phase is 1\.5, expected"):
        ebsd.read(path)


@pytest.mark.parametrize("data", [b"\0" * 5000, b"# \0\0\0\n", "# a".encode("utf-16") + b"\n"])
def test_bytes_that_are_no_text_are_refused(tmp_path, data):
    (tmp_path / "a.ang").write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.ang: (contains NUL|is truncated or damaged UTF-16)"):
        ebsd.read(tmp_path / "a.ang")


# --- .ctf ---

CTF = "Channel Text File\nPrj a\nAuthor\tb\nJobMode\tGrid\nXCells\t6\nYCells\t5\nXStep\t0.1\nYStep\t0.1\n"
CTF_PHASES = "Phases\t1\n2.87;2.87;14.2\t90;90;120\tNMC811\t7\t166\t\t\t\n"
CTF_COLUMNS = "Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS\n"


def ctf_text(fields, head=CTF, phases=CTF_PHASES, columns=CTF_COLUMNS):
    rows = ("\t".join(map(str, fields(y, x))) for y in range(ROWS) for x in range(COLUMNS))
    return head + phases + columns + "\n".join(rows) + "\n"


def ctf_point(y, x, phase=1, mad=0.5, euler=None):
    angles = np.degrees(EULER[y, x]).round(6) if euler is None else euler
    return [phase, round(x * STEP_UM, 4), round(y * STEP_UM, 4), 8, 0, *angles, mad, 100, 200]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t.replace(".", ","), id="decimal commas"),
        pytest.param(lambda t: t.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda t: "\ufeff" + t, id="mark"),
        pytest.param(lambda t: t.replace("XStep", "AcqE1\t0\nEuler angles refer to CS0!\tMag\t0\t\nXStep"), id="more"),
        pytest.param(lambda t: t.replace("XC", "xc").replace("Phase\tX", "phase\tx").replace("BC", "bc"), id="case"),
        pytest.param(lambda t: t.replace("XCells\t6\nYCells\t5", "XCells\t5\nYCells\t6"), id="cells swapped"),
        pytest.param(lambda t: t.replace("XCells\t6\nYCells\t5\nXStep\t0.1\nYStep\t0.1\n", ""), id="no cells"),
        pytest.param(lambda t: t.replace("YCells\t5", "YCells\t9"), id="ends early"),
    ],
)  # fmt: skip
def test_ctf_files_of_all_spellings(tmp_path, change):
    (tmp_path / "a.ctf").write_bytes(change(ctf_text(ctf_point)).encode())
    scan = ebsd.read(tmp_path / "a.ctf")
    check(scan, np.ones((ROWS, COLUMNS)))
    assert scan.phases == (ebsd.Phase("NMC811", "D3y"),)
    assert (scan.confidence == 100).all()


@pytest.mark.parametrize(
    "hole", [{"phase": 0, "euler": (0, 0, 0), "mad": 0}, {"phase": 0}, {"phase": 1, "euler": (0, 0, 0), "mad": 0}]
)
def test_unindexed_points_of_ctf(tmp_path, hole):
    (tmp_path / "a.ctf").write_text(ctf_text(lambda y, x: ctf_point(y, x, **(hole if HOLE[y, x] else {}))))
    check(ebsd.read(tmp_path / "a.ctf"), np.where(HOLE, 0, 1))


@pytest.mark.parametrize("phases", [1, 2])
def test_ctf_phases_numbered_from_0_are_refused(tmp_path, phases):
    listed = f"Phases\t{phases}\n" + "4;4;4\t90;90;90\tA\t11\t225\n" * phases
    (tmp_path / "a.ctf").write_text(ctf_text(lambda y, x: ctf_point(y, x, phases * int(x > 2) // 2), phases=listed))
    with pytest.raises(ImageError, match=f"phase is 0 but .* no point has phase {phases}"):
        ebsd.read(tmp_path / "a.ctf")


def test_positions_may_be_rounded_to_their_last_digit(tmp_path):
    """A TEM's step of 1.9 nm in micrometres of three decimals is off its own grid by a quarter of a step."""
    head = CTF.replace("Step\t0.1", "Step\t0.0019")

    def fields(y, x):
        return [1, f"{0.0019 * x:.3f}", f"{0.0019 * y:.3f}", *ctf_point(y, x)[3:]]

    (tmp_path / "a.ctf").write_text(ctf_text(fields, head))
    np.testing.assert_allclose(ebsd.read(tmp_path / "a.ctf").euler, EULER, atol=1e-5)


# --- HDF5 ---


def edax(group, ids=1, hole=None, **header):
    """Write EDAX's groups Header and Data."""
    values = {"nRows": np.int32([ROWS]), "nColumns": np.int32([COLUMNS]), "Step X": np.float32([STEP_UM]),
              "Step Y": np.float32([STEP_UM]), "Grid Type": np.bytes_(["SqrGrid"]), **header}  # fmt: skip
    for name, value in values.items():
        group[f"Header/{name}"] = value
    group["Header/Phase/1/Symmetry"] = np.int32([32])
    group["Header/Phase/1/MaterialName"] = np.bytes_(["NMC811"])
    columns = {"Phi1": EULER[..., 0], "Phi": EULER[..., 1], "Phi2": EULER[..., 2], "X Position": STEP_UM * X,
               "Y Position": STEP_UM * Y, "CI": np.full((ROWS, COLUMNS), 0.5), "IQ": np.full((ROWS, COLUMNS), 9.0),
               "Phase": np.full((ROWS, COLUMNS), ids)}  # fmt: skip
    for name, value in columns.items():
        filled = np.where(HOLE, hole[name], value) if hole and name in hole else value
        group[f"Data/{name}"] = filled.ravel().astype("i4" if name == "Phase" else "f4")
    return group


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5", "a.oh5", "a.edaxh5", "A.OH5"])
@pytest.mark.parametrize("place", ["Scan 1/EBSD", "Project/Sample 1/Area 2/OIM Map 3/EBSD", "EBSD"])
def test_hdf5_of_edax_in_groups_at_any_depth(tmp_path, name, place):
    with h5py.File(tmp_path / name, "w") as file:
        edax(file.create_group(place))
    scan = ebsd.read(tmp_path / name)
    check(scan, np.ones((ROWS, COLUMNS)))
    assert not scan.notes


@pytest.mark.parametrize(
    ("ids", "hole"),
    [
        (1, {"Phase": 0}),
        (0, {"Phase": -1}),
        (1, {"Phase": 0, "Phi1": 0, "Phi": 0, "Phi2": 0, "CI": 0}),
        (0, {"Phi1": 0, "Phi": 0, "Phi2": 0, "CI": 0}),
        (0, {"Phi1": 12.56637, "Phi": 12.56637, "Phi2": 12.56637}),
        (0, {"CI": -1}),
        (1, {"Phi1": np.nan, "Phi": np.nan, "Phi2": np.nan}),
    ],
)
def test_unindexed_points_of_hdf5_of_edax(tmp_path, ids, hole):
    with h5py.File(tmp_path / "a.oh5", "w") as file:
        edax(file.create_group("Scan 1/EBSD"), ids, hole)
    check(ebsd.read(tmp_path / "a.oh5"), np.where(HOLE, 0, 1))


def test_of_several_maps_the_first_is_read_and_all_are_named(tmp_path, caplog):
    with h5py.File(tmp_path / "a.oh5", "w") as file:
        for k in (10, 2):
            edax(file.create_group(f"Project/Area {k}/EBSD"))["Data/CI"][...] = k
    scan = ebsd.read(tmp_path / "a.oh5")
    assert (scan.confidence == 2).all()
    note = "the file holds 2 maps (Project/Area 2/EBSD, Project/Area 10/EBSD): the first is read"
    assert scan.notes == (note,)
    assert caplog.messages == [f"{tmp_path / 'a.oh5'}: {note}"]
    asked = ebsd.read(tmp_path / "a.oh5", 1)
    assert (asked.confidence == 10).all()
    assert not asked.notes
    with pytest.raises(ImageError, match=r"there is no map 2, expected 0 to 1 \(Project/Area 2/EBSD, Project/Area 10"):
        ebsd.read(tmp_path / "a.oh5", 2)


def test_links_within_a_file_are_followed(tmp_path):
    with h5py.File(tmp_path / "a.oh5", "w") as file:
        edax(file.create_group("Scan 1/EBSD"))
        file.move("Scan 1/EBSD/Data/CI", "elsewhere")
        file["Scan 1/EBSD/Data/CI"] = h5py.SoftLink("/elsewhere")
        file["Scan 1/again"] = file["Scan 1"]
    assert (ebsd.read(tmp_path / "a.oh5").confidence == 0.5).all()


def test_slices_of_h5ebsd_are_read_as_the_files_they_are_from(tmp_path):
    with h5py.File(tmp_path / "a.h5ebsd", "w") as file:
        tsl, hkl = file.create_group("0"), file.create_group("1")
        edax(tsl)
        for old, new in (("nRows", "NROWS"), ("nColumns", "NCOLS_ODD"), ("Step X", "XSTEP"), ("Step Y", "YSTEP"),
                         ("Grid Type", "GRID"), ("Phase", "Phases")):  # fmt: skip
            tsl.move(f"Header/{old}", f"Header/{new}")
        for old, new in (("CI", "Confidence Index"), ("IQ", "Image Quality"), ("Phase", "PhaseData")):
            tsl.move(f"Data/{old}", f"Data/{new}")
        sizes = {"XCells": COLUMNS, "YCells": ROWS, "XStep": STEP_UM, "YStep": STEP_UM}
        for name, value in {**sizes, "Phases/1/LaueGroup": 7, "Phases/1/SpaceGroup": 166}.items():
            hkl[f"Header/{name}"] = [value]
        hkl["Header/Phases/1/PhaseName"] = np.bytes_(["NMC811"])
        for k in range(3):
            hkl[f"Data/Euler{k + 1}"] = np.degrees(EULER[..., k]).ravel()
        hkl["Data/Phase"], hkl["Data/X"] = np.ones(ROWS * COLUMNS, "i4"), STEP_UM * X.ravel()
        hkl["Data/Y"], hkl["Data/BC"] = STEP_UM * Y.ravel(), np.full(ROWS * COLUMNS, 7, "i4")
    for index, (symmetry, confidence) in enumerate([("D3x", 0.5), ("D3y", 7)]):
        scan = ebsd.read(tmp_path / "a.h5ebsd", index)
        check(scan, np.ones((ROWS, COLUMNS)))
        assert scan.phases == (ebsd.Phase("NMC811", symmetry),)
        assert (scan.confidence == confidence).all()


@pytest.mark.parametrize(("place", "stride"), [("EBSD/Data/{} BEAM", 1), ("EBSD/SEM/SEM I{}", 1), ("SEM/SEM I{}", 3)])
def test_hdf5_of_bruker_has_degrees_and_points_in_the_order_of_the_beam(tmp_path, place, stride):
    order = np.random.default_rng(1).permutation(ROWS * COLUMNS)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("Scan 0/EBSD")
        for name, value in {"NCOLS": COLUMNS, "NROWS": ROWS, "XSTEP": STEP_UM, "YSTEP": STEP_UM,
                            "Phases/1/IT": 166}.items():  # fmt: skip
            group[f"Header/{name}"] = value
        group["Header/Phases/1/Name"] = np.bytes_("NMC811")
        for k, name in enumerate(("phi1", "PHI", "phi2")):
            group[f"Data/{name}"] = np.degrees(EULER[..., k]).ravel()[order]
        group["Data/Phase"] = np.where(HOLE, 0, 1).ravel()[order]
        for axis, values in (("X", X), ("Y", Y)):
            file[f"Scan 0/{place.format(axis)}"] = 40 + stride * values.ravel()[order]
        group["Data/RadonQuality"] = (X + 10 * Y).ravel()[order].astype("f4")
    scan = ebsd.read(tmp_path / "a.h5")
    check(scan, np.where(HOLE, 0, 1))
    assert scan.phases == (ebsd.Phase("NMC811", "D3y"),)
    np.testing.assert_array_equal(scan.confidence, X + 10 * Y)


def test_hdf5_of_pyebsdindex_numbers_phases_from_0_and_marks_by_the_confidence(tmp_path):
    with h5py.File(tmp_path / "a.oh5", "w") as file:
        group = edax(file.create_group("Scan 1/EBSD"), hole={"Phase": 0, "CI": -1})
        group["Data/Phase"][...] = np.where(HOLE, 0, RIGHT).ravel()
        del group["Header/Phase"]
        for number, name, symmetry in ((0, "Aluminium", 43), (1, "NMC811", 32)):
            group[f"Header/Phase/{number}/LGsymID"] = np.int32([symmetry])
            group[f"Header/Phase/{number}/MaterialName"] = np.bytes_([name])
    scan = ebsd.read(tmp_path / "a.oh5")
    check(scan, np.where(HOLE, 0, 1 + RIGHT))
    assert scan.phases == (ebsd.Phase("Aluminium", "O"), ebsd.Phase("NMC811", "D3x"))


def test_hdf5_of_emsphinx_lists_phases_from_1_and_numbers_them_from_0(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = edax(file.create_group("Scan 1/EBSD"))
        group["Data/Phase"][...] = RIGHT.ravel()
        group["Header/Phase/2/Symmetry"] = np.int32([43])
        group["Header/Phase/2/MaterialName"] = np.bytes_(["Aluminium"])
    scan = ebsd.read(tmp_path / "a.h5")
    check(scan, 1 + RIGHT)
    assert "numbered from 0 (0 NMC811, 1 Aluminium)" in scan.notes[0]


def test_hdf5_of_emsoft_has_wrong_positions_along_y(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = edax(file.create_group("Scan 1/EBSD"))
        group["Data/Y Position"][...] = STEP_UM * X.ravel()
    with pytest.raises(ImageError, match=r"y of point 2 is 0\.1, expected 0"):
        ebsd.read(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["Manufacturer"] = np.bytes_(["EMEBSDDI.f90"])
    check(ebsd.read(tmp_path / "a.h5"), np.ones((ROWS, COLUMNS)))


def test_a_mark_that_every_point_has_is_none(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        edax(file.create_group("Scan 1/EBSD"))["Data/Valid"] = np.ones(ROWS * COLUMNS, "i1")
    scan = ebsd.read(tmp_path / "a.h5")
    check(scan, np.ones((ROWS, COLUMNS)))
    assert scan.notes == ("dataset Valid marks every point as invalid: it is ignored",)


@pytest.mark.parametrize("place", ["crystal_map", "Scan 1/EBSD/CrystalMap/crystal_map"])
@pytest.mark.parametrize("several", [False, True])
def test_hdf5_of_orix_and_kikuchipy(tmp_path, place, several):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["Scan 1/EBSD/Data/patterns"] = np.zeros(3)
        group = file.create_group(place)
        for name, value in {"x": 2.0 * X, "y": 1.9 * Y, "phase_id": np.where(HOLE, -1, RIGHT)}.items():
            group[f"data/{name}"] = value.ravel()
        group["data/is_in_data"] = (Y < 4).ravel()
        for k, name in enumerate(("phi1", "Phi", "phi2")):
            angle = EULER[..., k].ravel()
            group[f"data/{name}"] = np.stack([angle, 0 * angle, 0 * angle], axis=1) if several else angle
        group["header/scan_unit"] = np.array([b"nm"])
        phases = [(-1, "not_indexed", "None", "None"), (0, "A", "None", "432"), (1, "NMC811", 166, "-3m")]
        for number, name, space_group, point_group in phases:
            node = group.create_group(f"header/phases/{number}")
            node["name"], node["point_group"] = np.array([name.encode()]), np.array([point_group.encode()])
            node["space_group"] = np.array([space_group.encode() if isinstance(space_group, str) else space_group])
    scan = ebsd.read(tmp_path / "a.h5")
    phase = np.where(HOLE | (Y == 4), 0, 1 + RIGHT)
    np.testing.assert_array_equal(scan.phase, phase)
    np.testing.assert_array_equal(scan.euler[phase > 0], EULER[phase > 0])
    np.testing.assert_allclose(scan.step_nm, (1.9, 2.0))
    assert scan.phases == (ebsd.Phase("A", "O"), ebsd.Phase("NMC811", "D3x"))
    assert not scan.notes


@pytest.mark.parametrize(
    ("name", "symmetry"), [("-3m", "D3x"), ("321", "D3x"), ("312", "D3y"), ("m-3m", "O"), ("6/mmm", "D6"), ("-1", "C1")]
)
def test_symmetries_of_ang_may_be_names_of_point_groups(tmp_path, name, symmetry):
    path = ang(tmp_path / "a.ang", point, ONE.replace("Symmetry 32", f"Symmetry {name}"))
    assert ebsd.read(path).phases == (ebsd.Phase("NMC811", symmetry),)


def test_a_phase_that_is_given_twice_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"a\.ang: line 4: phase 1 is given twice, expected each once"):
        ebsd.read(ang(tmp_path / "a.ang", point, ONE + ONE))


def apex(path, matrices, ids):
    """Write a map as APEX does: records of a matrix and more, sizes beside the group EBSD."""
    fields = [("Orientations", "<f4", (9,)), ("IQ", "<f4"), ("CI", "<f4"), ("Phase", "<i4")]
    records = np.zeros(ROWS * COLUMNS, fields)
    records["Orientations"], records["Phase"] = matrices.reshape(-1, 9), ids.ravel()
    records["CI"], records["IQ"] = 0.5, 9.0
    with h5py.File(path, "w") as file:
        group = file.create_group("Project/Sample/Area 1/OIM Map 2")
        group["EBSD/ANG/DATA/DATA"] = records
        sizes = {"Number Of Rows": ROWS, "Number Of Columns": COLUMNS, "Step X": STEP_UM, "Step Y": STEP_UM}
        for name, value in sizes.items():
            group[f"Sample/{name}"] = [value]
        group["Sample/Grid Type"] = np.bytes_(["SqrGrid"])
        for number, name, symmetry in ((1, "Aluminium", 43), (2, "NMC811", 32)):
            group[f"EBSD/ANG/HEADER/Phase/{number}/Symmetry"] = np.int32([symmetry])
            group[f"EBSD/ANG/HEADER/Phase/{number}/Material Name"] = np.bytes_([name])
    return path


def test_hdf5_of_apex_has_matrices_and_phases_from_0(tmp_path):
    """The matrices are Bunge's, written out in another test; a map may lack the last of its phases."""
    matrices = bunge_matrices(EULER.reshape(-1, 3)).reshape(ROWS, COLUMNS, 3, 3)
    scan = ebsd.read(apex(tmp_path / "a.edaxh5", matrices, np.where(HOLE, -1, RIGHT)))
    check(scan, np.where(HOLE, 0, 1 + RIGHT))
    assert [phase.name for phase in scan.phases] == ["Aluminium", "NMC811"]
    assert (scan.confidence == 0.5).all()
    check(ebsd.read(apex(tmp_path / "b.edaxh5", matrices, np.where(HOLE, -1, 0))), np.where(HOLE, 0, 1))
    nothing = np.where(HOLE[..., None, None], 0, matrices)
    check(ebsd.read(apex(tmp_path / "c.edaxh5", nothing, np.where(HOLE, 0, RIGHT))), np.where(HOLE, 0, 1 + RIGHT))
    with pytest.raises(ImageError, match=r"Orientations of point 13 are not a rotation matrix"):
        ebsd.read(apex(tmp_path / "d.edaxh5", np.where(HOLE[..., None, None], 2 * matrices, matrices), 0 * X))
    with pytest.raises(ImageError, match=r"phase of point 1 is 3, expected one of 0, 1, 2"):
        ebsd.read(apex(tmp_path / "e.edaxh5", matrices, 0 * X + 2))


# The Laue class of every space group: International Tables A.
@pytest.mark.parametrize(
    ("first", "last", "symmetry"),
    [
        (1, 2, "C1"), (3, 15, "C2y"), (16, 74, "D2"), (75, 88, "C4"), (89, 142, "D4"), (143, 148, "C3"),
        (150, 150, "D3y"), (160, 161, "D3y"), (162, 163, "D3x"), (164, 167, "D3y"), (168, 176, "C6"),
        (177, 194, "D6"), (195, 206, "T"), (207, 230, "O"),
    ],
)  # fmt: skip
def test_symmetries_of_space_groups(first, last, symmetry):
    from nmcdist.calibration.ebsd.vendors import space_group_symmetry

    assert {space_group_symmetry(number, "a") for number in range(first, last + 1)} == {symmetry}


@pytest.mark.parametrize(
    ("place", "what"),
    [("DataContainers/a", "DREAM.3D"), ("DataStructure/a", "DREAM.3D")],
)
def test_layouts_that_are_known_but_not_read_are_named(tmp_path, place, what):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[place] = np.zeros(3)
    with pytest.raises(ImageError, match=rf"a\.h5: is a .*{what}"):
        ebsd.read(tmp_path / "a.h5")


def test_a_hexagonal_map_that_ends_early_is_read_as_far_as_it_goes(tmp_path):
    step_y = STEP_UM * math.sqrt(0.75)
    grid = GRID.replace("Sqr", "Hex").replace(f"YSTEP: {STEP_UM}", f"YSTEP: {step_y}").replace("EVEN: 6", "EVEN: 5")

    def fields(y, x):
        values = point(y, x)
        values[3:5] = STEP_UM * (x + y % 2 / 2), step_y * y
        return values

    order = [(y, x) for y, x in np.ndindex(ROWS, COLUMNS) if x < 6 - y % 2]
    whole = ebsd.read(ang(tmp_path / "a.ang", fields, grid=grid, order=order))
    short = ebsd.read(ang(tmp_path / "b.ang", fields, grid=grid, order=order[:22]))
    assert (whole.grid, whole.shape, short.shape) == ("hexagonal", (5, 6), (4, 6))
    np.testing.assert_array_equal(short.euler, whole.euler[:4])
    with pytest.raises(ImageError, match="there are 21 points, expected 28"):
        ebsd.read(ang(tmp_path / "b.ang", fields, grid=grid, order=order[:21]))
    with pytest.raises(ImageError, match="NCOLS_EVEN is 5000, expected 5 to 7, as NCOLS_ODD is 6, on a hexagonal grid"):
        ebsd.read(ang(tmp_path / "b.ang", fields, grid=grid.replace("EVEN: 5", "EVEN: 5000"), order=order))
