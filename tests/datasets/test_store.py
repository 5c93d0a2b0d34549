"""Stores: opened lazily, and what was never written is never read as data."""

import json

import dask.array
import numpy as np
import pytest
import xarray as xr
import zarr

import nmcdist
from nmcdist.bundle import load_bundle
from nmcdist.datasets import open_store
from nmcdist.datasets.store import Rows, read_block
from nmcdist.datasets.writing import create_store, write_block, write_descriptors
from nmcdist.errors import StoreError
from nmcdist.products.volumes.additive import Additive
from nmcdist.products.volumes.layout import store_layout
from tests.conftest import BUNDLE, flip_a_byte, recipe_with


@pytest.fixture
def layout():
    recipe, bundle = recipe_with(), load_bundle(BUNDLE)
    levels = [bundle.with_parameters(**change) for change in Additive().changes(recipe, bundle)]
    return store_layout(Additive(), recipe, bundle, levels, by_blocks=False)


def test_a_store_opens_lazily_along_its_shards(store):
    with open_store(store) as data:
        assert isinstance(data, xr.Dataset)
        assert isinstance(data["volume"].data, dask.array.Array)
        assert data["volume"].shape == (4, 24, 20, 28)
        assert data["volume"].chunks == ((1, 1, 1, 1), (24,), (20,), (28,))
        assert data["volume"].dtype == np.uint8


def test_an_item_in_the_store_is_the_item_drawn_alone(store):
    bundle = load_bundle(BUNDLE)
    with open_store(store) as data:
        item = data.isel(sample=3)
        changed = bundle.with_parameters(lambda_X_per_nm3=float(item["lambda_X_per_nm3"]))
        alone = nmcdist.generate_cba(changed, (24, 20, 28), 80.0, seed=int(item["seed"]), index=int(item["stream"]))
        assert (item["volume"].values == alone).all()


def test_coordinates_say_what_each_item_is(store):
    with open_store(store) as data:
        assert data["level"].values.tolist() == [0, 0, 1, 1]
        assert data["realisation"].values.tolist() == [0, 1, 0, 1]
        assert data["stream"].values.tolist() == [0, 1, 0, 1]
        assert data["graphite_fraction"].values == pytest.approx([0.05, 0.05, 0.15, 0.15])
        assert data["seed"].values.tolist() == [2025] * 4
        assert data["x_nm"].values[:2].tolist() == [40.0, 120.0]
        assert {"level", "seed", "lambda_X_per_nm3", "z_nm"} <= set(data.coords)
        assert data["lambda_X_per_nm3"].attrs["units"] == "nm^-3"


def test_every_descriptor_has_unit_estimator_and_source(store):
    with open_store(store) as data:
        descriptors = set(data.data_vars) - {"volume"}
        assert "volume_fraction" in descriptors
        for name in descriptors:
            assert {"units", "estimator", "source"} <= set(data[name].attrs), name
            assert data[name].dims[0] == "sample"


def test_volume_fractions_in_the_store_are_those_of_its_volumes(store):
    with open_store(store) as data:
        for label, phase in enumerate(["pore", "carbon_binder", "graphite"]):
            found = data["volume_fraction"].sel(phase=phase).values
            assert found == pytest.approx((data["volume"] == label).mean(["z", "y", "x"]).values)


def test_what_was_never_written_reads_as_the_fill_value_and_is_refused(tmp_path, layout):
    create_store(tmp_path / "s", layout)
    data = xr.open_zarr(tmp_path / "s", consolidated=False)
    assert (data["volume"].values == 255).all()
    assert np.isnan(data["volume_fraction"].values).all()
    data.close()
    with pytest.raises(StoreError, match="item 2 is incomplete"):
        read_block(tmp_path / "s", 2)


def test_a_volume_of_one_label_and_missing_descriptors_are_written_all_the_same(tmp_path, layout):
    create_store(tmp_path / "s", layout)
    box = ((0, 24), (0, 20), (0, 28))
    write_block(tmp_path / "s", layout.variable("volume"), 1, box, np.zeros((24, 20, 28), np.uint8))
    values = {v.name: np.full(v.shape[1:], v.fill_value, v.dtype) for v in layout.descriptors}
    write_descriptors(tmp_path / "s", layout.descriptors, 1, values)
    for variable in layout.variables:
        assert all((tmp_path / "s" / name).exists() for name in variable.files(1)), variable.name
        assert not any((tmp_path / "s" / name).exists() for name in variable.files(0)), variable.name


def test_descriptors_of_another_shape_or_name_are_refused(tmp_path, layout):
    create_store(tmp_path / "s", layout)
    values = {v.name: np.zeros(v.shape[1:]) for v in layout.descriptors}
    with pytest.raises(StoreError, match="volume_fraction: found shape \\(2,\\), expected \\(4,\\)"):
        write_descriptors(tmp_path / "s", layout.descriptors, 0, {**values, "volume_fraction": np.zeros(2)})
    with pytest.raises(StoreError, match="differ from the layout in \\['colour'\\]"):
        write_descriptors(tmp_path / "s", layout.descriptors, 0, {**values, "colour": np.zeros(2)})


@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.98])
def test_a_flipped_byte_of_a_shard_is_noticed_by_its_reader(store, place):
    flip_a_byte(store / "volume/c/1/0/0/0", place)
    with pytest.raises(StoreError, match="the volume of item 1 is damaged"):
        read_block(store, 1)


def test_a_store_of_another_format_has_its_own_error(store):
    meta = json.loads((store / "zarr.json").read_text())
    meta["attributes"]["nmcdist_format"] = 7
    (store / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(StoreError, match="found store format 7, expected 1 or 2"):
        open_store(store)


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no such store"):
        open_store(tmp_path / "none")
    (tmp_path / "begun.zarr.wip").mkdir()
    with pytest.raises(StoreError, match=r"begun.zarr: is not finished, expected a whole store; nmcdist run RECIPE"):
        open_store(tmp_path / "begun.zarr")
    with pytest.raises(StoreError, match=r"not a store \(it has no zarr.json\)"):
        open_store(tmp_path)
    (tmp_path / "zarr.json").write_text('{"attributes": {}}')
    with pytest.raises(StoreError, match="not a store of nmcdist"):
        open_store(tmp_path)
    (tmp_path / "zarr.json").write_text('{"attri')
    with pytest.raises(StoreError, match="damaged metadata"):
        open_store(tmp_path)


def test_an_item_that_does_not_exist_is_refused(store):
    with pytest.raises(StoreError, match="item 4 does not exist, expected 0 to 3"):
        read_block(store, 4)


def test_rows_that_are_kept_are_those_of_the_store(tmp_path):
    table = np.arange(22 * 3, dtype=np.float32).reshape(22, 3)
    form = {"chunks": (4, 3), "shards": (8, 3), "dtype": "f4", "dimension_names": ("row", "axis")}
    array = zarr.create_array(tmp_path / "table", shape=table.shape, **form)
    array[:] = table
    rows = Rows(tmp_path, keep=True)
    for start, stop in [(0, 0), (0, 3), (2, 4), (3, 5), (9, 9), (4, 8), (21, 22), (0, 22), (5, 6), (20, 22), (0, 1)]:
        found = rows.read("table", start, stop)
        assert np.array_equal(found, table[start:stop])
        found[:] = -1  # which is the caller's own
    rows = Rows(tmp_path, keep=True)
    rows.read("table", 0, 1)
    (tmp_path / "table/c/0/0").unlink()
    assert np.array_equal(rows.read("table", 1, 3), table[1:3])  # from memory
    rows.read("table", 20, 21)
    with pytest.raises(StoreError, match="is missing"):
        rows.read("table", 1, 3)
