import os
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from nmcdist.bundle import load_bundle
from nmcdist.calibration.grains.sections import read_sections
from nmcdist.cli import main
from nmcdist.datasets import open_store
from nmcdist.datasets.integrity import verify
from nmcdist.errors import BundleError, InputError, NmcdistError
from nmcdist.inputs import existing_folder, folder_to_make, local_path, named_path, ordinary_file, read_text
from nmcdist.runs.status import status_of
from tests.conftest import TINY


@pytest.mark.parametrize("url", ["s3://bucket/x", "gs://b/x", "https://host/x.zarr", "file:///tmp/x", "zip::s3://b/x"])
def test_url_is_refused_as_text_and_as_a_path(url):
    for path in (url, Path(url)):
        with pytest.raises(InputError, match="is a URL, expected a path on this machine"):
            local_path(path)


@pytest.mark.parametrize("path", ["data", "a:b", "./s3:/x", "/tmp/x", "C:/data", "run 12:30/x"])
def test_local_paths_pass(path):
    assert local_path(path) == Path(path)


@pytest.mark.parametrize("path", [3, None, b"data", "a\0b", "a\n\nb", np.zeros((3, 3)), xr.Dataset({"a": 1})])
def test_no_path_is_refused(path):
    with pytest.raises(InputError, match="path") as caught:
        local_path(path)
    assert len(str(caught.value).splitlines()) == 1


def test_pipe_folder_device_and_missing_file_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "a named pipe"), (tmp_path, "a folder"), ("/dev/zero", "a device")):
        with pytest.raises(BundleError, match=f"is {what}, expected an ordinary file"):
            ordinary_file(path, BundleError)
    with pytest.raises(BundleError, match="no such file"):
        ordinary_file(tmp_path / "none", BundleError)


def test_text_is_bounded_and_utf_8(tmp_path):
    path = tmp_path / "text.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x")
    assert read_text(path) == "name: x"
    with pytest.raises(InputError, match="has 10 bytes, expected at most 9"):
        read_text(path, limit=9)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a UTF-8 text file"):
        read_text(path)


def test_the_root_has_no_name_and_the_working_folder_has_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named_path(".") == tmp_path
    with pytest.raises(InputError, match="/: is the root of the file system"):
        named_path("/")


class TestWhereAFolderIsExpected:
    """A pipe, a file, a device or a link to nothing in its place is named for what it is, and not waited for."""

    @pytest.fixture(params=["a named pipe", "a file", "a device", "a link to nothing"])
    def found(self, request, tmp_path):
        path = tmp_path / "x"
        {
            "a named pipe": os.mkfifo,
            "a file": Path.touch,
            "a device": lambda path: path.symlink_to("/dev/zero"),
            "a link to nothing": lambda path: path.symlink_to("nowhere"),
        }[request.param](path)
        return path, request.param

    def test_python(self, found):
        path, what = found
        for take in (existing_folder, folder_to_make, read_sections, open_store, verify, load_bundle, status_of):
            with pytest.raises(NmcdistError, match=rf"x: is {what}(, expected a folder)?$"):
                take(path)

    @pytest.mark.parametrize(
        "command",
        [
            "calibrate grains X --out new", "calibrate grains maps --pixel-size-nm 100 --out X",
            "calibrate grains maps --pixel-size-nm 9 --out new --held-out X",
            "calibrate phantom radial --sections 1 --out X", "verify X", "report X", "report tiny.zarr --out X",
            "export X --item 0", "catalog add X", "finalise X", "describe X", "retry-failed X", "bundle show ./X",
            "refine tiny.zarr --with ./X --out fine.zarr",
            "plan tiny.yaml --out X", "run tiny.yaml --out X", "run tiny.yaml --partition 1/2 --out X",
        ],
    )  # fmt: skip
    def test_command_line(self, found, out, command, monkeypatch, capsys):
        path, what = found
        monkeypatch.chdir(out)
        (out / "maps").mkdir()
        np.save(out / "maps" / "labels.npy", np.ones((9, 9), np.int32))
        (out / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "name": "other"}))
        path.rename(out / "X")
        monkeypatch.setattr("sys.argv", ["nmcdist", *command.split()])
        with pytest.raises(SystemExit) as caught:
            main()
        line = capsys.readouterr().err.strip()
        assert caught.value.code == 2
        assert line.startswith("nmcdist: error: ")
        assert re.search(f"X: is ({what}|a link)", line)
        assert "\n" not in line

    def test_a_folder_and_nothing_are_fine(self, tmp_path):
        assert existing_folder(tmp_path) == folder_to_make(tmp_path) == tmp_path
        assert folder_to_make(tmp_path / "new") == tmp_path / "new"
        with pytest.raises(InputError, match="no such folder"):
            existing_folder(tmp_path / "new")


@pytest.mark.parametrize("text", ["user@host:/data", "me@cluster.site.org:x"])
def test_path_on_another_machine_is_refused(text):
    with pytest.raises(InputError, match="is on another machine, expected a path on this one"):
        local_path(text)


def test_empty_path_is_refused():
    with pytest.raises(InputError, match="found an empty text, expected a path"):
        local_path("")
