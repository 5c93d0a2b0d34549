"""What a stranger's xarray reads in a store, without this package: refereed by the records of the particles."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nmcdist import open_catalog
from nmcdist.datasets import open_store, read_grains, read_particle
from nmcdist.datasets.store import read_rows
from nmcdist.errors import StoreError
from nmcdist.products.attributes import fingerprint
from nmcdist.runs.redescribe import describe_store
from tests.conftest import HERE, particle_recipe_with, recipe_with

PARTICLES = 5
STRANGER = """
import json, sys, warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", message="Consolidated metadata")
import numpy as np, xarray as xr

ds = xr.open_zarr(sys.argv[1])
owner = ds.particle.compute()
said = {
    "kept": int(ds.kept.astype(int).sum()),
    "rows": int((owner >= 0).sum()),
    "labels": sorted({int(v) for v in ds.label.values[owner.values < 0]}),
    "means": {n: float(ds[n].mean()) for n in ds if ds[n].dims == ("row",) and n not in ("particle", "label", "kept")},
    "sums": {n: float(ds[n].astype("f8").sum()) for n in ("neighbours", "is_surface", "volume_nm3", "pieces")},
    "by particle": ds.neighbours.compute().groupby(owner).mean().sel(particle=range(PARTICLES)).values.tolist(),
    "kept by particle": ds.kept.compute().groupby(owner).sum().sel(particle=range(PARTICLES)).values.tolist(),
    "surface by particle": ds.is_surface.compute().groupby(owner).mean().sel(particle=range(PARTICLES)).values.tolist(),
    "integers": {
        n: [int(v.min()), int(v.max())] for n, v in ds.items() if v.dtype.kind in "iu" and "row" not in v.dims
    },
    "flags": {n: ds[n].attrs["flag_meanings"] for n in ("kept", "is_surface")},
    "instance": ds.particle.attrs["instance_dimension"],
    "cut": [],
}
for i in range(PARTICLES):
    exec(ds.attrs["grains_of_particle_i"])
    said["cut"].append({n: grains[n].values.tolist() for n in ("label", "volume_nm3", "neighbours", "is_surface")})
assert not [name for name in sys.modules if name.startswith("nmcdist")]
print(json.dumps(said))
""".replace("PARTICLES", str(PARTICLES))


@pytest.fixture(scope="module")
def made(made_particles):
    return made_particles / "small.zarr"


@pytest.fixture(scope="module")
def said(made, tmp_path_factory):
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, made], capture_output=True, text=True, check=False,
        cwd=tmp_path_factory.mktemp("elsewhere"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def tables(made):
    return [read_grains(made, item) for item in range(PARTICLES)]


@pytest.fixture(scope="module")
def records(made):
    return [read_particle(made, item) for item in range(PARTICLES)]


def test_flags_add_up_to_the_grains_that_are_kept(said, records):
    assert said["kept"] == sum(int(record.kept.sum()) for record in records)
    assert said["kept by particle"] == [int(record.kept.sum()) for record in records]
    assert said["flags"] == {"kept": "no yes", "is_surface": "no yes"}


def test_rows_without_a_grain_say_so(said, records):
    assert said["rows"] == sum(len(record.kept) for record in records)
    assert said["labels"] == [-1]
    assert said["instance"] == "sample"


def test_sums_and_means_of_every_column_are_those_of_the_grains(said, tables, records):
    measured = {name: np.concatenate([table[name].values for table in tables]) for name in tables[0].data_vars}
    record = {
        "lattice_volume_nm3": np.concatenate([r.volumes_nm3[r.kept] for r in records]),
        "offset_nm2": np.concatenate([r.offsets_nm2 for r in records]),
        "gamma": np.concatenate([r.gammas for r in records]),
    }
    expected = {name: values for name, values in (measured | record).items() if values.ndim == 1}
    assert set(said["means"]) == set(expected)
    for name, mean in said["means"].items():
        assert mean == pytest.approx(np.nanmean(expected[name], dtype=np.float64), rel=1e-5), name
    for name, total in said["sums"].items():
        assert total == pytest.approx(expected[name].sum(dtype=np.float64), rel=1e-6), name


def test_groups_by_particle_are_those_of_its_grains(said, tables):
    assert said["by particle"] == pytest.approx([table.neighbours.values.mean() for table in tables])
    assert said["surface by particle"] == pytest.approx([table.is_surface.values.mean() for table in tables])


def test_the_lines_in_the_store_cut_out_what_read_grains_returns(said, tables, made):
    for cut, table in zip(said["cut"], tables, strict=True):
        assert cut["label"] == table.label.values.tolist()
        for name in ("volume_nm3", "neighbours", "is_surface"):
            assert cut[name] == table[name].values.tolist(), name
    assert [len(cut["label"]) for cut in said["cut"]] == open_store(made).grains.values.tolist()


def test_no_integer_beside_the_tables_holds_a_fill_value(said):
    assert said["integers"]
    assert all(low >= -1 and high < 2**31 for name, (low, high) in said["integers"].items() if "batch_" not in name)


def test_the_docs_show_the_lines_that_are_in_the_store(made):
    lines = xr.open_zarr(made).attrs["grains_of_particle_i"]
    assert lines.count("\n") == 2
    assert f"```python\n{lines}\n```" in (Path(__file__).parents[2] / "docs" / "particle-model.md").read_text()


def test_a_store_without_measured_grains_tells_how_to_cut_them(tmp_path, small_bundle):
    from tests.conftest import make_particles

    recipe = particle_recipe_with(particles={"count": 2, "batch": 2}, descriptors=None, labels={"voxel_sizes_nm": []})
    store = make_particles(tmp_path, small_bundle, recipe=recipe).store
    ds = xr.open_zarr(store)
    names = {"ds": ds, "i": 1}
    exec(ds.attrs["grains_of_particle_i"], names)
    record = read_particle(store, 1)
    assert names["grains"].label.values.tolist() == (np.flatnonzero(record.kept) + 1).tolist()
    assert float(ds.lattice_volume_nm3.isel(row=slice(0, len(ds.row))).sum()) > 0


def test_groups_of_samples_need_no_word_about_chunks(out, store):
    for data in (open_store(store), open_catalog(out / "catalog.yaml")["tiny"].to_dask()):
        with data:
            means = data.volume_fraction.sel(phase="graphite").groupby("lambda_X_per_nm3").mean().values
            expected = data.volume_fraction.sel(phase="graphite").values.reshape(2, 2).mean(axis=1)
            assert means == pytest.approx(expected)
            assert not any(coordinate.chunks for coordinate in data.coords.values())
            assert data.volume.chunks


@pytest.mark.parametrize("name", ["volume", "volume_fraction", "percolates"])
def test_a_missing_file_is_an_error_for_our_readers(out, store, name):
    shutil.rmtree(store / name / "c" / "1")
    for data in (open_store(store), open_catalog(out / "catalog.yaml")["tiny"].to_dask()):
        with data, pytest.raises(StoreError, match=rf"{name}/c/1/.*is missing"):
            data[name].load()
    with pytest.raises(StoreError, match="is missing"):
        read_rows(store, name, 0, 2)


@pytest.mark.parametrize("name", ["kept", "neighbours", "first_row"])
def test_a_missing_table_is_an_error_for_our_readers(made, tmp_path, name):
    store = Path(shutil.copytree(made, tmp_path / "small.zarr"))
    shutil.rmtree(store / name / "c")
    with pytest.raises(StoreError, match="is missing"):
        read_grains(store, 0)
    with open_store(store) as data, pytest.raises(StoreError, match="is missing"):
        data[name].load()


class TestTheFormatBefore:
    """Stores of format 1 had other fill values and no attributes that decode; what they hold is the same."""

    @pytest.fixture
    def old(self, made_particles, tmp_path):
        out = Path(shutil.copytree(made_particles, tmp_path / "out"))
        group = out / "small.zarr" / "zarr.json"
        meta = json.loads(group.read_text())
        meta["attributes"]["nmcdist_format"] = 1
        group.write_text(json.dumps(meta))
        return out / "small.zarr"

    def test_it_opens(self, old, made):
        assert open_store(old).sizes == open_store(made).sizes
        xr.testing.assert_identical(read_grains(old, 1), read_grains(made, 1))

    def test_describe_makes_the_present_one_of_it(self, old, small_bundle):
        assert describe_store(old, HERE).failed == {}
        assert xr.open_zarr(old).attrs["nmcdist_format"] == 2

    def test_another_format_has_another_fingerprint(self, monkeypatch):
        before = fingerprint(recipe_with(), "0")
        monkeypatch.setattr("nmcdist.products.attributes.FORMAT_VERSION", 1)
        assert fingerprint(recipe_with(), "0") != before
