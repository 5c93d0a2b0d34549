"""The command line where its streams are closed, full or broken: a run goes on, and no traceback is printed."""

import subprocess
import sys

import pytest
import yaml

from nmcdist.datasets.integrity import verify
from tests.conftest import TINY, store_sha256

NMCDIST = [sys.executable, "-m", "nmcdist.cli"]


def shell(redirect, *arguments, cwd=None):
    """Run the command line with redirected streams."""
    words = " ".join(f"'{word}'" for word in (*NMCDIST, *arguments))
    return subprocess.run(
        ["bash", "-c", f"{words} {redirect}"], capture_output=True, text=True, timeout=240, check=False, cwd=cwd
    )


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return str(path)


@pytest.mark.parametrize(
    ("workers", "redirect"),
    [("0", "2>&-"), ("0", "2> >(true)"), ("1", "2>&-"), ("1", "2>/dev/full"), ("1", "<&- >&- 2>&-")],
)
def test_a_run_goes_on_without_its_progress(recipe, tmp_path, made_once, redirect, workers):
    done = shell(redirect, "run", recipe, "--out", str(tmp_path / "out"), "--workers", workers, "--memory", "2GiB")
    assert (done.returncode, done.stderr) == (0, "")
    assert verify(tmp_path / "out/tiny.zarr") == []
    assert store_sha256(tmp_path / "out/tiny.zarr") == store_sha256(made_once / "tiny.zarr")


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full", ">&- 2>&-"])
@pytest.mark.parametrize("arguments", [("bundle", "show", "nobody"), ("bundle", "fly"), ("verify", "nowhere.zarr")])
def test_an_error_that_cannot_be_said_is_still_the_exit_status(redirect, arguments):
    done = shell(redirect, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize("arguments", [("bundle", "list"), ("bundle", "show", "cba-cathode-2025"), ("--help",)])
def test_an_answer_that_cannot_be_written_is_an_error_in_one_line(arguments):
    done = shell(">/dev/full", *arguments)
    assert (done.returncode, done.stderr) == (2, "nmcdist: error: standard output: No space left on device\n")


def test_a_reader_that_leaves_early_is_no_traceback():
    done = shell("| true", "bundle", "show", "cba-cathode-2025")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("redirect", [">&-", "<&-", ">&- 2>&-"])
def test_a_file_never_gets_the_place_of_a_closed_stream(redirect, tmp_path):
    code = (
        "import os, sys, subprocess; from nmcdist.cli import entry; entry._open_standard_streams(); "
        "print('hello'); f = open(sys.argv[1], 'w'); assert f.fileno() > 2, f.fileno(); f.close(); "
        "subprocess.run([sys.executable, '-c', 'open(3 - 1, closefd=False); open(1, closefd=False)'], check=True)"
    )
    command = f"'{sys.executable}' -c \"{code}\" {tmp_path / 'file'} {redirect}"
    assert subprocess.run(["bash", "-c", command], timeout=60, check=False).returncode == 0
    assert (tmp_path / "file").read_text() == ""
