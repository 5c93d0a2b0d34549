"""`nmcdist query`: what it prints and writes is what `nmcdist.query` returns."""

import csv
import shutil
import sys

import numpy as np
import pytest
import yaml

import nmcdist
from nmcdist.cli import main


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def call(capsys, monkeypatch, made_particles):
    def run(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["nmcdist", "query", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == status, said.err
        return said

    return run


def test_it_prints_a_page_and_the_way_to_the_next(call, made_particles):
    store = made_particles / "small.zarr"
    said = call(store, "sphericity > 0 and grains > 0", "--limit", 2)
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["sample", "shell_sphericity", "grains"]
    assert [line[0] for line in lines[1:]] == ["0", "1"]
    assert said.err == "2 of 5 matching items; next page: --after 1\n"
    assert call(store, "sphericity > 0", "--limit", 5).err == "5 of 5 matching items\n"  # there is no next page
    said = call(store, "sphericity > 0", "--after", 3, "--catalog", made_particles / "catalog.yaml")
    assert said.err == "1 of 5 matching items\n"
    said = call("smaal", "sphericity > 0", "--catalog", made_particles / "catalog.yaml", status=2)
    assert "no dataset 'smaal'" in said.err
    assert "--catalog (catalog= in Python) names another catalog" in call("smaal", "sphericity > 0", status=2).err
    said = call("small", "sphericity > 0", "--after", 3, "--catalog", made_particles / "catalog.yaml")
    assert said.out.split()[2] == "4"
    assert said.err == "1 of 5 matching items\n"
    assert call(store, "sphericity > 2").err == "0 of 0 matching items\n"


def test_the_file_holds_all_digits(call, made_particles, tmp_path):
    store, file = made_particles / "small.zarr", tmp_path / "found.csv"
    assert call(store, "grains > 0", "--columns", "d_max_nm,grains", "--csv", file).out.strip() == str(file)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    found = nmcdist.query(store, "grains > 0", columns=["d_max_nm", "grains"])
    assert [int(row["sample"]) for row in rows] == found.sample.values.tolist()
    np.testing.assert_array_equal([float(row["shell_d_max_nm"]) for row in rows], found.shell_d_max_nm)
    assert [row["grains"] for row in rows] == [str(int(n)) for n in found.grains]
    before = file.read_bytes()
    assert "found.csv: exists; name another file" in call(store, "grains > 0", "--csv", file, status=2).err
    assert file.read_bytes() == before


def test_a_hyphen_writes_the_lines_to_standard_output(call, made_particles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = made_particles / "small.zarr"
    said = call(store, "grains > 0", "--columns", "d_max_nm,grains", "--csv", "-")
    call(store, "grains > 0", "--columns", "d_max_nm,grains", "--csv", "found.csv")
    assert said.out == (tmp_path / "found.csv").read_text()
    assert said.err == "5 of 5 matching items\n"
    assert [path.name for path in tmp_path.glob("*") if path.is_file()] == ["found.csv"]


def test_without_a_condition_it_lists_the_columns(call, made_once):
    lines = call(made_once / "tiny.zarr").out.splitlines()
    names = {line.split()[0] for line in lines}
    assert names == {*map(str, nmcdist.query(made_once / "tiny.zarr").data_vars), "sample"}
    assert any(line.startswith("r_max_nm.pore ") and line.endswith(": pore (nm)") for line in lines)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("sphericity >", "query: character 13: found the end, expected a column or a number"),
        ("spericity > 1", "query: no column 'spericity'; did you mean sphericity?"),
        ("a\n> 1\n\n\x1b[2J", "query: character 8: found '\\x1b[', expected"),
    ],
)
def test_a_wrong_condition_is_refused_in_one_line(call, made_particles, where, message):
    said = call(made_particles / "small.zarr", where, status=2)
    assert said.err.startswith(f"nmcdist: error: {message}")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_the_folder_of_a_release_is_its_store(call, made_particles, tmp_path):
    release = tmp_path / "1.0.0"
    shutil.copytree(made_particles / "small.zarr", release / "small.zarr")
    (release / "release.json").write_text('{"store": "small.zarr"}')
    expected = nmcdist.open_store(made_particles / "small.zarr")
    assert nmcdist.open_store(release).identical(expected)
    assert call(release, "grains > 0").out == call(made_particles / "small.zarr", "grains > 0").out
    (release / "release.json").write_text('{"store": "../small.zarr"}')
    assert "expected the name of a folder beside it" in call(release, "grains > 0", status=2).err


def test_a_store_that_the_catalog_does_not_record_is_refused(call, made_particles, tmp_path):
    shutil.copytree(made_particles / "small.zarr", tmp_path / "small.zarr")
    content = yaml.safe_load((made_particles / "catalog.yaml").read_text())
    content["entries"]["small"]["metadata"]["manifest_sha256"] = "0" * 64
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump(content))
    said = call("small", "grains > 0", "--catalog", tmp_path, status=2)
    assert "manifest.json has the SHA-256" in said.err
    assert said.err.endswith(f"expected {'0' * 64}, as the catalog records\n")
