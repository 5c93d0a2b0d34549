"""The table of export formats: what follows from it, and that one entry adds a format everywhere."""

import re
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from nmcdist.cli import cli
from nmcdist.datasets import read_particle
from nmcdist.datasets.export import formats
from nmcdist.datasets.export.content import LABELS
from nmcdist.datasets.export.formats import FORMATS, Format
from nmcdist.datasets.store import read_block
from nmcdist.errors import InputError
from nmcdist.products.stores import export_item

ROOT = Path(__file__).parents[3]


@pytest.fixture
def raw(monkeypatch):
    """One more entry: bare bytes."""
    row = Format("raw", ".raw", "bare bytes", LABELS, lambda path, voxels, about: path.write_bytes(voxels.labels))
    monkeypatch.setitem(FORMATS, row.name, row)


def test_one_entry_adds_a_format_of_volumes_and_particles(raw, made_once, made_particles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = export_item(made_once / "tiny.zarr", 1, "raw")
    assert path.name == "tiny-00001.raw"
    labels = read_block(made_once / "tiny.zarr", 1)
    assert (np.fromfile(path, np.uint8).reshape(labels.shape) == labels).all()
    path = export_item(made_particles / "small.zarr", 0, "raw", voxel_size_nm=80.0)
    expected = read_particle(made_particles / "small.zarr", 0).voxelize(80.0)
    assert (np.fromfile(path, np.int32).reshape(expected.shape) == expected).all()


def test_one_entry_adds_a_format_to_help_options_and_errors(raw, made_once):
    assert re.search(r"Labels: tiff, vtk, npy,\s+ome-zarr,\s+damask,\s+tesr,\s+raw\.", help_of_export())
    with pytest.raises(InputError, match=r"expected one of tiff, vtk, npy, .*, raw$"):
        export_item(made_once / "tiny.zarr", 0, "gif")
    with pytest.raises(InputError, match=r"label: found 1 with format raw, expected with one of stl, ply$"):
        export_item(made_once / "tiny.zarr", 0, "raw", label=1)
    assert (
        "| `raw` | `.raw` | labels | bare bytes | `--mirror`, `--grains`, `--radius-below-nm`, `--voxel-size-nm`, "
        "`--unit` |" in formats.markdown_table().splitlines()
    )


def test_help_lists_every_format_once(monkeypatch):
    words = re.findall(r"[a-z]+(?:-[a-z]+)*", re.sub(r"-\s+", "-", help_of_export().partition("--out")[0]))
    assert {name: words.count(name) for name in FORMATS if name != "tiff"} == dict.fromkeys(set(FORMATS) - {"tiff"}, 1)
    assert words.count("tiff") == 2  # it is the default, too


def test_the_page_on_formats_is_the_table():
    page = (ROOT / "docs/export-formats.md").read_text(encoding="utf-8")
    assert formats.markdown_table() in page


@pytest.mark.parametrize("name", ["mphtxt", "mphbin"])
def test_comsol_s_own_formats_point_to_the_one_that_it_imports(made_once, tmp_path, name):
    line = rf"^format: found '{name}'; COMSOL's own format is not written: COMSOL imports bdf, as a NASTRAN file$"
    with pytest.raises(InputError, match=line):
        export_item(made_once / "tiny.zarr", 0, name, tmp_path / "a")


def test_suffixes_differ():
    assert len({row.suffix for row in FORMATS.values()}) == len(FORMATS)


def help_of_export():
    result = CliRunner().invoke(cli, ["export", "--help"])
    assert result.exit_code == 0
    return click.unstyle(result.output)
