"""Images of users against the arrays that were written, and what is refused."""

import json
import os
import pickle
import struct
import zlib

import h5py
import numpy as np
import pytest
import pyvista
import tifffile
import zarr
from PIL import Image as Picture

from nmcdist.errors import ImageError
from nmcdist.extras import is_installed
from nmcdist.images import open_image, open_labels, survey

RNG = np.random.default_rng(3)
VOXELS = RNG.integers(0, 60000, (5, 6, 7)).astype(np.uint16)  # z, y, x
BOX = (slice(1, 4), slice(2, 6), slice(0, 5))
SIZE = (40.0, 20.0, 10.0)


def imagej(path):
    about = {"spacing": 0.04, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(path, VOXELS, imagej=True, resolution=(100, 50), metadata=about)  # pixels per um along x, y
    return {}


def ome(path):
    sizes = {f"PhysicalSize{axis}": length for axis, length in zip("ZYX", SIZE, strict=True)}
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "ZYX"}
    tifffile.imwrite(path, VOXELS, ome=True, metadata={"axes": "ZYX", **sizes, **units})
    return {}


def plain(path):
    tifffile.imwrite(path, VOXELS, photometric="minisblack", compression="zlib")
    return {"axes": "zyx", "voxel_size_nm": SIZE}


def npy(path):
    np.save(path, VOXELS)
    return {"axes": "zyx", "voxel_size_nm": list(SIZE)}


def other_order(path):
    np.save(path, VOXELS.transpose(2, 0, 1))
    return {"axes": "xzy", "voxel_size_nm": SIZE}


def pictures(path):
    path.mkdir()
    for k, plane in enumerate(VOXELS):
        Picture.fromarray(plane).save(path / f"slice_{8 + 2 * k}.png")
    return {"voxel_size_nm": SIZE}


def stack(path):
    path.mkdir()
    for k, plane in enumerate(VOXELS):
        tifffile.imwrite(path / f"slice_{8 + 2 * k}.tif", plane)  # 8, 10, ...: text would put 10 before 8
    return {"voxel_size_nm": SIZE}


def zarr_that_says_all(path):
    """As nmcdist writes the labels of a segmentation."""
    said = {"dimension_names": ("x", "z", "y"), "attributes": {"voxel_size_nm": list(SIZE)}}
    zarr.create_array(path, data=VOXELS.transpose(2, 0, 1), zarr_format=3, **said)
    return {}


def zarr_array(path):
    zarr.save_array(path, VOXELS)
    return {"axes": "zyx", "voxel_size_nm": SIZE}


def ome_zarr(path):
    group = zarr.create_group(path, zarr_format=3)
    group.create_array("0", data=VOXELS)
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [0.04, 0.02, 0.01]}]
    scales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": scales}
    return {}


def ome_zarr_of_one_channel(path):
    """As Bio-Formats writes it: axes t and c of length one."""
    group = zarr.create_group(path, zarr_format=2)
    group.create_array("0", data=VOXELS[None, None])
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0, *SIZE]}]
    scales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    group.attrs["multiscales"] = scales
    return {}


def appended(path):
    for plane in VOXELS:
        tifffile.imwrite(path, plane, append=True)
    return {"axes": "zyx", "voxel_size_nm": SIZE}


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.tif", imagej), ("a.ome.tif", ome), ("a.TIFF", plain), ("a.npy", npy), ("a.npy", other_order),
        ("slices", stack), ("slices", pictures), ("a.zarr", zarr_array), ("b.zarr", zarr_that_says_all),
        ("a.ome.zarr", ome_zarr), ("a.ome.zarr", ome_zarr_of_one_channel), ("a.tif", appended),
    ],
)  # fmt: skip
def test_every_form_gives_the_voxels_in_order(tmp_path, name, write):
    image = open_image(tmp_path / name, **write(tmp_path / name))
    image = pickle.loads(pickle.dumps(image))  # as workers get it
    assert (image.shape, image.dtype) == (VOXELS.shape, VOXELS.dtype)
    assert image.voxel_size_nm == pytest.approx(SIZE)
    np.testing.assert_array_equal(image.read(), VOXELS)
    np.testing.assert_array_equal(image.read(*BOX), VOXELS[BOX])
    assert len(pickle.dumps(image)) < 1000  # without the voxels, though they were read


def test_the_survey_knows_an_image_again(tmp_path):
    first, second = (
        open_image(tmp_path / name, **write(tmp_path / name)) for name, write in (("a.tif", plain), ("b", stack))
    )
    found = survey(first)
    assert (found.low, found.high, found.values) == (VOXELS.min(), VOXELS.max(), ())
    assert found.sha256 == survey(second).sha256
    labels = RNG.integers(0, 3, (4, 5, 6)).astype(np.uint8)
    np.save(tmp_path / "labels.npy", labels)
    of_labels = open_image(tmp_path / "labels.npy", 20, "zyx")
    assert survey(of_labels).values == (0, 1, 2)
    assert survey(of_labels).sha256 != survey(open_image(tmp_path / "labels.npy", 30, "zyx")).sha256


def test_the_user_overrules_the_file(tmp_path):
    imagej(tmp_path / "a.tif")
    assert open_image(tmp_path / "a.tif", voxel_size_nm=25).voxel_size_nm == (25.0, 25.0, 25.0)
    assert open_image(tmp_path / "a.tif", axes="xyz").shape == (7, 6, 5)


def cut(path):
    plain(path)
    path.write_bytes(path.read_bytes()[:150])


def cut_npy(path):
    npy(path)
    path.write_bytes(path.read_bytes()[:-100])


def colours(path):
    tifffile.imwrite(path, RNG.integers(0, 255, (5, 6, 7, 3)).astype(np.uint8), photometric="rgb")


def appended_of_several_sizes(path):
    for plane in (VOXELS[0], VOXELS[0, :4]):
        tifffile.imwrite(path, plane, append=True)


def npz(path):
    with path.open("wb") as file:
        np.savez(file, VOXELS)


def ome_zarr_of_two_channels(path):
    ome_zarr_of_one_channel(path)
    group = zarr.open_group(path)
    group.create_array("0", data=np.stack([VOXELS, VOXELS])[None], overwrite=True)


def pixels(path):
    tifffile.imwrite(
        path, VOXELS, imagej=True, resolution=(1, 1), metadata={"spacing": 1.0, "unit": "pixel", "axes": "ZYX"}
    )


def slices_as_channels(path):
    tifffile.imwrite(path, VOXELS, imagej=True, resolution=(100, 50), metadata={"spacing": 0.04, "unit": "um"})


def slices_as_times(path):
    size = {"PhysicalSizeY": 0.02, "PhysicalSizeX": 0.01}
    tifffile.imwrite(path, VOXELS, ome=True, metadata={"axes": "TYX", **size})


def two_channels(path):
    tifffile.imwrite(path, np.stack([VOXELS, VOXELS], 1), imagej=True, metadata={"axes": "ZCYX"})


def lzw(path):
    first, *others = (Picture.fromarray(plane) for plane in VOXELS)
    first.save(path, save_all=True, append_images=others, compression="tiff_lzw")


def dated(path):
    stack(path)
    for name in ("slice_10.tif", "slice_12.tif"):
        (path / name).rename(path / name.replace(".tif", "_2024.tif"))


def without_a_slice(path):
    stack(path)
    (path / "slice_12.tif").unlink()


def twice_the_same_number(path):
    stack(path)
    (path / "again_12.tif").write_bytes((path / "slice_12.tif").read_bytes())


def without_numbers(path):
    stack(path)
    (path / "slice_12.tif").rename(path / "middle.tif")


@pytest.mark.parametrize(
    ("name", "write", "options", "complaint"),
    [
        ("a.tif", lambda path: None, {}, "a.tif: no such image"),
        ("a.jpg", lambda path: path.write_text("x"), {}, "a.jpg: expected a TIFF file, a folder of TIFF or PNG slices"),
        ("a.tif", lambda path: path.write_text("x"), {}, "a.tif: cannot be read"),
        ("a.tif", cut, {}, "a.tif: is truncated: found 150 bytes, expected at least"),
        ("a.npy", cut_npy, {}, "a.npy: cannot be read"),
        ("a.tif", plain, {"axes": None}, r"a.tif: does not say the order of its axes; give it \(--axes\)"),
        ("a.npy", npy, {"voxel_size_nm": None}, r"a.npy: says no voxel size; give it in nm \(--voxel-size-nm\)"),
        ("a.tif", pixels, {"axes": None, "voxel_size_nm": None}, "a.tif: says no voxel size"),
        ("a.npy", npy, {"axes": "zyy"}, "axes: found 'zyy', expected z, y and x in the order of the image"),
        ("a.npy", npy, {"voxel_size_nm": 0}, "voxel_size_nm: found 0, expected a positive voxel size in nm"),
        ("a.npy", npy, {"voxel_size_nm": (1, 2)}, r"voxel_size_nm: found \(1, 2\), expected a positive voxel size"),
        ("a.npy", npy, {"voxel_size_nm": "20"}, "voxel_size_nm: found '20'"),
        ("a.npy", lambda path: np.save(path, VOXELS[0]), {}, r"a.npy: found shape \(6, 7\), expected three"),
        ("a.npy", lambda path: np.save(path, np.array([None])), {}, "a.npy: cannot be read"),
        ("a.npy", lambda path: np.save(path, VOXELS.astype("S5")), {}, r"found values of type \|S5, expected numbers"),
        ("a.tif", colours, {}, "found 3 colours, expected a grey image"),
        ("a.tif", lambda path: path.write_bytes(b"II*\0" + bytes(4)), {}, "a.tif: cannot be read .found no pages"),
        ("a.tif", appended_of_several_sizes, {}, r"a.tif: page 2: found uint16 of shape \(4, 7\), expected uint16 of"),
        ("a.npy", npz, {}, "a.npy: cannot be read .the magic string is not correct"),
        ("a.zarr", ome_zarr_of_two_channels, {}, r"a.zarr: found axes t \(1\), c \(2\), .*, and only one channel"),
        (f"{'a' * 300}.tif", lambda path: None, {}, "a.tif: cannot be read .File name too long"),
        ("s", without_a_slice, {}, "s: no slice between slice_10.tif and slice_14.tif: one is missing"),
        ("s", twice_the_same_number, {}, "the last number of its name is that of again_12.tif: a slice is repeated"),
        ("s", dated, {}, "slice_12_2024.tif: the last number of its name is that of slice_10_2024.tif"),
        ("a.tif", slices_as_channels, {"axes": None}, r"found axes CYX, .*; if it is a stack, give .* such as zyx"),
        ("a.tif", two_channels, {}, "a.tif: found axes ZCYX, expected z, y and x, without channels or times"),
        ("a.ome.tif", slices_as_times, {"voxel_size_nm": None}, "a.ome.tif: says no voxel size"),
        ("s", without_numbers, {}, "middle.tif: expected a number in the name"),
        ("s", lambda path: path.mkdir(), {}, "s: found 0 slices, expected a TIFF file"),
        ("g", lambda path: zarr.create_group(path), {}, "g: a Zarr group without an image of OME-Zarr"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, name, write, options, complaint):
    write(tmp_path / name)
    with pytest.raises(ImageError, match=complaint) as caught:
        open_image(tmp_path / name, **{"axes": "zyx", "voxel_size_nm": 20.0, **options})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("name", "write"), [("a.tif", slices_as_channels), ("a.ome.tif", slices_as_times)])
def test_slices_that_pass_for_channels_or_times(tmp_path, name, write):
    """As tifffile writes a stack without the names of its axes, and ImageJ a series of pictures."""
    write(tmp_path / name)
    image = open_image(tmp_path / name, SIZE, "zyx")
    np.testing.assert_array_equal(image.read(), VOXELS)


@pytest.mark.skipif(is_installed("imagecodecs"), reason="imagecodecs is installed")
def test_a_compression_that_needs_a_package(tmp_path):
    lzw(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a.tif: its compression needs the package imagecodecs: install it") as caught:
        open_image(tmp_path / "a.tif", SIZE, "zyx").read()
    assert len(str(caught.value).splitlines()) == 1


def test_faults_of_voxels_are_named_with_their_plane(tmp_path):
    def opened(voxels):
        np.save(tmp_path / "a.npy", voxels)
        return open_image(tmp_path / "a.npy", 20.0, "zyx")

    with_nan = VOXELS.astype(np.float32)
    with_nan[3, 2, 1] = np.nan
    with pytest.raises(ImageError, match="plane 3 along z: found values that are not finite"):
        survey(opened(with_nan))
    with pytest.raises(ImageError, match="planes 2 and 3 along z are equal: one is repeated"):
        survey(opened(VOXELS[[0, 1, 2, 2, 3]]))
    margin = 0 * VOXELS[:2]
    survey(opened(np.concatenate([margin, VOXELS, margin + 9])), is_scanned=True)  # as of a frame beside the sample
    holed = opened(np.concatenate([margin, VOXELS[:3], margin[:1], VOXELS[3:], margin[:1] + 9, VOXELS[:1]]))
    survey(holed)  # as between particles whose background was set to 0
    with pytest.raises(ImageError, match=r"a\.npy: plane 5 along z: found one value in the whole plane"):
        survey(holed, is_scanned=True)
    holed = opened(np.concatenate([VOXELS[:3], margin, margin[:1] + 9, VOXELS[3:]]))
    with pytest.raises(ImageError, match="planes 3 to 5 along z: found one value"):
        survey(holed, is_scanned=True)
    with pytest.raises(ImageError, match="all voxels have the value 7, expected an image"):
        survey(opened(np.full((1, 4, 4), 7)))


def test_what_is_no_slice_is_passed_over(tmp_path):
    stack(tmp_path / "s")
    (tmp_path / "s/._slice_12.tif").write_bytes(b"of another system")
    os.mkfifo(tmp_path / "s/slice_18.tif")
    np.testing.assert_array_equal(open_image(tmp_path / "s", SIZE).read(), VOXELS)


def test_a_damaged_slice_is_named(tmp_path):
    stack(tmp_path / "s")
    tifffile.imwrite(tmp_path / "s/slice_12.tif", VOXELS[0, :3])
    image = open_image(tmp_path / "s", SIZE)
    assert image.read(slice(0, 2)).shape == (2, 6, 7)
    with pytest.raises(ImageError, match=r"slice_12.tif: found uint16 of shape \(3, 7\), expected uint16 of"):
        image.read()


def test_a_header_that_promises_more_than_there_is(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999, 99999, 9999), }"
    header += b" " * (117 - len(header)) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with pytest.raises(ImageError, match=r"a.npy: cannot be read"):
        open_image(tmp_path / "a.npy", SIZE, "zyx")


@pytest.mark.parametrize("how", [{}, {"byteorder": ">"}, {"compression": "zlib"}, {"imagej": True}, {"ome": True}])
def test_a_part_of_pages_is_that_of_the_whole(tmp_path, how):
    """Pages that are not compressed are read in part, wherever they lie; the others whole."""
    whole = np.arange(5 * 30 * 40, dtype=np.uint16).reshape(5, 30, 40)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, iter(whole), shape=whole.shape, dtype=whole.dtype, metadata={"axes": "ZYX"}, **how)
    image = open_image(path, 20.0, "zyx")
    box = (slice(1, 4), slice(3, 17), slice(0, 40, 1))
    assert np.array_equal(image.read(*box), whole[box])
    tifffile.imwrite(path, whole[::-1], metadata={"axes": "ZYX"}, **how)  # another file of the same name
    assert np.array_equal(open_image(path, 20.0, "zyx").read(*box), whole[::-1][box])


def several(path):
    for voxels in (VOXELS[:2], VOXELS):
        tifffile.imwrite(path, voxels, append=True, byteorder=">", metadata={"axes": "ZYX"})


@pytest.mark.parametrize(
    ("write", "dataset"),
    [(lambda path: tifffile.imwrite(path, VOXELS, imagej=True, truncate=True), None), (several, "1")],
)
def test_a_box_of_a_large_stack_is_read_without_the_rest(tmp_path, monkeypatch, write, dataset):
    """Also of one page, as ImageJ writes stacks over 4 GB, and of one of several images."""
    write(tmp_path / "a.tif")
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", None)
    image = open_labels(tmp_path / "a.tif", SIZE, "zyx", dataset)
    np.testing.assert_array_equal(image.read(*BOX), VOXELS[BOX])


# ---- Labels in any format --------------------------------------------------------------------------------------

LABELS = (VOXELS % 3).astype(np.uint8)


def nrrd_file(path):
    import nrrd

    units = {"space": "left-posterior-superior", "space units": ["um"] * 3}
    nrrd.write(str(path), LABELS, {**units, "space directions": np.diag([0.01, 0.02, 0.04])}, index_order="C")
    return {}


def nrrd_of_two_units(path):
    import nrrd

    units = {"space": "left-posterior-superior", "space units": ["um", "um", "nm"]}
    nrrd.write(str(path), LABELS, {**units, "space directions": np.diag([0.01, 0.02, 40.0])}, index_order="C")


def hdf5(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("t0/channel0", data=LABELS).attrs["element_size_um"] = [0.04, 0.02, 0.01]
        file["about"] = "words"
    return {}


def ilastik(path):
    """With a channel and a time of length one, and the names of the axes."""
    axes = json.dumps({"axes": [{"key": key, "typeFlags": 2, "resolution": 0} for key in "txzyc"]})
    with h5py.File(path, "w") as file:
        file["exported_data"] = LABELS.transpose(2, 0, 1)[None, ..., None]
        file["exported_data"].attrs["axistags"] = axes
    return {"voxel_size_nm": SIZE}


def hdf5_of_one_channel(path):
    with h5py.File(path, "w") as file:
        file["exported_data"] = LABELS[..., None]
    return {"voxel_size_nm": SIZE, "axes": "zyx"}


def hdf5_of_two(path):
    with h5py.File(path, "w") as file:
        file["grey"], file["labels"] = VOXELS, LABELS
    return {"dataset": "labels", "voxel_size_nm": SIZE, "axes": "zyx"}


def zarr_group(path):
    zarr.create_group(path).create_array("labels", data=LABELS)
    return {"dataset": "labels", "voxel_size_nm": SIZE, "axes": "zyx"}


def vtk_points(path):
    grid = pyvista.ImageData(dimensions=LABELS.shape[::-1], spacing=SIZE[::-1])
    grid.point_data["labels"] = LABELS.ravel()
    grid.save(path)
    return {"voxel_size_nm": SIZE}


def vtk_cells(path):
    grid = pyvista.ImageData(dimensions=[n + 1 for n in LABELS.shape[::-1]], spacing=SIZE[::-1])
    grid.cell_data["labels"], grid.point_data["grey"] = LABELS.ravel(), np.zeros(grid.n_points)
    grid.save(path)
    return {"voxel_size_nm": SIZE, "dataset": "labels"}


def meta_image(path):
    size = " ".join(map(str, LABELS.shape[::-1]))
    path.write_text(
        f"ObjectType = Image\nNDims = 3\nDimSize = {size}\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    )
    path.with_name("a.raw").write_bytes(LABELS.tobytes())
    return {"voxel_size_nm": SIZE}


def whole_meta_image(path):
    """As ITK writes it: one file, bytes of any order, compressed."""
    size = " ".join(map(str, LABELS.shape[::-1]))
    path.write_bytes(
        f"ObjectType = Image\nNDims = 3\nBinaryDataByteOrderMSB = True\nCompressedData = True\nDimSize = {size}\n"
        "ElementType = MET_SHORT\nElementDataFile = LOCAL\n".encode()
        + zlib.compress(LABELS.astype(">i2").tobytes())
    )
    return {"voxel_size_nm": SIZE}


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.nrrd", nrrd_file), ("a.h5", hdf5), ("a.hdf5", hdf5_of_two),
        ("b.h5", ilastik), ("c.h5", hdf5_of_one_channel), ("a.zarr", zarr_group), ("a.vti", vtk_points),
        ("a.vtk", vtk_points), ("a.vti", vtk_cells), ("a.mhd", meta_image), ("a.mha", whole_meta_image),
    ],
)  # fmt: skip
def test_labels_of_every_format_in_order(tmp_path, name, write):
    image = open_labels(tmp_path / name, **write(tmp_path / name))
    image = pickle.loads(pickle.dumps(image))
    assert (image.shape, image.is_planar, image.says_axes) == (LABELS.shape, False, True)
    assert image.voxel_size_nm == pytest.approx(SIZE)
    np.testing.assert_array_equal(image.read(*BOX), LABELS[BOX])
    np.testing.assert_array_equal(image.read(), LABELS)


def test_labels_of_eight_bytes_in_a_meta_image(tmp_path):
    """As SimpleITK writes those of NumPy's own integers; VTK's reader overwrites its memory with them."""
    meta_image(tmp_path / "a.mhd")
    header = (tmp_path / "a.mhd").read_text().replace("MET_UCHAR", "MET_LONG_LONG")
    (tmp_path / "a.mhd").write_text(header)
    (tmp_path / "a.raw").write_bytes(LABELS.astype("<i8").tobytes())
    np.testing.assert_array_equal(open_labels(tmp_path / "a.mhd", 20.0).read(), LABELS)


def cut_vtk(path):
    vtk_points(path)
    path.write_bytes(path.read_bytes()[:-100])


def cut_meta_image(path):
    meta_image(path)
    path.with_name("a.raw").write_bytes(b"abc")


def huge_vti(path):
    vtk_points(path)
    path.write_bytes(path.read_bytes().replace(b"0 6 0 5 0 4", b"0 99999 0 99999 0 99999"))


@pytest.mark.parametrize(
    ("name", "write", "complaint"),
    [
        ("a.vtk", cut_vtk, r"a.vtk: cannot be read \(Error reading binary data!\)"),  # VTK reads memory as it was
        ("a.vti", cut_vtk, r"a.vti: cannot be read \(Error parsing XML"),
        ("a.vti", huge_vti, "a.vti: cannot be read .found 1000000000000000 points, more than fit into the memory"),
        ("a.mhd", cut_meta_image, r"a.raw: found 3 bytes, expected 210 of shape \(5, 6, 7\), type uint8"),
    ],
)
def test_damaged_labels_are_refused_quietly(tmp_path, capfd, caplog, name, write, complaint):
    write(tmp_path / name)
    with pytest.raises(ImageError, match=complaint) as caught:
        open_labels(tmp_path / name, 20.0).read()
    assert len(str(caught.value).splitlines()) == 1
    assert (*capfd.readouterr(), caplog.text) == ("", "", "")


HALF_TURN = np.diag([-1.0, -1.0, 1.0])  # what programs for images of patients write
OBLIQUE = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


def turned_nrrd(path, turn):
    import nrrd

    about = {"space": "left-posterior-superior", "space units": ["um"] * 3}
    nrrd.write(str(path), LABELS, {**about, "space directions": np.diag([0.01, 0.02, 0.04]) @ turn}, index_order="C")


def turned_vti(path, turn):
    grid = pyvista.ImageData(dimensions=LABELS.shape[::-1], spacing=SIZE[::-1], direction_matrix=turn.T)
    grid.point_data["labels"] = LABELS.ravel()
    grid.save(path)


def turned_meta_image(path, turn):
    meta_image(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], f"TransformMatrix = {' '.join(map(str, turn.ravel()))}", lines[-1], ""]))


@pytest.mark.parametrize("turn", [HALF_TURN, OBLIQUE, OBLIQUE.T, np.eye(3)[[1, 0, 2]]])
@pytest.mark.parametrize(
    ("name", "write"), [("a.nrrd", turned_nrrd), ("a.vti", turned_vti), ("a.mhd", turned_meta_image)]
)
def test_turned_axes_are_refused_unless_their_order_is_given(tmp_path, name, write, turn):
    write(tmp_path / name, turn)
    with pytest.raises(ImageError, match=rf"{name}: says that its axes are turned .* \(--axes\), such as zyx"):
        open_labels(tmp_path / name, SIZE)
    np.testing.assert_array_equal(open_labels(tmp_path / name, SIZE, "zyx").read(), LABELS)


@pytest.mark.parametrize(
    ("name", "write"), [("a.nrrd", turned_nrrd), ("a.vti", turned_vti), ("a.mhd", turned_meta_image)]
)
def test_axes_that_are_hardly_turned_are_read(tmp_path, name, write):
    """Directions are written with a few digits."""
    write(tmp_path / name, np.eye(3) + 1e-7)
    np.testing.assert_array_equal(open_labels(tmp_path / name, SIZE).read(), LABELS)


def several_images(path):
    with tifffile.TiffWriter(path, ome=True) as file:
        for image, length in ((VOXELS, 5.0), (LABELS, 7.0)):
            sizes = {f"PhysicalSize{axis}": length for axis in "ZYX"}
            units = {f"PhysicalSize{axis}Unit": "nm" for axis in "ZYX"}
            file.write(image, metadata={"axes": "ZYX", **sizes, **units})


def test_one_of_several_images_is_chosen_by_its_number(tmp_path):
    path = tmp_path / "a.ome.tif"
    several_images(path)
    with pytest.raises(ImageError, match=r"found 2 images \(0: 5 x 6 x 7, 1: 5 x 6 x 7\); choose one by .*--dataset"):
        open_labels(path)
    for number, voxels, length in (("0", VOXELS, 5.0), ("1", LABELS, 7.0)):
        image = open_labels(path, dataset=number)
        assert image.voxel_size_nm == (length,) * 3
        np.testing.assert_array_equal(image.read(), voxels)
        np.testing.assert_array_equal(image.read(*BOX), voxels[BOX])


def planar_ilastik(path):
    with h5py.File(path, "w") as file:
        file["exported_data"] = LABELS[0][..., None]
        file["exported_data"].attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "yxc"]})


def planar_palette(path):
    picture = Picture.fromarray(LABELS[0], mode="P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.png", planar_palette), ("a.bmp", lambda path: Picture.fromarray(LABELS[0]).save(path)),
        ("a.tif", lambda path: tifffile.imwrite(path, LABELS[0])),
        ("a.tif", lambda path: tifffile.imwrite(path, LABELS[0], compression="zlib")),
        ("a.npy", lambda path: np.save(path, LABELS[0])),
        ("a.zarr", lambda path: zarr.save_array(path, LABELS[0])), ("a.h5", planar_ilastik),
    ],
)  # fmt: skip
def test_planar_labels_are_one_layer(tmp_path, name, write):
    write(tmp_path / name)
    image = open_labels(tmp_path / name, (20.0, 10.0))
    assert (image.shape, image.is_planar, image.voxel_size_nm[1:]) == ((1, 6, 7), True, (20.0, 10.0))
    np.testing.assert_array_equal(image.read()[0], LABELS[0])
    np.testing.assert_array_equal(image.read(slice(0, 1), *BOX[1:])[0], LABELS[0][BOX[1:]])
    turned = open_labels(tmp_path / name, (20.0, 10.0), "xy")
    np.testing.assert_array_equal(turned.read()[0], LABELS[0].T)


def test_planar_sizes_in_files(tmp_path):
    sizes = {f"PhysicalSize{axis}": length for axis, length in (("Y", 20.0), ("X", 10.0))}
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "YX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", LABELS[0], ome=True, metadata={"axes": "YX", **sizes, **units})
    tifffile.imwrite(tmp_path / "b.tif", LABELS[0], imagej=True, resolution=(100, 50), metadata={"unit": "um"})
    for name in ("a.ome.tif", "b.tif"):
        assert open_labels(tmp_path / name).voxel_size_nm[1:] == pytest.approx((20.0, 10.0))


def test_samples_are_slices_where_asked(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LABELS[:4], photometric="rgb", planarconfig="separate")
    with pytest.raises(ImageError, match="found 4 colours"):
        open_labels(tmp_path / "a.tif", 10.0)
    image = open_labels(tmp_path / "a.tif", 10.0, samples_are_slices=True)
    np.testing.assert_array_equal(image.read(), LABELS[:4])


@pytest.mark.parametrize(
    ("name", "write", "options", "complaint"),
    [
        ("a.h5", hdf5_of_two, {}, r"a.h5: found 2 datasets of two or three dimensions \(grey, labels\): name one with"),
        ("a.h5", hdf5, {"dataset": "other"}, "a.h5: has no dataset 'other'"),
        ("a.h5", lambda path: path.write_text("x"), {}, "a.h5: cannot be read"),
        ("a.zarr", zarr_group, {"dataset": "other"}, "a.zarr: has no array 'other'"),
        ("a.zarr", zarr_group, {"dataset": "../other"}, "a.zarr: cannot be read"),
        ("a.vti", vtk_cells, {}, r"a.vti: found 2 arrays \(grey, labels\); name one with --dataset"),
        ("a.vtk", lambda path: pyvista.Sphere().save(path), {}, "a.vtk: found PolyData, expected image data"),
        ("a.vti", lambda path: path.write_text("x"), {}, "a.vti: cannot be read"),
        ("a.nrrd", nrrd_of_two_units, {"voxel_size_nm": None}, "a.nrrd: says no voxel size"),
        ("a.nrrd", lambda path: path.write_text("NRRD0004\nx"), {}, "a.nrrd: cannot be read"),
        ("a.mhd", lambda path: path.write_text("ObjectType = Image\n"), {}, "a.mhd: cannot be read"),
        ("a.png", lambda path: Picture.new("RGB", (4, 4)).save(path), {}, r"a.png: found colours \(RGB\)"),
        ("a.png", lambda path: path.write_text("x"), {}, "a.png: cannot be read"),
        ("a.jpg", lambda path: path.write_text("x"), {}, "a.jpg: expected a TIFF file, .*, HDF5, NRRD, MetaImage"),
        ("a.ome.tif", several_images, {"dataset": "2"}, "expected the number of an image, 0 to 1"),
        ("a.tif", plain, {"dataset": "labels"}, "a.tif: found the dataset .*, expected none: it has one image"),
        ("a.npy", lambda path: np.save(path, LABELS), {"dataset": "labels"}, "expected none: it holds one image"),
        ("a.nrrd", nrrd_file, {"dataset": "labels"}, "a.nrrd: found the dataset 'labels', expected none"),
        ("a", stack, {"dataset": "1"}, "a: found the dataset '1', expected none"),
        ("a.png", planar_palette, {"axes": "zyx"}, "axes: found 'zyx', expected y and x in the order of the image"),
    ],
)  # fmt: skip
def test_labels_that_are_refused(tmp_path, name, write, options, complaint):
    write(tmp_path / name)
    with pytest.raises(ImageError, match=complaint) as caught:
        open_labels(tmp_path / name, **{"voxel_size_nm": 20.0, **options})
    assert len(str(caught.value).splitlines()) == 1
