"""Columns, pages and histograms of stores, refereed by plain xarray and NumPy."""

import json
import os
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import nmcdist
from nmcdist.datasets.integrity import manifest_hash, write_manifest
from nmcdist.errors import CatalogError, InputError, QueryError, StoreError
from nmcdist.queries.cache import ColumnFiles
from nmcdist.queries.columns import Columns
from nmcdist.queries.histograms import Binned
from tests.conftest import flip_a_byte


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def volumes(made_once):
    return made_once / "tiny.zarr"


@pytest.fixture
def particles(made_particles):
    return made_particles / "small.zarr"


def plain(store):
    with xr.open_zarr(store) as data:
        return data.load()


def test_every_number_of_the_items_is_a_column_with_the_values_of_the_store(volumes, particles):
    for store in (volumes, particles):
        data, columns = plain(store), Columns.of(store)
        expected = {}
        numbers = xr.Variable("sample", np.arange(data.sizes["sample"]), {"units": "1"})
        for name, values in {**data.variables, "sample": numbers}.items():
            dims = [dim.removesuffix("_index") for dim in values.dims[1:]]
            if (
                values.dims[:1] == ("sample",)
                and values.dtype.kind in "fiub"
                and all(d in data.coords and data[d].dtype.kind not in "fiu" for d in dims)
            ):
                for index in np.ndindex(values.shape[1:]):
                    labels = [str(data[d].values[k]) for d, k in zip(dims, index, strict=True)]
                    expected[".".join([str(name), *labels])] = values.values[(slice(None), *index)]
        assert set(columns.names) == set(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(columns.values(name), values.astype(float), strict=True)
            assert (
                columns.about[name].unit
                == (numbers if name == "sample" else data[name.partition(".")[0]]).attrs["units"]
            )
    assert {"percolates.pore.z", "volume_fraction.solid", "graphite_fraction", "seed"} <= set(Columns.of(volumes).names)


def test_a_query_gives_what_xarray_gives(volumes, particles):
    data = plain(volumes)
    found = nmcdist.query(volumes, "volume_fraction[graphite] > 0.1 and not constrictivity.pore.z > 0.5")
    keep = (data.volume_fraction.sel(phase="graphite") > 0.1) & ~(data.constrictivity.sel(phase="pore", axis="z") > 0.5)
    assert found.sample.values.tolist() == np.flatnonzero(keep).tolist()
    assert list(found.data_vars) == ["volume_fraction.graphite", "constrictivity.pore.z"]
    assert found.attrs["matches"] == int(keep.sum())
    data = plain(particles)
    middle = float(data.shell_d_max_nm.median())
    found = nmcdist.query(particles, f"d_max_nm > {middle} and sphericity < 2", columns="grains, d_max_nm")
    assert found.sample.values.tolist() == np.flatnonzero(data.shell_d_max_nm > middle).tolist()
    assert found["grains"].values.tolist() == data.grains[data.shell_d_max_nm > middle].values.tolist()
    assert found["shell_d_max_nm"].attrs == {"units": "nm", "long_name": "largest diameter"}


def test_pages_put_together_are_the_whole(particles):
    columns = Columns.of(particles)
    whole, pages, after = columns.items("sample != 2").tolist(), [], None
    while len(page := columns.items("sample != 2", after=after, limit=2)):
        pages += page.tolist()
        after = page[-1]
    assert pages == whole == [0, 1, 3, 4]
    assert columns.items("", after=-5).tolist() == columns.items("", after=-1).tolist() == [0, 1, 2, 3, 4]
    assert columns.items("1 > 2").tolist() == columns.items("", after=10**30).tolist() == []
    assert Columns.of(particles).mask("1 < 2").tolist() == [True] * 5


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("dmax_nm > 1", "query: no column 'dmax_nm'; did you mean d_max_nm?"),
        ("D_MAX_NM > 1", "query: no column 'D_MAX_NM'; did you mean d_max_nm?"),
        ("shel_sphericity > 1", "did you mean shell_sphericity?"),
        ("box_nm > 1", "query: no column 'box_nm'"),
        ("volume_fraction > 1", "query: no column 'volume_fraction'"),
        ("x" * 1000 + " > 1", "query: no column 'xxx"),
    ],
)
def test_an_unknown_column_gets_a_proposal(particles, where, message):
    with pytest.raises(QueryError) as refused:
        Columns.of(particles).mask(where)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_column_without_its_label_gets_the_labels(volumes):
    labels = "volume_fraction.pore, volume_fraction.carbon_binder, volume_fraction.graphite, volume_fraction.solid"
    with pytest.raises(QueryError, match=f"column 'volume_fraction': found no label, expected one of {labels}"):
        nmcdist.query(volumes, "volume_fraction > 0.1")
    with pytest.raises(QueryError, match=r"no column 'volume_fraction.por'; did you mean volume_fraction.pore\?"):
        nmcdist.query(volumes, "volume_fraction[por] > 0.1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit: found 0, expected 1 or more"),
        ({"limit": 1.5}, "limit: found 1.5, expected a whole number"),
        ({"after": "3"}, "after: found '3', expected a whole number"),
        ({"columns": "grainz"}, "columns: no column 'grainz'; did you mean grains"),
        ({"columns": 5}, "columns: found 5, expected names"),
    ],
)
def test_wrong_arguments_are_refused(particles, options, message):
    with pytest.raises(InputError, match=message):
        nmcdist.query(particles, "", **options)


class TestTheCache:
    def test_a_second_query_reads_no_chunk(self, out, store, cache):
        before = nmcdist.query(store, "volume_fraction.pore > 0.5")
        assert [path.name for path in cache.rglob("*.npy")] == ["volume_fraction.npy"]
        shutil.rmtree(store / "volume_fraction" / "c")
        xr.testing.assert_identical(nmcdist.query(store, "volume_fraction.pore > 0.5"), before)
        with pytest.raises(StoreError, match="is missing"):
            shutil.rmtree(cache / "nmcdist")
            nmcdist.query(store, "volume_fraction.pore > 0.5")

    def test_another_store_at_the_same_place_has_its_own(self, store):
        before = nmcdist.query(store, "volume_fraction.pore > 0").load()
        array = zarr.open_array(store / "volume_fraction", mode="r+")
        array[...] = array[...] / 2
        write_manifest(store, {})
        after = nmcdist.query(store, "volume_fraction.pore > 0")
        np.testing.assert_array_equal(after["volume_fraction.pore"], before["volume_fraction.pore"] / 2)

    @pytest.mark.parametrize("harm", ["cut", "empty", "other shape", "objects"])
    def test_a_file_that_is_not_whole_is_made_again(self, store, cache, harm):
        before = nmcdist.query(store, "volume_fraction.pore > 0.5")
        (file,) = cache.rglob("*.npy")
        if harm == "cut":
            file.write_bytes(file.read_bytes()[:-8])
        elif harm == "empty":
            file.write_bytes(b"")
        else:
            np.save(file, np.zeros((1, 4)) if harm == "other shape" else np.array([[{}] * 4] * 4), allow_pickle=True)
        xr.testing.assert_identical(nmcdist.query(store, "volume_fraction.pore > 0.5"), before)
        assert np.load(file).shape == (4, 4)

    def test_without_a_folder_that_can_be_written_queries_work(self, store, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert nmcdist.query(store, "volume_fraction.pore > 0").sizes["sample"] == 4

    def test_columns_cannot_be_changed_by_a_reader(self, store):
        for _ in range(2):
            with pytest.raises(ValueError, match="read-only"):
                Columns.of(store).values("volume_fraction.pore")[0] = 1


def test_whole_numbers_that_float64_lacks_are_refused(store):
    array = zarr.open_array(store / "seed", mode="r+")
    array[...] = np.array([2**60 + k for k in range(4)], np.uint64)
    write_manifest(store, {})
    with pytest.raises(QueryError, match="column seed: holds whole numbers beyond 2\\^53"):
        nmcdist.query(store, "seed == 1152921504606846976")


def test_numbers_marked_as_missing_are_missing(store):
    file = store / "level" / "zarr.json"
    for path in (file, store / "zarr.json"):
        content = json.loads(path.read_text())
        (content if path == file else content["consolidated_metadata"]["metadata"]["level"])["attributes"] |= {
            "_FillValue": 1
        }
        path.write_text(json.dumps(content))
    write_manifest(store, {})
    assert np.isnan(xr.open_zarr(store).level.values[2:]).all()
    assert Columns.of(store).items("level >= 0").tolist() == [0, 1]


def test_a_damaged_chunk_is_an_error(store):
    flip_a_byte(store / "volume_fraction" / "c" / "1" / "0")
    with pytest.raises(StoreError, match="volume_fraction"):
        nmcdist.query(store, "volume_fraction.pore > 0")


def test_datasets_are_found_by_name_and_by_folder(out, store, monkeypatch, tmp_path):
    there = nmcdist.query(store, "level == 1")
    assert nmcdist.query("tiny", "level == 1", catalog=out / "catalog.yaml").sample.values.tolist() == [2, 3]
    monkeypatch.chdir(out)
    assert nmcdist.query("tiny", "level == 1").equals(there)
    assert nmcdist.query("tiny.zarr", "level == 1").equals(there)
    with pytest.raises(CatalogError, match="no dataset 'small'"):
        nmcdist.query("small", "level == 1")
    with pytest.raises(StoreError, match="no such store"):
        nmcdist.query("./small.zarr", "level == 1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NMCDIST_CATALOG", raising=False)
    with pytest.raises(CatalogError, match="graphite-sweep-small: not made; make it with"):
        nmcdist.query("graphite-sweep-small", "level == 1")


def test_a_store_that_was_never_finished_or_computes_is_refused(store):
    (store / "virtual.json").write_text("{}")
    with pytest.raises(StoreError, match="computes its items"):
        nmcdist.query(store, "level == 1")
    (store / "virtual.json").unlink()
    (store / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"manifest.json: cannot be read"):
        nmcdist.query(store, "level == 1")


finite = st.floats(-1e308, 1e308)


@settings(max_examples=200, deadline=None)
@given(
    arrays_of.arrays(np.float64, st.integers(0, 40), elements=finite | st.sampled_from([np.nan, np.inf, 0.1, 0.3])),
    st.integers(1, 200),
    st.data(),
)
def test_histograms_are_those_of_numpy(values, bins, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))), bool)
    binned = Binned.of(values, bins)
    counts = binned.counts(mask)
    chosen = values[mask]
    assert (np.diff(binned.edges) >= 0).all()
    expected = np.histogram(chosen[np.isfinite(chosen)], binned.edges)[0]
    assert counts[:-1].sum() == expected.sum()
    if (np.diff(binned.edges) > 0).all():
        assert counts[:-1].tolist() == expected.tolist()
    assert counts[-1] == np.count_nonzero(~np.isfinite(chosen))


def test_histograms_under_a_filter(particles):
    data, columns = plain(particles), Columns.of(particles)
    one, two = columns.histograms("sample > 1", ["d_max_nm", "grains"], bins=7)
    values = data.shell_d_max_nm.values
    expected, edges = np.histogram(values[2:], 7, (values.min(), values.max()))
    assert (one.name, one.unit, one.missing) == ("shell_d_max_nm", "nm", 0)
    np.testing.assert_array_equal(one.counts, expected)
    np.testing.assert_allclose(one.edges, edges, rtol=1e-15)
    assert two.counts.sum() == 3
    for bins in (0, 201, 1.5, True):
        with pytest.raises(QueryError, match="bins: found"):
            columns.histograms("", ["grains"], bins)


def test_the_name_of_the_cache_is_that_of_the_manifest(store, cache):
    nmcdist.query(store, "level == 1")
    assert [path.parent.name for path in cache.rglob("*.npy")] == [manifest_hash(store)]


def aged(path, age):
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_the_columns_used_longest_ago_make_room(tmp_path):
    root, column = tmp_path / "cache", np.arange(1000.0).reshape(1, 1000)
    size, first, second = column.nbytes + 128, root / ("a" * 64), root / ("b" * 64)
    for name, age in (("old", 3), ("used", 4), ("new", 2)):
        ColumnFiles(first).put(name, column)
        aged(first / f"{name}.npy", age)
    mapped = ColumnFiles(first).get("used", column.shape)  # is the one used last from now on
    ColumnFiles(second, 3 * size).put("next", column)
    assert sorted(path.name for path in root.rglob("*.npy")) == ["new.npy", "next.npy", "used.npy"]
    ColumnFiles(second, 2 * size).put("last", column)
    assert sorted(path.name for path in root.rglob("*.npy")) == ["last.npy", "next.npy"]
    assert not first.exists()  # empty
    np.testing.assert_array_equal(mapped, column)  # a removed file stays as long as it is mapped
