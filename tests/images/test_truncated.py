"""TIFF files that were cut off are refused by name, however they were written; whole ones are not."""

import os
import struct
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from nmcdist import cli
from nmcdist.calibration.fibsem.pictures import open_pixels
from nmcdist.calibration.fibsem.tiff import write_stack
from nmcdist.calibration.grains.label_images import read_labels
from nmcdist.errors import ImageError
from nmcdist.images import open_image, open_labels
from nmcdist.images.truncated import check_tiff

VOXELS = np.random.default_rng(8).integers(0, 3, (12, 48, 48)).astype(np.uint8)


def imagej(path):
    write_stack(path, VOXELS, (20.0, 10.0, 10.0))


def ome(path):
    tifffile.imwrite(path, VOXELS, ome=True, metadata={"axes": "ZYX"})


def big(path):
    tifffile.imwrite(path, iter(VOXELS), shape=VOXELS.shape, dtype=VOXELS.dtype, ome=True, bigtiff=True)


def big_endian(path):
    tifffile.imwrite(path, VOXELS, byteorder=">")


def tiles(path):
    tifffile.imwrite(path, VOXELS, tile=(16, 16), photometric="minisblack")


def page_by_page(path):
    """A page's tags, then its voxels, then the next page: what is left of such a file looks like a shorter stack."""
    first, *more = map(Picture.fromarray, VOXELS)
    first.save(path, save_all=True, append_images=more)


def tags_behind(path):
    """Compressed by Pillow: the tags of a page lie behind its voxels."""
    first, *more = map(Picture.fromarray, VOXELS)
    first.save(path, save_all=True, append_images=more, compression="tiff_lzw")


WRITERS = [imagej, ome, big, big_endian, tiles, page_by_page, tags_behind]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_named_with_its_length(tmp_path, write, share):
    write(tmp_path / "a.tif")
    check_tiff(tmp_path / "a.tif")
    whole = (tmp_path / "a.tif").stat().st_size
    left = int(share * whole)
    os.truncate(tmp_path / "a.tif", left)
    for opened in (open_image, open_labels, open_pixels):
        with pytest.raises(ImageError, match=rf"a.tif: is truncated: found {left} bytes, expected at least") as caught:
            opened(tmp_path / "a.tif", 10.0, "zyx")
        assert left < int(str(caught.value).split("at least ")[1].split(",")[0]) <= whole
        assert "\n" not in str(caught.value)


def test_compressed_voxels_that_were_cut_off_are_refused_when_they_are_decoded(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        last = file.pages[11].dataoffsets[0]
    os.truncate(tmp_path / "a.tif", last + 5)
    with pytest.raises(ImageError, match=r"a.tif: cannot be read .*truncated stream"):
        open_image(tmp_path / "a.tif", 10.0, "zyx").read()
    os.truncate(tmp_path / "a.tif", last - 5)
    with pytest.raises(ImageError, match=r"a.tif: is truncated"):
        open_image(tmp_path / "a.tif", 10.0, "zyx")


def large_of_imagej(path, images, edge):
    """A stack of over 4 GiB as ImageJ writes it: one page, whose description says how many follow. Voxels are holes."""
    text = f"ImageJ=1.53t\nimages={images}\nslices={images}\nunit=micron\nspacing=0.02\n\0".encode()
    tags = [(256, 3, 1, edge), (257, 3, 1, edge), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1),
            (270, 2, len(text), 200), (273, 4, 1, 400), (277, 3, 1, 1), (278, 3, 1, edge),
            (279, 4, 1, 2 * edge * edge)]  # fmt: skip
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    path.write_bytes((b"II*\0" + struct.pack("<I", 8) + ifd).ljust(200, b"\0") + text)
    os.truncate(path, 400 + images * 2 * edge * edge)


def test_large_stacks_of_imagej_say_in_words_how_far_they_reach(tmp_path):
    path = tmp_path / "a.tif"
    large_of_imagej(path, 600, 2048)
    check_tiff(path)
    assert open_image(path, 10.0, "zyx").shape == (600, 2048, 2048)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ImageError, match=f"expected at least {400 + 600 * 2 * 2048**2}, where"):
        open_image(path, 10.0, "zyx")


def test_one_picture_of_a_stack_of_imagej_is_whole(tmp_path):
    """Programs that save one slice keep the description of the stack."""
    large_of_imagej(tmp_path / "a.tif", 10, 64)
    os.truncate(tmp_path / "a.tif", 400 + 2 * 64 * 64)
    check_tiff(tmp_path / "a.tif")


@pytest.mark.parametrize("data", [b"", b"II*\0", b"text, not a TIFF file", b"II*\0" + bytes(4), b"II+\0\x08\0\0\0"])
def test_what_is_no_tiff_file_is_left_to_the_reader(tmp_path, data):
    (tmp_path / "a.tif").write_bytes(data)
    check_tiff(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a.tif: cannot be read"):
        open_image(tmp_path / "a.tif", 10.0, "zyx")


def test_pages_in_a_circle_end(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<IHI", 8, 0, 8))
    check_tiff(tmp_path / "a.tif")


def test_a_slice_of_a_folder_that_was_cut_off_is_named(tmp_path):
    for k, plane in enumerate(VOXELS):
        tifffile.imwrite(tmp_path / f"s-{k}.tif", plane)
    image = open_image(tmp_path, 10.0)
    os.truncate(tmp_path / "s-3.tif", 1000)
    with pytest.raises(ImageError, match=r"s-3.tif: is truncated: found 1000 bytes"):
        image.read()
    os.truncate(tmp_path / "s-0.tif", 1000)
    with pytest.raises(ImageError, match=r"s-0.tif: is truncated"):
        open_image(tmp_path, 10.0)


def test_a_section_that_was_cut_off_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS[0].astype(np.int32))
    os.truncate(tmp_path / "a.tif", 1000)
    with pytest.raises(ImageError, match=r"a.tif: is truncated: found 1000 bytes"):
        read_labels(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "command",
    ["calibrate cba FILE --out new", "calibrate cba FILE --scribbles FILE --out new", "calibrate shell FILE --out new",
     "calibrate segment FILE --scribbles FILE --out new", "measure FILE --phases pore=0,nmc=1,cbd=2"],
)  # fmt: skip
def test_commands_say_so_in_one_line(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    imagej(tmp_path / "half.tif")
    os.truncate("half.tif", (tmp_path / "half.tif").stat().st_size // 2)
    monkeypatch.setattr(sys, "argv", ["nmcdist", *command.replace("FILE", "half.tif").split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("nmcdist: error: half.tif: is truncated: found ")
    assert said.count("\n") == 1
    assert not (tmp_path / "new").exists()
