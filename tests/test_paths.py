"""Paths: URLs are none, wherever one is taken, and no folder `s3:` is made; pipes and devices are not waited for."""

import os

import click
import numpy as np
import pytest

import nmcdist
from nmcdist import cli
from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.cli.options import PATH
from nmcdist.clusters.deployment import load_deployment
from nmcdist.datasets import export_labels, open_store, read_grains, read_particle, verify
from nmcdist.datasets.catalog import add_entry
from nmcdist.errors import NmcdistError
from nmcdist.faults import load_checked
from nmcdist.learning.refine.recipe import SuperresRecipe
from nmcdist.products.registry import load_recipe, make_plan
from nmcdist.products.stores import build_report, export_item
from nmcdist.runs.partition import finalise_store, retry_failed, run_part
from nmcdist.runs.redescribe import describe_store
from nmcdist.runs.refine import refine
from nmcdist.runs.run import run_recipe
from nmcdist.runs.status import status_of
from tests.conftest import BUNDLE, HERE, recipe_with

URLS = ("s3://bucket/x", "https://example.org/x", "memory://x")


def path_parameters(command=cli.cli, path=("nmcdist",)):
    """Every parameter of every command that takes a path."""
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from path_parameters(child, (*path, name))
    else:
        for parameter in command.params:
            if isinstance(parameter.type, click.Path | type(PATH)):
                yield pytest.param(parameter, id=" ".join((*path[1:], parameter.name)))


@pytest.mark.parametrize("parameter", list(path_parameters()))
@pytest.mark.parametrize("url", URLS)
def test_every_path_of_the_command_line(parameter, url):
    with pytest.raises(NmcdistError, match="is a URL, expected a path on this machine") as caught:
        parameter.type_cast_value(click.Context(cli.cli), (url,) if parameter.nargs == -1 else url)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("command", [("run", "--out"), ("plan", "--out")])
def test_run_to_a_bucket_makes_no_folder(tmp_path, monkeypatch, command, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["nmcdist", command[0], "recipe.yaml", command[1], "s3://bucket/x"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "nmcdist: error: s3://bucket/x: is a URL, expected a path on this machine (a mounted folder works)\n"
    )
    assert list(tmp_path.iterdir()) == []


CALLS = {
    "load_recipe": load_recipe,
    "load_bundle": load_bundle,
    "load_deployment": load_deployment,
    "save_bundle": lambda url: save_bundle(load_bundle(BUNDLE), url),
    "run_recipe": lambda url: run_recipe(recipe_with(), load_bundle(BUNDLE), url, HERE),
    "run_part": lambda url: run_part(recipe_with(), load_bundle(BUNDLE), url, (1, 2), HERE),
    "make_plan": lambda url: make_plan(recipe_with(), load_bundle(BUNDLE), url, HERE),
    "finalise_store": finalise_store,
    "retry_failed": lambda url: retry_failed(url, HERE),
    "describe_store": lambda url: describe_store(url, HERE),
    "status_of": status_of,
    "verify": verify,
    "open_store": open_store,
    "read_particle": lambda url: read_particle(url, 0),
    "read_grains": lambda url: read_grains(url, 0),
    "open_catalog": nmcdist.open_catalog,
    "add_entry": lambda url: add_entry(url, url),
    "export_item": lambda url: export_item(url, 0, "npy"),
    "export_labels": lambda url: export_labels(np.ones((2, 2, 2), np.int32), 50.0, (0.0,) * 3, "npy", url),
    "build_report": build_report,
    "load_checked": lambda url: load_checked(url, SuperresRecipe),
    "refine": lambda url: refine(url, "superres-cba-20nm", "fine.zarr", HERE),
    "refine with": lambda url: refine("data", url, "fine.zarr", HERE),
    "refine to": lambda url: refine("data", "superres-cba-20nm", url, HERE),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_function_that_takes_a_path(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    for url in URLS:
        with pytest.raises(NmcdistError, match="is a URL, expected a path on this machine"):
            call(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["load_recipe", "load_deployment", "open_catalog", "load_bundle"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipe_or_device_is_not_waited_for(tmp_path, name, kind):
    path = tmp_path / "bundle.json"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(NmcdistError) as caught:
        CALLS[name](path)
    assert len(str(caught.value).splitlines()) == 1


def test_catalog_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NMCDIST_CATALOG", "https://example.org/catalog.yaml")
    with pytest.raises(NmcdistError, match="is a URL"):
        nmcdist.open_catalog()


def test_sections():
    from nmcdist.calibration.grains.sections import read_section, read_sections

    for call in (read_section, read_sections):
        with pytest.raises(NmcdistError, match="is a URL"):
            call("s3://bucket/x")


def test_bundle_that_a_recipe_names(tmp_path):
    from nmcdist.products.registry import recipe_bundle

    with pytest.raises(NmcdistError, match="is a URL"):
        recipe_bundle(recipe_with(bundle="s3://bucket/bundle"), tmp_path)
