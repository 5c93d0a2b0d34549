"""The log: silent unless it is asked for, by the option or by the environment, in this process and on workers."""

import os
import subprocess
import sys

import pytest
import yaml

from nmcdist.errors import InputError
from nmcdist.log import log_to_stderr
from tests.conftest import recipe_with


@pytest.fixture
def run(tmp_path):
    def call(*arguments, log=None, workers=0):
        content = recipe_with(descriptors=None).content
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
        environment = {**os.environ, **({"NMCDIST_LOG": log} if log else {})}
        command = [sys.executable, "-m", "nmcdist.cli", *arguments, "run", "tiny.yaml", "--workers", str(workers)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    return call


def test_it_is_silent_by_default(run):
    assert " INFO: " not in run()


@pytest.mark.parametrize("how", [{}, {"log": "info"}])
def test_it_says_what_is_done(run, how):
    text = run(*(() if how else ("--verbose",)), **how)
    assert "nmcdist INFO: planned 4 tasks of 24 x 20 x 28 voxels" in text
    assert "4 of 4 tasks to do, on local" in text
    assert text.count(": done after ") == 4
    assert "sealed, manifest " in text
    assert "distributed" not in text


def test_workers_log_too_and_dask_where_it_is_asked_for(run):
    text = run("-vv", workers=1)
    assert text.count(": done after ") == 4
    assert "distributed.scheduler INFO: " in text


def test_a_level_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("NMCDIST_LOG", "nonsense")
    with pytest.raises(InputError, match=r"^NMCDIST_LOG: found 'nonsense', expected info or debug$"):
        log_to_stderr()
