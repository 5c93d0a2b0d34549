import os
from pathlib import Path

import pytest

from nmcdist.errors import BundleError, InputError
from nmcdist.inputs import local_path, named_path, ordinary_file, read_text


@pytest.mark.parametrize("url", ["s3://bucket/x", "gs://b/x", "https://host/x.zarr", "file:///tmp/x", "zip::s3://b/x"])
def test_url_is_refused_as_text_and_as_a_path(url):
    for path in (url, Path(url)):
        with pytest.raises(InputError, match="is a URL, expected a path on this machine"):
            local_path(path)


@pytest.mark.parametrize("path", ["data", "a:b", "./s3:/x", "/tmp/x", "C:/data", "run 12:30/x"])
def test_local_paths_pass(path):
    assert local_path(path) == Path(path)


@pytest.mark.parametrize("path", [3, None, b"data", "a\0b", "a\n\nb"])
def test_no_path_is_refused(path):
    with pytest.raises(InputError, match="path"):
        local_path(path)


def test_pipe_folder_device_and_missing_file_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "a named pipe"), (tmp_path, "a folder"), ("/dev/zero", "a device")):
        with pytest.raises(BundleError, match=f"is {what}, expected an ordinary file"):
            ordinary_file(path, BundleError)
    with pytest.raises(BundleError, match="there is no such file"):
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
