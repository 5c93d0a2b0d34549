"""EBSD files that lead elsewhere or promise more than they hold: refused in one line, at once, in little memory."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from nmcdist.calibration import ebsd
from nmcdist.calibration.ebsd.grid import MOST_POINTS
from nmcdist.calibration.ebsd.text import TEXT_LIMIT
from nmcdist.errors import ImageError
from tests.calibration.ebsd.test_variants import COLUMNS, CTF, GRID, ONE, ROWS, ang, ctf_point, ctf_text, edax, point

SIZE = ROWS * COLUMNS


def refusal(path):
    """Return the error of reading, without the folder."""
    with pytest.raises(ImageError) as caught:
        ebsd.read(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{Path(path).parent}/")


def written(path):
    """Write a sound HDF5 file, and open it."""
    with h5py.File(path, "w") as file:
        edax(file.create_group("Scan 1/EBSD"))
    return h5py.File(path, "r+")


# --- what is no file ---


@pytest.mark.parametrize("suffix", [*ebsd.EXTENSIONS])
def test_pipes_devices_and_folders_are_refused_at_once(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    os.mkfifo(path)
    assert refusal(path) == f"a{suffix}: is a named pipe, expected an ordinary file"
    path.unlink()
    path.mkdir()
    assert refusal(path) == f"a{suffix}: is a folder, expected an ordinary file"
    path.rmdir()
    path.symlink_to("/dev/zero")
    assert refusal(path) == f"a{suffix}: is a device, expected an ordinary file"
    path.unlink()
    path.symlink_to("nowhere")
    assert refusal(path) == f"a{suffix}: is a link to nothing"


def test_the_other_half_of_a_pair_may_be_no_pipe(tmp_path):
    (tmp_path / "a.cpr").write_text("[Job]\nxCells=1\n")
    os.mkfifo(tmp_path / "a.crc")
    assert refusal(tmp_path / "a.cpr") == "a.cpr: there is no a.crc beside it, expected the pair .cpr and .crc"


@pytest.mark.parametrize("path", ["s3://bucket/a.ang", "https://host/a.h5"])
def test_urls_are_refused(path):
    with pytest.raises(ImageError, match=r"is a URL, expected a path on this machine"):
        ebsd.read(path)


# --- headers that promise much ---


@pytest.mark.parametrize("grid", ["SqrGrid", "HexGrid"])
@pytest.mark.parametrize("count", [3, COLUMNS, SIZE])
@pytest.mark.parametrize(
    ("columns", "rows"), [(10**9, 10**9), (10**9, 1), (1, 10**9), (COLUMNS, 10**9), (10**4, 10**4)]
)
def test_sizes_in_the_header_of_ang_take_no_memory(tmp_path, grid, count, columns, rows):
    head = (
        GRID.replace("SqrGrid", grid).replace(f": {COLUMNS}\n", f": {columns}\n").replace(f": {ROWS}\n", f": {rows}\n")
    )
    path = ang(tmp_path / "a.ang", point, grid=head, order=list(np.ndindex(ROWS, COLUMNS))[:count])
    assert refusal(path) == (
        f"a.ang: header promises {columns * rows} points ({rows} rows of {columns}), expected at most {MOST_POINTS}"
    )


@pytest.mark.parametrize(("columns", "rows"), [(10**9, 10**9), (10**5, 10**4), (COLUMNS, 2**31 - 1)])
def test_sizes_in_the_header_of_ctf_take_no_memory(tmp_path, columns, rows):
    head = CTF.replace("XCells\t6\nYCells\t5", f"XCells\t{columns}\nYCells\t{rows}")
    (tmp_path / "a.ctf").write_text(ctf_text(ctf_point, head))
    assert refusal(tmp_path / "a.ctf").startswith(f"a.ctf: header promises {columns * rows} points")


def test_sections_in_the_header_of_ctf_take_no_memory(tmp_path):
    (tmp_path / "a.ctf").write_text(ctf_text(ctf_point, CTF + "ZCells\t2000000000\n"))
    assert refusal(tmp_path / "a.ctf").endswith(
        "there are 30 points, expected 60000000000 (2000000000 sections of 5 rows of 6)"
    )


def test_a_pair_that_is_mostly_a_hole_is_refused_by_its_header(tmp_path):
    fields = "".join(f"Field{k}={k + 2}\n" for k in range(1, 10))
    job = "[Job]\nxCells=20000\nyCells=20000\nGridDistX=1\nGridDistY=1\n"
    (tmp_path / "a.cpr").write_text(f"{job}[Fields]\nCount=9\n{fields}")
    with (tmp_path / "a.crc").open("wb") as file:
        file.truncate(25 * 20_000**2)
    assert refusal(tmp_path / "a.crc").startswith("a.cpr: header promises 400000000 points")


@pytest.mark.parametrize("suffix", [".ang", ".ctf", ".cpr"])
def test_texts_that_are_mostly_a_hole_or_too_long_are_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.with_suffix(".crc").touch()
    with path.open("wb") as file:
        file.truncate(TEXT_LIMIT)
    assert refusal(path) == f"a{suffix}: contains NUL bytes, expected a text file"
    with path.open("wb") as file:
        file.truncate(TEXT_LIMIT + 1)
    assert refusal(path).startswith(f"a{suffix}: file has {TEXT_LIMIT + 1} bytes, expected at most {TEXT_LIMIT}")


# --- HDF5: links, raw files, views ---


@pytest.mark.parametrize(
    "place", ["Scan 1/EBSD/Data/Phi1", "Scan 1/EBSD/Data", "Scan 1/EBSD/Header/nRows", "Scan 1/EBSD", "Scan 1"]
)
@pytest.mark.parametrize("other", ["other.h5", "pipe", "/dev/zero", "/etc/hostname", "gone.h5"])
def test_links_to_other_files_are_refused_before_they_are_followed(tmp_path, place, other):
    written(tmp_path / "other.h5").close()
    os.mkfifo(tmp_path / "pipe")
    with written(tmp_path / "a.h5") as file:
        if place in file:
            del file[place]
        file[place] = h5py.ExternalLink(str(tmp_path / other), f"/{place}")
    assert refusal(tmp_path / "a.h5").startswith(
        f"a.h5: {place} is a link to another file, expected data in the file itself"
    )


def test_links_to_other_files_that_the_map_does_not_need_are_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with written(tmp_path / "a.h5") as file:
        for place in ("x", "Scan 1/x", "Scan 1/EBSD/Data/Pattern"):
            file[place] = h5py.ExternalLink(str(tmp_path / "pipe"), "/x")
    assert ebsd.read(tmp_path / "a.h5").indexed.all()


def test_links_to_other_files_behind_links_are_refused(tmp_path):
    written(tmp_path / "other.h5").close()
    with written(tmp_path / "a.h5") as file:
        del file["Scan 1/EBSD/Data/CI"]
        file.create_group("hidden")["out"] = h5py.ExternalLink("other.h5", "/Scan 1")
        file["Scan 1/EBSD/Data/CI"] = h5py.SoftLink("/hidden/out/EBSD/Data/CI")
    assert "is a link to another file" in refusal(tmp_path / "a.h5")


def test_links_in_a_circle_are_refused(tmp_path):
    with written(tmp_path / "a.h5") as file:
        del file["Scan 1/EBSD/Data/CI"]
        file["Scan 1/EBSD/Data/CI"] = h5py.SoftLink("CI")
    assert refusal(tmp_path / "a.h5") == "a.h5: Scan 1/EBSD/Data/CI is a circular link, expected data"


def test_groups_within_themselves_are_visited_once(tmp_path):
    with written(tmp_path / "a.h5") as file:
        for k in range(20):
            file[f"Scan 1/again {k}"] = file["Scan 1"]
            file[f"Scan 1/EBSD/soft {k}"] = h5py.SoftLink("/Scan 1")
    assert ebsd.read(tmp_path / "a.h5").indexed.all()


def test_groups_may_be_nested_deeply(tmp_path):
    with written(tmp_path / "a.h5") as file:
        group = file
        for _ in range(3000):
            group = group.create_group("g")
    assert ebsd.read(tmp_path / "a.h5").indexed.all()


def test_raw_storage_and_virtual_datasets_are_refused(tmp_path):
    (tmp_path / "raw").write_bytes(bytes(4 * SIZE))
    with written(tmp_path / "a.h5") as file:
        data = file["Scan 1/EBSD/Data"]
        del data["CI"]
        data.create_dataset("CI", (SIZE,), "f4", external=[(str(tmp_path / "raw"), 0, 4 * SIZE)])
    expected = "a.h5: Scan 1/EBSD/Data/CI is stored in another file, expected data in the file itself"
    assert refusal(tmp_path / "a.h5") == expected
    written(tmp_path / "other.h5").close()
    for source in ("other.h5", "."):
        with written(tmp_path / "a.h5") as file:
            layout = h5py.VirtualLayout((SIZE,), "f4")
            layout[:] = h5py.VirtualSource(source, "Scan 1/EBSD/Data/IQ", (SIZE,))
            del file["Scan 1/EBSD/Data/CI"]
            file["Scan 1/EBSD/Data"].create_virtual_dataset("CI", layout)
        assert refusal(tmp_path / "a.h5") == expected


# --- HDF5: sizes ---


def huge(file, rows, columns, **options):
    """Put datasets of this many points, none of which is in the file, in the place of all."""
    group = file["Scan 1/EBSD"]
    group["Header/nRows"][...], group["Header/nColumns"][...] = rows, columns
    for name in list(group["Data"]):
        del group["Data"][name]
        group["Data"].create_dataset(name, (rows * columns,), "f8", **options)


@pytest.mark.parametrize("options", [{}, {"chunks": (1 << 16,)}, {"chunks": (1 << 16,), "compression": "gzip"}])
@pytest.mark.parametrize(("rows", "columns"), [(2**20, 2**20), (2**12, 2**13), (2, 3)])
def test_promised_points_that_are_not_in_the_file_are_refused(tmp_path, rows, columns, options):
    if options and rows * columns < 1 << 16:
        options = {**options, "chunks": (4,)}
    with written(tmp_path / "a.h5") as file:
        huge(file, rows, columns, **options)
    assert (tmp_path / "a.h5").stat().st_size < 40_000
    message = refusal(tmp_path / "a.h5")
    if rows * columns > MOST_POINTS:
        assert message.startswith(f"a.h5: Scan 1/EBSD: header promises {rows * columns} points")
    else:
        assert "Scan 1/EBSD/Data/Phi1 has 0 of its" in message


def test_a_dataset_is_as_large_as_the_map(tmp_path):
    """A megabyte of zeros in a thousand bytes, where 30 numbers belong."""
    with written(tmp_path / "a.h5") as file:
        del file["Scan 1/EBSD/Data/CI"]
        file["Scan 1/EBSD/Data"].create_dataset("CI", data=np.zeros(1 << 20), compression="gzip")
    assert refusal(tmp_path / "a.h5") == "a.h5: Scan 1/EBSD/Data/CI has shape (1048576,), expected (30,) numbers"


def test_a_chunk_is_not_much_larger_than_its_dataset(tmp_path):
    with written(tmp_path / "a.h5") as file:
        del file["Scan 1/EBSD/Data/CI"]
        data = file["Scan 1/EBSD/Data"]
        data.create_dataset("CI", (SIZE,), "f4", maxshape=(None,), chunks=(1 << 28,), compression="gzip")
        data["CI"].id.write_direct_chunk((0,), b"x\x9c\x03\x00\x00\x00\x00\x01")
    assert refusal(tmp_path / "a.h5").startswith(
        "a.h5: Scan 1/EBSD/Data/CI has chunks of 1073741824 bytes, expected 120"
    )


def test_a_text_is_short(tmp_path):
    with written(tmp_path / "a.h5") as file:
        del file["Scan 1/EBSD/Header/Grid Type"]
        file["Scan 1/EBSD/Header"].create_dataset("Grid Type", (1,), "S100000000")
    assert refusal(tmp_path / "a.h5").startswith("a.h5: Scan 1/EBSD/Header/Grid Type has 1 entries of 100000000 bytes")


def test_names_with_line_ends_stay_on_one_line(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        edax(file.create_group("a\nb/EBSD"), nRows=np.int32([7]))
    assert refusal(tmp_path / "a.h5").startswith("a.h5: a b/EBSD/Data/Phi1 has 30 entries, expected 42")


# --- damage ---


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, seed):
    """200 files of each kind, a few bytes overwritten, cut off, or put in twice."""
    rng = np.random.default_rng(seed)
    (tmp_path / "s.ctf").write_text(ctf_text(ctf_point))
    written(tmp_path / "s.h5").close()
    sources = [ang(tmp_path / "s.ang", point), tmp_path / "s.ctf", tmp_path / "s.h5"]
    for source in sources:
        sound = source.read_bytes()
        for _ in range(50):
            data = bytearray(sound)
            for _ in range(rng.integers(1, 6)):
                at = int(rng.integers(len(data)))
                kind = rng.integers(4)
                if kind == 0:
                    data[at] = rng.integers(256)
                elif kind == 1:
                    data[at : at + 4] = rng.bytes(4)
                elif kind == 2:
                    data[at:at] = data[at : at + 30]
                else:
                    del data[at : at + int(rng.integers(1, 60))]
            target = tmp_path / f"damaged{source.suffix}"
            target.write_bytes(data)
            try:
                ebsd.read(target, 0)
            except ImageError as error:
                assert len(str(error).splitlines()) == 1


def test_all_of_this_takes_little_memory(tmp_path):
    """Less than 100 MiB above an idle process, most of it h5py."""
    with written(tmp_path / "a.h5") as file:
        huge(file, 2**20, 2**20, chunks=(1 << 16,))
    head = GRID.replace(f": {COLUMNS}\n", ": 1000000000\n").replace(f": {ROWS}\n", ": 1000000000\n")
    ang(tmp_path / "a.ang", point, ONE, head)
    with (tmp_path / "b.ang").open("wb") as file:
        file.truncate(TEXT_LIMIT)
    program = """
        import resource, sys
        from nmcdist.calibration import ebsd
        from nmcdist.errors import ImageError
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in sys.argv[1:]:
            try:
                ebsd.read(path)
            except ImageError as error:
                print(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    paths = [str(tmp_path / name) for name in ("a.h5", "a.ang", "b.ang")]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), *paths], capture_output=True, text=True)
    *messages, grown = done.stdout.splitlines()
    assert [message.split(": ")[0] for message in messages] == paths
    assert int(grown) * (1 if sys.platform != "darwin" else 1 / 1024) < 100_000  # KiB
