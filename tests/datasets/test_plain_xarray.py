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
from nmcdist.datasets.integrity import verify
from nmcdist.datasets.store import read_block, read_rows
from nmcdist.descriptors.cba import COORDINATES
from nmcdist.errors import StoreError
from nmcdist.products.attributes import fingerprint
from nmcdist.runs.redescribe import describe_store
from tests.conftest import HERE, explains_itself, make, particle_recipe_with, recipe_with

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


class TestAStoreExplainsItself:
    def test_every_array_of_volumes_has_units_and_a_long_name(self, made_once):
        explains_itself(made_once / "tiny.zarr")

    def test_every_array_of_particles_has_units_and_a_long_name(self, made):
        explains_itself(made)

    @pytest.mark.parametrize("name", ["tiny", "small"])
    def test_every_measured_number_says_how_and_by_which_definition(self, made_once, made, name):
        ds = xr.open_zarr(made if name == "small" else made_once / "tiny.zarr")
        records = {
            "box_nm",
            "reach_nm",
            "first_row",
            "rows",
            "kept_grains",
            "shell_rejections",
            "kept",
            "batch_statistics",
        }
        merged = {"grains_with_pieces", "pieces_merged", "voxels_merged"}
        drawn = {"seed_nm", "diagonal", "offset_nm2", "gamma", "shell_coefficients_nm", "orientation"}
        labels = {"volume", "label", "particle", "labels_200nm", "labels_100nm"}
        for variable in set(map(str, ds.data_vars)) - records - merged - drawn - labels:
            about = ds[variable].attrs
            if not variable.endswith(("_histogram", "_outside", "_moments", "_profile")):
                assert about["estimator"], variable
                assert about["source"], variable

    def test_the_group_tells_what_it_holds(self, made_once, made):
        volumes, particles = xr.open_zarr(made_once / "tiny.zarr").attrs, xr.open_zarr(made).attrs
        assert volumes["summary"].startswith(
            "4 virtual volumes of the binder-conductive additive of a battery cathode, drawn from a stochastic model: "
            "24 x 20 x 28 voxels of 80 nm along z, y, x. The voxels of volume hold phases: 0 pore, "
        )
        assert "5 virtual cathode particles" in particles["summary"]
        assert "Voxels of 200 nm and 100 nm hold the labels" in particles["summary"]
        assert "doi:10.1186/s13362-025-00174-z" in volumes["references"]
        assert "license" not in volumes  # that of a dataset is chosen when it is published
        for attrs in (volumes, particles):
            assert list(attrs)[:2] == ["title", "summary"]
            assert {"Conventions", "source", "how_to_read", "missing_values"} <= set(attrs)

    def test_every_dimension_of_particles_is_explained_or_has_a_coordinate(self, made):
        ds = xr.open_zarr(made)
        known = ds.attrs["dimensions"]
        for dim in map(str, ds.dims):
            ending = f"..._{dim.rpartition('_')[2]}"
            spoken = any(
                dim in ds[name].dims and "centre of voxel k" in ds[name].attrs["description"]
                for name in ("labels_100nm", "labels_200nm")
            )
            assert (
                dim.removesuffix("_index") in ds.coords
                or dim in known
                or ending in known
                or spoken
                or dim in ("outside", "side", "quaternion")
            )

    def test_the_lines_of_the_histogram_give_what_numpy_counts(self, made, tables):
        names = {"ds": xr.open_zarr(made)}
        exec(names["ds"].attrs["histogram_of_grain_volumes"], names)
        volumes = np.concatenate([table.volume_nm3.values for table in tables])
        assert names["counts"].tolist() == np.histogram(volumes, names["edges"])[0].tolist()
        assert names["unit"] == "nm^3"

    def test_the_line_of_the_slice_gives_the_voxels(self, made_once):
        names = {"ds": xr.open_zarr(made_once / "tiny.zarr"), "i": 1}
        exec(names["ds"].attrs["slice_of_item_i"], names)
        np.testing.assert_array_equal(names["image"].values, read_block(made_once / "tiny.zarr", 1)[12])
        assert {"x_nm", "y_nm"} <= set(names["image"].coords)

    def test_the_description_of_the_voxels_places_the_grains(self, made, tables):
        """Voxel centres by the formula in the attributes, against the centre of mass of the largest grain."""
        labels = xr.open_zarr(made).labels_100nm.isel(sample=0).values
        assert "(k + 0.5 - n / 2) * 100 nm" in xr.open_zarr(made).labels_100nm.attrs["description"]
        row = int(np.argmax(tables[0].volume_nm3.values))
        places = np.argwhere(labels == int(tables[0].label[row]))
        np.testing.assert_allclose(
            ((places + 0.5 - np.array(labels.shape) / 2) * 100).mean(axis=0),
            tables[0].centroid_nm[row],
            rtol=1e-4,
            atol=1e-2,
        )

    @pytest.mark.parametrize("changed", ["group", "arrays"])
    def test_resuming_a_store_with_other_texts_renews_the_texts_and_keeps_the_chunks(
        self, tmp_path, made_once, changed
    ):
        with pytest.MonkeyPatch.context() as patch:
            if changed == "group":
                patch.setattr("nmcdist.products.attributes.HOW_TO_READ", "by an earlier version")
            else:
                patch.setattr(
                    "nmcdist.descriptors.labelled.COORDINATES", {name: {"units": "nm"} for name in COORDINATES}
                )
            store = make(tmp_path).store
        before = files_of(store)
        assert before != files_of(made_once / "tiny.zarr")
        result = make(tmp_path, resume=True)
        assert (result.made, result.kept) == (0, 4)
        assert files_of(store) == files_of(made_once / "tiny.zarr")
        assert verify(store) == []
        differing = {name for name, content in files_of(store).items() if content != before[name]}
        assert differing
        assert all(name.endswith("zarr.json") or name == "manifest.json" for name in differing)


def files_of(store):
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}
