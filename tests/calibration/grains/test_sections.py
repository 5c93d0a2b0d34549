"""Sections from EBSD maps and label images, refereed by hand-made maps, brute force and closed forms; errors."""

import gzip
import logging
import math
import os
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.integrate import quad
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.stats import norm

from nmcdist.calibration import ebsd
from nmcdist.calibration.grains.sections import (
    MAP_EXTENSIONS,
    Section,
    angle_density,
    consecutive,
    read_section,
    read_sections,
    section_of_scan,
)
from nmcdist.errors import ImageError, InputError

DATA = Path(__file__).parents[2] / "data" / "ebsd"
STEP = 50.0


def scan_of(numbers, step=(STEP, STEP), grid="square", confidence=None):
    """Return a trigonal map whose pixels of one positive number are one crystal, 10 degrees from the next."""
    numbers = np.asarray(numbers)
    euler = np.zeros((*numbers.shape, 3))
    euler[..., 1] = np.radians(10.0 * numbers)
    euler[numbers == 0] = np.nan
    confidence = np.ones(numbers.shape) if confidence is None else confidence
    phases = (ebsd.Phase("NMC811", "D3x"),)
    phase = (numbers > 0).astype(np.int32)
    return ebsd.Scan("made", grid, step, euler, phase, phases, confidence, "confidence index")


def section_of(rows, **options):
    """Return the section of a map drawn with a digit for each crystal and a dot where nothing is indexed."""
    numbers = [[0 if c == "." else int(c) for c in row] for row in rows.split()]
    return section_of_scan(scan_of(numbers), "made", **options)


def drawn(labels):
    return ["".join({0: ".", -1: "x"}.get(value, str(value)) for value in row) for row in labels]


# --- maps drawn by hand ---


def test_what_is_not_indexed_is_missing_within_the_particle_and_outside_around_it():
    section = section_of("........ .112222. .112..2. .112..2. .112222. ........")
    assert drawn(section.labels) == ["........", ".112222.", ".112xx2.", ".112xx2.", ".112222.", "........"]
    assert (section.name, section.pixel_size_nm, section.labels.dtype) == ("made", STEP, np.int32)
    assert section.centre_px == (2.5, 3.5)


def test_the_largest_of_several_particles_is_taken():
    section = section_of(".......... 33........ 33....111. ......111. ......222. .......... 4.........")
    assert drawn(section.labels)[2:5] == ["......111.", "......111.", "......222."]
    assert drawn(section.labels[:, :6]) == ["......"] * 7
    assert section.centre_px == (3.0, 7.0)


@pytest.mark.parametrize("width, grains", [(1, 2), (2, 2), (3, 1)])
def test_cracks_of_up_to_two_pixels_do_not_divide_a_particle(width, grains):
    row = "11111" + "." * width + "2222"
    section = section_of(" ".join([row] * 6))
    assert section.labels.max() == grains
    assert (section.labels == -1).any() == (grains == 2)


def test_a_hole_of_any_size_in_a_particle_is_missing():
    section = section_of("1111111 1.....1 1.....1 1..2..1 1.....1 1.....1 1111111")
    assert (section.labels == -1).sum() == 24
    assert section.labels[3, 3] == 2


def test_missing_pixels_do_not_divide_a_grain():
    section = section_of("11111 ..... 11111 22222 .22.. 22222")
    assert section.labels.max() == 2
    assert set(section.labels[[0, 2]].ravel()) == {1}


@pytest.mark.parametrize("gap, grains", [("2", 2), ("22", 3)])
def test_pieces_of_a_grain_are_joined_over_one_pixel_of_another_but_not_over_two(gap, grains):
    row = "111" + gap + "111"
    assert section_of(" ".join([row] * 5)).labels.max() == grains


def test_grains_at_corners_are_joined():
    assert section_of("1122 1122 2211 2211").labels.max() == 2


def test_small_grains_are_missing_and_pieces_count_together():
    rows = "11113333 1.2.3333 11113.33"
    assert section_of(rows).labels.max() == 3
    section = section_of(rows, min_pixels=2)
    assert drawn(section.labels) == ["11112222", "1xxx2222", "11112x22"]


def test_pixels_of_low_confidence_count_as_not_indexed():
    numbers, confidence = np.ones((4, 9), int), np.full((4, 9), 0.5)
    confidence[:, 5:] = 0.05
    confidence[1, 2] = 0.05
    section = section_of_scan(scan_of(numbers, confidence=confidence), "made", min_confidence=0.1)
    assert drawn(section.labels) == ["11111....", "11x11....", "11111....", "11111...."]


def test_nothing_depends_on_how_the_map_is_turned():
    numbers = (np.random.default_rng(1).random((30, 40)) < 0.8) * np.repeat([1, 2, 3], 10)[:, None]
    upright, turned = section_of_scan(scan_of(numbers), "a"), section_of_scan(scan_of(numbers.T), "b")
    np.testing.assert_array_equal(upright.labels > 0, turned.labels.T > 0)
    np.testing.assert_array_equal(upright.mask, turned.mask.T)
    assert upright.centre_px == pytest.approx(turned.centre_px[::-1])


# --- brute force ---


def test_grains_are_the_clusters_of_near_and_nearly_parallel_pixels():
    rng = np.random.default_rng(7)
    shape = (60, 50)
    # Patches whose orientations differ by little, so that some of them join.
    patch = np.indices(shape)[0] // 6 * 10 + np.indices(shape)[1] // 5
    base = Rotation.random(1, rng=rng) * Rotation.from_rotvec(rng.normal(scale=0.1, size=(patch.max() + 1, 3)))
    rotations = base[patch.ravel()] * Rotation.from_rotvec(rng.normal(scale=0.01, size=(patch.size, 3)))
    numbers = (rng.random(shape) < 0.7).astype(int)
    scan = scan_of(numbers)
    scan.euler[:] = rotations.as_euler("ZXZ").reshape(*shape, 3)
    section = section_of_scan(scan, "made")

    points = np.argwhere(section.labels > 0)
    pairs = cKDTree(points).query_pairs(2.1, p=np.inf, output_type="ndarray")
    flat = np.ravel_multi_index(points.T, shape)
    first, second = rotations[flat[pairs[:, 0]]], rotations[flat[pairs[:, 1]]]
    group = Rotation.create_group("D3")
    angles = np.min([(first.inv() * second * turn).magnitude() for turn in group], axis=0)
    near = pairs[angles <= math.radians(5.0)]
    graph = coo_array((np.ones(len(near)), near.T), shape=(len(points), len(points)))
    count, clusters = connected_components(graph, directed=False)
    assert 10 < count == section.labels.max()
    assert len(np.unique(np.stack([clusters, section.labels[tuple(points.T)]]), axis=1).T) == count


def test_hexagonal_maps_are_seen_by_their_nearest_points():
    rows, columns = 40, 30
    step = (STEP * math.sqrt(0.75), STEP)
    y, x = np.indices((rows, columns)).astype(float)
    y, x = y * step[0], (x + y % 2 / 2) * STEP
    numbers = np.where(np.hypot(y - 850.0, x - 740.0) < 600.0, np.where(x < 740.0, 1, 2), 0)
    section = section_of_scan(scan_of(numbers, step, "hexagonal"), "made")
    assert section.labels.shape == (34, 30)
    assert section.pixel_size_nm == STEP
    for i, j in np.ndindex(section.labels.shape):
        distance = np.hypot(y - i * STEP, x - j * STEP)
        nearest = numbers[distance < distance.min() + 1e-6]
        assert max(section.labels[i, j], 0) in nearest  # notches of the edge are closed
    # The disk of 600 nm about (850, 740), by its pixels: the centroid to a tenth of a pixel, the area to 2 %.
    assert np.multiply(section.centre_px, STEP) == pytest.approx([850.0, 740.0], abs=5.0)
    assert section.mask.sum() * STEP**2 == pytest.approx(math.pi * 600.0**2, rel=0.02)


def test_points_that_short_rows_of_a_hexagonal_map_lack_are_nobodys_nearest():
    numbers, confidence = np.ones((12, 8), int), np.ones((12, 8))
    numbers[1::2, -1], confidence[1::2, -1] = 0, np.nan
    step = (STEP * math.sqrt(0.75), STEP)
    section = section_of_scan(scan_of(numbers, step, "hexagonal", confidence), "made")
    assert (section.labels == 1).all()


# --- errors of maps ---


def test_unequal_steps_are_refused():
    with pytest.raises(ImageError, match="made: steps are 100 nm along y and 50 nm along x, expected equal"):
        section_of_scan(scan_of(np.ones((3, 3)), (100.0, 50.0)), "made")


@pytest.mark.parametrize("options", [{}, {"min_pixels": 5}, {"min_confidence": 2.0}])
def test_maps_without_a_particle_are_refused(options):
    numbers = np.zeros((4, 4), int)
    numbers[1, 1] = 1 if options else 0
    with pytest.raises(ImageError, match="made: found no indexed grain"):
        section_of_scan(scan_of(numbers), "made", **options)


@pytest.mark.parametrize("value", [-1, 1.5, True])
def test_impossible_smallest_grains_are_refused(value):
    with pytest.raises(InputError, match="min_pixels"):
        section_of_scan(scan_of(np.ones((3, 3))), "made", min_pixels=value)


# --- label images ---

IMAGE = np.array([[0, 0, 0, 0, 0], [0, 7, 7, 3, 0], [0, 7, -1, 3, 0], [0, 0, 0, 0, 0]])
NUMBERED = np.array([[0, 0, 0, 0, 0], [0, 2, 2, 1, 0], [0, 2, -1, 1, 0], [0, 0, 0, 0, 0]])


def save(path, image):
    if path.suffix == ".npy":
        np.save(path, image)
    else:
        tifffile.imwrite(path, image)
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.tif", "A.TIFF"])
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_grains_of_label_images_are_numbered_from_1_in_their_order(tmp_path, name, dtype):
    if dtype is np.int64 and not name.endswith("npy"):
        dtype = np.int32
    section = read_section(save(tmp_path / name, IMAGE.astype(dtype)), STEP)
    np.testing.assert_array_equal(section.labels, NUMBERED)
    assert section.labels.dtype == np.int32
    assert (section.name, section.pixel_size_nm, section.centre_px) == (name, STEP, (1.5, 2.0))


def test_unsigned_label_images_have_no_missing_pixels(tmp_path):
    image = np.abs(IMAGE).astype(np.uint16)
    expected = np.where(image == 7, 3, np.where(image == 3, 2, image))
    np.testing.assert_array_equal(read_section(save(tmp_path / "a.tif", image), STEP).labels, expected)


@pytest.mark.parametrize(
    "image, message",
    [
        (IMAGE.astype(float), r"found float64 of shape \(4, 5\), expected integers of two dimensions"),
        (IMAGE > 0, "found bool of shape"),
        (np.stack([IMAGE, IMAGE]), r"found int64 of shape \(2, 4, 5\), expected integers of two"),
        (np.zeros((4, 5), int), "found no grain"),
        (np.zeros((0, 5), int), "found no grain"),
        (IMAGE - 1, "found label -2, expected -1"),
        (IMAGE.astype(np.int64) << 40, "found label -1099511627776"),
        (np.abs(IMAGE).astype(np.uint64) << 40, "found label 7696581394432"),
    ],
)
def test_images_that_are_no_labels_are_refused(tmp_path, image, message):
    path = save(tmp_path / "a.npy", image)
    with pytest.raises(ImageError, match=f"^{re.escape(str(path))}: {message}"):
        read_section(path, STEP)


def test_label_images_need_a_pixel_size(tmp_path):
    with pytest.raises(ImageError, match=r"a\.npy: label images carry no pixel size, expected pixel_size_nm"):
        read_section(save(tmp_path / "a.npy", IMAGE))


@pytest.mark.parametrize("value", [0, -50.0, math.nan, math.inf])
def test_impossible_pixel_sizes_are_refused(tmp_path, value):
    with pytest.raises(InputError, match="pixel_size_nm"):
        read_section(save(tmp_path / "a.npy", IMAGE), value)


@pytest.mark.parametrize("name", ["a.npy", "a.tif"])
@pytest.mark.parametrize("length", [0, 3, 9, 100, 2000])
def test_torn_images_are_refused(tmp_path, name, length):
    path = save(tmp_path / name, np.arange(4096, dtype=np.int32).reshape(64, 64))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ImageError, match=f"^{re.escape(str(path))}: "):
        read_section(path, STEP)


def header_of(text):
    """Return a .npy file of version 1 with this header and no array."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def tiff_of(*tags, body=b""):
    """Return a TIFF file with one page of 32-bit tags (code, value); the body stands at 8."""
    entries = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in tags)
    start = 8 + len(body)
    return b"II*\0" + struct.pack("<I", start) + body + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    "name, data",
    [
        ("header.npy", header_of(b"{'descr': '<i4', 'fortran_order': (, 'shape'\n")),
        ("huge.npy", header_of(b"{'descr': '<i4', 'fortran_order': False, 'shape': (2147483647, 2147483647)}\n")),
        # Deflate without a stream, strips of no rows, a tag of bits for 7 of them.
        (
            "deflate.tif",
            tiff_of(
                (256, 4), (257, 4), (258, 16), (259, 8), (273, 8), (277, 1), (278, 4), (279, 16), body=b"\xff" * 16
            ),
        ),
        ("strips.tif", tiff_of((256, 4), (257, 4), (258, 16), (259, 1), (273, 8), (278, 0), (279, 32), body=bytes(32))),
        ("bits.tif", tiff_of((256, 4), (257, 4), (258, 77), (259, 1), (273, 8), (278, 4), (279, 32), body=bytes(32))),
    ],
)  # fmt: skip
def test_damaged_images_are_refused_in_one_line_and_nothing_is_logged(tmp_path, caplog, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError) as caught:
        read_section(tmp_path / name, STEP)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    assert not caplog.records


@pytest.mark.parametrize("name", ["a.npy", "a.tif"])
@pytest.mark.parametrize("error", [MemoryError(), TypeError("two\nlines")])
def test_whatever_a_reader_raises_is_one_line(tmp_path, monkeypatch, name, error):
    def reader(*_, **__):
        logging.getLogger("tifffile").error("corrupted tag")
        raise error

    path = save(tmp_path / name, IMAGE.astype(np.int32))
    monkeypatch.setattr(np, "load", reader)
    monkeypatch.setattr(tifffile, "imread", reader)
    with pytest.raises(ImageError, match=r"is not the kind of image that its extension says, (MemoryError|two lines)$"):
        read_section(path, STEP)
    assert not logging.getLogger("tifffile").disabled


def test_archives_of_arrays_are_refused(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.savez(file, IMAGE, IMAGE)
    with pytest.raises(ImageError, match="found an archive of several arrays"):
        read_section(tmp_path / "a.npy", STEP)


@pytest.mark.parametrize("name", ["gone.npy", "gone.tif", "gone.ang"])
def test_files_that_are_not_there_are_named(tmp_path, name):
    with pytest.raises(ImageError, match=f"{name}: "):
        read_section(tmp_path / name, STEP)


def test_other_formats_are_refused_by_their_extension(tmp_path):
    with pytest.raises(ImageError, match=r"a\.png: extension is '\.png', expected one of \.ang, "):
        read_section(tmp_path / "a.png", STEP)


@pytest.mark.parametrize("extension", MAP_EXTENSIONS)
def test_every_extension_of_maps_is_one_that_can_be_read(tmp_path, extension):
    with pytest.raises(ImageError, match="no such file"):
        ebsd.read(tmp_path / f"a{extension}")


# --- files and folders of maps ---

ANG = """\
# MaterialName  NMC811
# Symmetry      32
# GRID: SqrGrid
# XSTEP: {step}
# YSTEP: {step}
# NCOLS_ODD: 4
# NCOLS_EVEN: 4
# NROWS: 3
"""


def write_map(path, step_um=0.05):
    lines = []
    for y, x in np.ndindex(3, 4):
        angle, confidence = (0.5 if x < 2 else 1.0, 0.9) if x < 3 else (4 * math.pi, -1.0)
        lines.append(f"{angle} {angle} {angle} {x * step_um} {y * step_um} 1.0 {confidence} 0 1 1.0")
    path.write_text(ANG.format(step=step_um) + "\n".join(lines) + "\n")
    return path


def test_maps_bring_their_pixel_size(tmp_path):
    path = write_map(tmp_path / "a.ang")
    for size in (None, 50.0, 50.01):
        section = read_section(path, size)
        assert drawn(section.labels) == ["112."] * 3
        assert (section.name, section.centre_px) == ("a.ang", (1.0, 1.0))
        assert section.pixel_size_nm == pytest.approx(50.0)
    with pytest.raises(ImageError, match=r"a\.ang: step is 50 nm, expected pixel_size_nm = 60 nm"):
        read_section(path, 60.0)


def test_options_reach_the_segmentation(tmp_path):
    path = write_map(tmp_path / "a.ang")
    assert drawn(read_section(path, min_pixels=4).labels) == ["11.."] * 3
    assert drawn(read_section(path, misorientation_deg=90.0).labels) == ["111."] * 3
    with pytest.raises(ImageError, match=f"^{re.escape(str(path))}: found no indexed grain"):
        read_section(path, min_confidence=0.95)
    with pytest.raises(ImageError, match="no map 1"):
        read_section(path, index=1)


def test_a_folder_gives_its_maps_by_name_and_names_what_it_skips(tmp_path, caplog):
    for name in ("c.ang", "a.ang"):
        write_map(tmp_path / name)
    for name in ("b.npy", "c.tif"):
        save(tmp_path / name, IMAGE.astype(np.int32))
    for name in ("notes.txt", ".hidden.ang", "picture.png"):
        (tmp_path / name).write_text("not a section")
    (tmp_path / "folder.ang").mkdir()
    sections = read_sections(tmp_path, 50.0, min_pixels=4)
    assert [section.name for section in sections] == ["a.ang", "c.ang"]
    assert [section.labels.max() for section in sections] == [1, 1]
    assert caplog.messages == [
        f"{tmp_path}: skipped .hidden.ang (hidden), b.npy (an image beside EBSD maps), c.tif (an image beside EBSD "
        "maps), folder.ang (a folder), notes.txt (neither an EBSD map nor a label image), picture.png (neither an EBSD "
        "map nor a label image)"
    ]


def test_a_folder_without_maps_gives_its_label_images(tmp_path, caplog):
    for name in ("b.npy", "a.tif"):
        save(tmp_path / name, IMAGE.astype(np.int32))
    (tmp_path / "b.png").touch()
    assert [section.name for section in read_sections(tmp_path, 50.0)] == ["a.tif", "b.npy"]
    assert caplog.messages == [f"{tmp_path}: skipped b.png (neither an EBSD map nor a label image)"]


def test_a_picture_beside_a_map_is_not_even_opened(tmp_path):
    """A screenshot in colours is no label image, and a pipe would never end."""
    write_map(tmp_path / "a.ang")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 5, 3), np.uint8), photometric="rgb")
    os.mkfifo(tmp_path / "b.tif")
    assert [section.name for section in read_sections(tmp_path)] == ["a.ang"]


@pytest.mark.parametrize("name", ["p.ang", "p.ctf", "p.h5", "p.npy", "p.tif"])
def test_a_pipe_or_device_where_a_section_is_expected_is_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ImageError, match=f"{name}: is a named pipe, expected an ordinary file$"):
        read_sections(tmp_path, STEP)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(ImageError, match=f"{name}: is a device, expected an ordinary file$"):
        read_section(tmp_path / name, STEP)


def test_what_was_assumed_of_a_map_is_with_its_section(tmp_path, caplog):
    write_map(tmp_path / "a.ang")
    path = write_map(tmp_path / "b.ang")
    path.write_text("\n".join(path.read_text().splitlines()[:-4]) + "\n")
    sections = read_sections(tmp_path)
    assert [len(section.notes) for section in sections] == [0, 1]
    assert sections[1].notes[0].startswith("the file ends after row 2, its header promises 3")
    assert caplog.messages == [f"{path}: {sections[1].notes[0]}"]


@pytest.mark.parametrize("name, size", [("a.npy", 10**10), ("a.tif", 2**28)])
def test_label_images_that_promise_much_are_refused(tmp_path, name, size):
    """A whole image of zeros, of which the file holds nothing."""
    side = math.isqrt(size)
    if name == "a.npy":
        text = f"{{'descr': '|i1', 'fortran_order': False, 'shape': ({side}, {side})}}".encode().ljust(117) + b"\n"
        (tmp_path / name).write_bytes(header_of(text))
        os.truncate(tmp_path / name, 10 + len(text) + side**2)
    else:
        tags = ((256, side), (257, side), (258, 8), (259, 1), (273, 8), (277, 1), (278, side), (279, side**2))
        (tmp_path / name).write_bytes(tiff_of(*tags))
    with pytest.raises(ImageError, match=f"{name}: has {side**2} pixels, expected at most {2**26}"):
        read_section(tmp_path / name, STEP)


def test_a_pair_of_files_is_one_section(tmp_path):
    pair = sorted(DATA.rglob("*.cpr"))[0]
    shutil.copy(pair, tmp_path)
    (tmp_path / f"{pair.stem}.crc").write_bytes(gzip.decompress(pair.with_suffix(".crc.gz").read_bytes()))
    assert [section.name for section in read_sections(tmp_path)] == [f"{pair.stem}.crc"]


def test_folders_without_sections_are_refused(tmp_path, caplog):
    with pytest.raises(ImageError, match="found no EBSD map or label image, expected files of"):
        read_sections(tmp_path)
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match=r"label image \(a\.png \(neither .*\)\), expected files of"):
        read_sections(tmp_path)
    assert not caplog.messages
    with pytest.raises(ImageError, match="gone: there is no such folder"):
        read_sections(tmp_path / "gone")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    write_map(tmp_path / "a.ang")
    (tmp_path / "b.ang").write_text("not a map\n")
    with pytest.raises(ImageError, match=r"b\.ang: line 1"):
        read_sections(tmp_path)


def test_sections_of_different_pixel_size_are_both_named(tmp_path):
    write_map(tmp_path / "a.ang")
    write_map(tmp_path / "b.ang", 0.1)
    with pytest.raises(ImageError, match=r"pixel size is 100 nm in b\.ang, expected 50 nm as in a\.ang"):
        read_sections(tmp_path)


# --- labels of sections ---


def test_consecutive_labels_keep_order_missing_and_outside():
    np.testing.assert_array_equal(consecutive(np.array([[9, -1, 4], [0, 9, 2]])), [[3, -1, 2], [0, 3, 1]])


def test_descriptors_see_neither_missing_pixels_nor_the_outside():
    section = Section("made", IMAGE.astype(np.int32), STEP, (1.5, 2.0))
    assert section.origin_nm == (-75.0, -100.0)
    grains = section.describe()
    assert grains.label.values.tolist() == [3, 7]
    assert grains.area_nm2.values.tolist() == [2 * STEP**2, 3 * STEP**2]
    assert grains.centroid_nm.values[0] == pytest.approx([0.0, 50.0])
    assert sorted(section.chord_lengths()) == [50.0, 50.0, 50.0, 50.0, 100.0, 100.0, 100.0]


# --- density of angles ---


@pytest.mark.parametrize("bandwidth", [0.03, 0.2, 1.5, None])
def test_densities_integrate_to_one(bandwidth):
    angles = np.random.default_rng(3).beta(0.5, 2.0, 50) * np.pi / 2
    whole = quad(lambda x: angle_density(angles, np.array([x]), bandwidth)[0], 0, np.pi / 2, limit=500)[0]
    assert whole == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("bandwidth", [0.05, 0.2, 0.7])
def test_densities_are_kernels_and_their_mirror_images(bandwidth):
    angles = np.append(np.random.default_rng(4).uniform(0, np.pi / 2, 20), [0.0, np.pi / 2])
    at = np.linspace(0, np.pi / 2, 31)
    images = np.concatenate([sign * angles + k * np.pi for sign in (1, -1) for k in range(-4, 5)])
    expected = norm.pdf(at[:, None], images, bandwidth).sum(axis=1) / len(angles)
    np.testing.assert_allclose(angle_density(angles, at, bandwidth), expected, atol=1e-8)


def test_an_angle_at_the_end_has_the_density_of_half_a_normal_law():
    at = np.array([0.0, 0.05, 0.2])
    np.testing.assert_allclose(angle_density(np.zeros(3), at, 0.1), 2 * norm.pdf(at, scale=0.1), rtol=1e-6)


def test_many_uniform_angles_have_a_flat_density():
    n, bandwidth = 20_000, 0.1
    density = angle_density(np.random.default_rng(5).uniform(0, np.pi / 2, n), np.linspace(0, np.pi / 2, 50), bandwidth)
    # The variance of a kernel estimate is f / (2 sqrt(pi) h n) inside, and twice as much at the ends.
    error = math.sqrt(2 * (2 / np.pi) / (2 * math.sqrt(np.pi) * bandwidth * n))
    np.testing.assert_allclose(density, 2 / np.pi, atol=4 * error)


def test_silvermans_bandwidth_is_the_default():
    angles = np.random.default_rng(6).uniform(0.2, 0.9, 100)
    spread = min(angles.std(), np.subtract(*np.percentile(angles, [75, 25])) / 1.34)
    at = np.linspace(0, np.pi / 2, 9)
    np.testing.assert_allclose(angle_density(angles, at), angle_density(angles, at, 0.9 * spread * 100**-0.2))


def test_grains_without_an_angle_are_left_out_and_equal_angles_are_no_trouble():
    at = np.linspace(0, np.pi / 2, 9)
    np.testing.assert_array_equal(angle_density([0.3, math.nan, 1.0], at, 0.2), angle_density([0.3, 1.0], at, 0.2))
    assert np.isfinite(angle_density([0.3, 0.3, 0.3], at)).all()


@pytest.mark.parametrize(
    "angles, at, bandwidth, message",
    [
        ([], [0.1], None, "angles: found none"),
        ([math.nan], [0.1], None, "angles: found none"),
        ([-0.1, 0.2], [0.1], None, "angles: found -0.1 to 0.2"),
        ([0.2], [1.7], None, "at: found 1.7"),
        ([0.2], [0.1], 0.0, "bandwidth: found 0.0"),
        ([0.2], [0.1], math.inf, "bandwidth: found inf"),
    ],
)
def test_impossible_angles_and_bandwidths_are_refused(angles, at, bandwidth, message):
    with pytest.raises(InputError, match=message):
        angle_density(angles, at, bandwidth)
