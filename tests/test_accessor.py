"""The accessor of datasets: refereed by the readers of stores, by drawing again, and by xarray itself."""

import dataclasses
import subprocess
import sys
import warnings

import numpy as np
import pytest
import xarray as xr

import nmcdist
from nmcdist import extras
from nmcdist.bundle import load_bundle
from nmcdist.datasets import open_catalog, read_grains, read_particle
from nmcdist.datasets.store import open_store, read_block
from nmcdist.errors import InputError, MissingPackageError, QueryError, StoreError
from nmcdist.models.particle import generate_particle
from nmcdist.products.registry import parsed_recipe
from nmcdist.report.style import CARBON_BINDER, GRAPHITE
from nmcdist.virtual import freeze
from tests.conftest import SMALL, TINY

MINE = xr.Dataset({"mine": ("sample", np.arange(5.0))})
RGB = {0: "#FFFFFF", 1: CARBON_BINDER, 2: GRAPHITE}


def plain(store, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        return xr.open_zarr(store, **options)


@pytest.fixture(scope="module")
def particles(made_particles):
    return made_particles / "small.zarr"


@pytest.fixture(scope="module")
def volumes(made_once):
    return made_once / "tiny.zarr"


@pytest.fixture(scope="module")
def opened(particles):
    return open_store(particles)


@pytest.fixture(scope="module")
def sweep(volumes):
    return open_store(volumes)


def assert_same(found, expected):
    assert type(found) is type(expected)
    for field in dataclasses.fields(expected):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        assert type(a) is type(b), field.name
        if isinstance(b, np.ndarray):
            assert a.dtype == b.dtype, field.name
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        else:
            assert a == b, field.name


# Items, however the dataset was opened


@pytest.mark.parametrize(
    "way",
    [open_store,
     plain,
     lambda path: plain(path, chunks=None),
     lambda path: plain(path, mask_and_scale=False),
     lambda path: plain(path, chunks=None).load(),
     lambda path: open_catalog(path.parent)["small"].to_dask(),
     lambda path: open_store(path).transpose(),
     lambda path: open_store(path).rename(shell_volume_nm3="size"),
     lambda path: xr.merge([open_store(path), MINE], combine_attrs="override")],
    ids=["open_store", "plain", "no Dask", "not decoded", "in memory", "catalog", "transposed", "renamed", "merged"],
)  # fmt: skip
def test_a_particle_is_the_stored_one(particles, way):
    data = way(particles)
    for item in (0, 3, 4):
        assert_same(data.nmc.particle(item), read_particle(particles, item))


def test_the_grains_are_those_of_the_store(particles, opened):
    for data in (opened, plain(particles), plain(particles, mask_and_scale=False), opened.isel(sample=[4, 2]).load()):
        for item in (2, 4):
            found = data.nmc.grains(item)
            xr.testing.assert_identical(found, read_grains(particles, item))
            assert found["neighbours"].dtype.kind == "i"
    assert 0 < opened.nmc.grains(2).sizes["grain"] <= int(opened.kept_grains[2])


def test_a_particle_renders_like_the_drawn_one(opened, small_bundle):
    drawn = generate_particle(small_bundle, seed=SMALL["seed"], index=2)
    np.testing.assert_array_equal(opened.nmc.particle(2).voxelize(120.0), drawn.voxelize(120.0))


def test_a_virtual_particle_is_the_drawn_one(tmp_path, small_bundle):
    recipe = parsed_recipe({**SMALL, "descriptors": None, "labels": {}}, "recipe")
    freeze(recipe, small_bundle, tmp_path / "virtual.zarr")
    data = nmcdist.open_virtual(tmp_path / "virtual.zarr", cache=tmp_path / "cache")
    for part in (data, data.isel(sample=[4, 1])):
        found, drawn = part.nmc.particle(1), generate_particle(small_bundle, seed=SMALL["seed"], index=1)
        np.testing.assert_array_equal(found.voxelize(150.0), drawn.voxelize(150.0))
        np.testing.assert_array_equal(found.kept, drawn.kept)
    with pytest.raises(InputError, match="dataset: its grains were not measured; `nmcdist describe STORE` measures"):
        data.nmc.grains(1)
    assert data.nmc.query("shell_volume_nm3 > 0").nmc.items.tolist() == [0, 1, 2, 3, 4]


def test_a_number_names_its_item_in_a_part_of_the_dataset(opened, particles, sweep, volumes):
    part = opened.isel(sample=[3, 1])
    assert part.nmc.items.tolist() == [3, 1]
    assert_same(part.nmc.particle(1), read_particle(particles, 1))
    assert_same(opened.isel(sample=3).nmc.particle(3), read_particle(particles, 3))
    assert_same(opened.sel(sample=slice(2, 4)).load().nmc.particle(4), read_particle(particles, 4))
    np.testing.assert_array_equal(sweep.isel(sample=[3, 2]).nmc.volume(2), read_block(volumes, 2))
    np.testing.assert_array_equal(sweep.isel(sample=2).nmc.volume(2), read_block(volumes, 2))
    both = xr.concat([sweep.isel(sample=[3]), sweep.isel(sample=[0, 1])], "sample", data_vars="minimal")
    np.testing.assert_array_equal(both.nmc.volume(1), read_block(volumes, 1))


def test_a_volume_has_its_labels_and_their_places(sweep, volumes):
    found = sweep.nmc.volume(1)
    assert found.dims == ("z", "y", "x")
    assert found.chunks is not None  # nothing is read yet
    assert found.attrs["voxel_size_nm"] == 80.0
    np.testing.assert_array_equal(found, read_block(volumes, 1))
    np.testing.assert_allclose(found.z_nm, 80.0 * (np.arange(24) + 0.5))
    np.testing.assert_array_equal(sweep.transpose().nmc.volume(1), found)
    bare = sweep.assign(volume=sweep.volume.drop_attrs()).nmc
    assert bare.volume(1).attrs == {"voxel_size_nm": 80.0}
    assert bare.phases == sweep.nmc.phases
    assert sweep.nmc.phases == {0: "pore", 1: "carbon_binder", 2: "graphite"}
    assert sweep.nmc.kind == "volumes"


def test_a_particle_is_a_volume_around_its_centre(opened):
    particle, found = opened.nmc.particle(0), opened.nmc.volume(0, voxel_size_nm=150.0)
    np.testing.assert_array_equal(found, particle.voxelize(150.0))
    inside = (np.stack(np.nonzero(found.values)) + 0.5).mean(axis=1)
    middle = [float(np.interp(k, np.arange(n) + 0.5, found[f"{axis}_nm"]))
              for k, n, axis in zip(inside, found.shape, "zyx", strict=True)]  # fmt: skip
    by_grains = np.average(particle.centroids_nm[particle.kept], axis=0, weights=particle.volumes_nm3[particle.kept])
    np.testing.assert_allclose(middle, by_grains, atol=75.0)  # half a voxel
    assert opened.nmc.phases == {}
    assert opened.nmc.volume(0).attrs["voxel_size_nm"] == 50.0


def test_the_recipe_can_be_run_again(sweep):
    assert parsed_recipe(sweep.nmc.recipe, "recipe") == parsed_recipe(TINY, "recipe")
    assert nmcdist.plan({**sweep.nmc.recipe, "seed": 3}, workers=0).recipe.seed == 3


# Queries


@pytest.mark.parametrize("where", [
    "", "volume_fraction.pore > 0.5", "graphite_fraction > 0.1 and realisation == 0", "sample != 2",
    "constrictivity[pore, z] + 0 * m_factor.solid.x > abs(-0.1) or not r_max_nm.pore < 300", "1 < 2",
])  # fmt: skip
def test_a_query_selects_what_the_query_of_the_store_selects(sweep, volumes, where):
    found = sweep.nmc.query(where)
    assert found.sample.values.tolist() == nmcdist.query(volumes, where).sample.values.tolist()
    assert set(found.variables) == set(sweep.variables)
    for way in (plain(volumes), plain(volumes, chunks=None), plain(volumes, mask_and_scale=False)):
        assert way.nmc.query(where).sample.values.tolist() == found.sample.values.tolist()


@pytest.mark.parametrize("column", ["d_max_nm", "shell_sphericity", "kept_grains", "grain_volume_nm3"])
def test_a_query_finds_particles(opened, particles, column):
    stored = opened[column if column in opened else f"shell_{column}"].values
    middle = float(np.median(stored))
    found = opened.nmc.query(f"{column} > {middle!r} and sample >= 0")
    assert found.nmc.items.tolist() == np.flatnonzero(stored > middle).tolist()
    assert 0 < len(found.nmc.items) < 5
    assert found.nmc.items.tolist() == nmcdist.query(particles, f"{column} > {middle!r}").sample.values.tolist()
    for item in found.nmc.items:
        assert_same(found.nmc.particle(item), read_particle(particles, int(item)))


def test_the_columns_are_those_of_the_store(opened, particles, sweep, volumes):
    for data, store in (
        (opened, particles),
        (sweep, volumes),
        (plain(particles), particles),
        (plain(volumes), volumes),
    ):
        table, whole = data.nmc.columns, nmcdist.query(store)
        assert set(table.index) == {*map(str, whole.data_vars), "sample"}
        for name, variable in whole.data_vars.items():
            assert table.loc[name, "unit"] == variable.attrs["units"]
            assert table.loc[name, "meaning"] == variable.attrs["long_name"]


def test_queries_follow_each_other(sweep):
    first = sweep.nmc.query("graphite_fraction > 0.1")
    second = first.nmc.query("realisation == 1")
    assert second.nmc.items.tolist() == [3]
    assert sweep.isel(sample=[2, 0, 3]).nmc.query("sample >= 2").nmc.items.tolist() == [2, 3]
    assert sweep.nmc.query("sample > 99").nmc.items.tolist() == []


def test_missing_values_fulfil_no_comparison(sweep):
    data = sweep[["volume_fraction"]].load()
    data["volume_fraction"][1] = np.nan
    assert data.nmc.query("volume_fraction.pore > 0").nmc.items.tolist() == [0, 2, 3]
    assert data.nmc.query("volume_fraction.pore <= 0").nmc.items.tolist() == []


def test_whole_numbers_that_no_float_holds_are_refused(sweep):
    data = sweep.assign(big=("sample", np.array([2**53 + 1, 1, 2, 3])))
    with pytest.raises(QueryError, match=r"column big: holds whole numbers beyond 2\^53"):
        data.nmc.query("big > 3")


# Figures


def panels(figure):
    return [axes for axes in figure.axes if axes.images]


@pytest.mark.parametrize(("normal", "axis"), [("z", 0), ("y", 1), ("x", 2)])
def test_a_plot_of_a_volume_shows_the_labels_in_their_places(sweep, volumes, normal, axis):
    from matplotlib.colors import to_rgb

    figure = sweep.nmc.plot([3, 0], normal=normal, offset_nm=160.0)
    others = [name for name in "zyx" if name != normal]
    for item, panel in zip((3, 0), panels(figure), strict=True):
        labels = read_block(volumes, item)
        expected = np.take(labels, labels.shape[axis] // 2 + 2, axis=axis)
        colours = np.array([to_rgb(RGB[label]) for label in range(3)])
        np.testing.assert_allclose(panel.images[0].get_array(), colours[expected], atol=1 / 255)
        assert panel.images[0].origin == "lower"
        np.testing.assert_allclose(
            panel.images[0].get_extent(), [0, 0.08 * expected.shape[1], 0, 0.08 * expected.shape[0]]
        )
        assert panel.get_xlabel() == f"{others[1]} / µm"
        assert panel.get_title().startswith(f"item {item}, {normal} = ")
    assert panels(figure)[0].get_ylabel() == f"{others[0]} / µm"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["pore", "carbon binder", "graphite"]


def test_a_part_of_the_voxels_is_drawn_in_its_place(sweep, volumes):
    figure = sweep.isel(x=slice(10, 14), z=slice(4, None)).nmc.plot(2)
    (panel,) = panels(figure)
    np.testing.assert_allclose(panel.images[0].get_extent(), [0.8, 1.12, 0, 1.6])
    assert np.asarray(panel.images[0].get_array()).shape == (20, 4, 3)
    assert panel.get_title() == f"item 2, z = {0.08 * 14.5:.3g} µm"
    width, height = figure.get_size_inches()
    assert 0.3 < height / width < 3
    again = sweep.where(sweep.level == 1, drop=True).nmc.plot(2)  # labels have become floats
    np.testing.assert_array_equal(
        panels(again)[0].images[0].get_array(), panels(sweep.nmc.plot(2))[0].images[0].get_array()
    )


def test_numbers_of_items_may_come_from_arrays(opened, particles):
    for item in (np.int64(3), np.uint8(3), np.array(3), opened.sample[3]):
        assert_same(opened.nmc.particle(item), read_particle(particles, 3))
    titles = [panel.get_title().partition(":")[0] for panel in panels(opened.nmc.plot(opened.sample[[4, 0]]))]
    assert titles == ["item 4", "item 0"]


def test_a_dataset_that_was_written_and_read_again_is_the_same(opened, particles, tmp_path):
    plain(particles).drop_encoding().to_zarr(tmp_path / "copy.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "copy.zarr", consolidated=False) as copy:
        assert_same(copy.nmc.particle(2), read_particle(particles, 2))
    assert_same(opened.copy(deep=True).nmc.particle(2), read_particle(particles, 2))


def test_a_plot_of_a_particle_shows_its_grains(opened):
    figure = opened.isel(sample=[3, 1]).nmc.plot()
    (panel,) = panels(figure)
    particle = opened.nmc.particle(3)
    assert panel.get_title() == f"item 3: {int(particle.kept.sum())} grains"
    picture = np.asarray(panel.images[0].get_array())
    labels = particle.section(2 * particle.reach_nm / 800)
    assert picture.shape == (*labels.shape, 3)
    dark = (picture < 40).all(axis=-1)
    at_border = np.zeros(labels.shape, bool)
    for row, column in np.argwhere(labels == labels.max()):
        neighbours = labels[row : row + 2, column], labels[row, column : column + 2]
        at_border[row, column] = len({int(label) for pair in neighbours for label in pair}) > 1
        assert dark[row, column] == at_border[row, column]
    inside = picture[(labels == labels.max()) & ~dark]
    assert len(np.unique(inside, axis=0)) == 1
    assert (picture[(labels == 0) & ~dark] == 255).all()
    assert np.ptp(panel.get_xlim()) <= 2.2 * particle.reach_nm / 1000


def test_orientations_are_coloured_with_their_scale(opened):
    figure = opened.nmc.plot([0, 1], colour="orientation", normal="x")
    assert len(panels(figure)) == 2
    assert "orientation" in figure.axes[-1].get_ylabel()


def test_a_notebook_shows_a_figure(opened):
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(opened.nmc.plot([0])._repr_png_())) as image:
        assert 300 < image.width < 1000
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 10


def test_without_matplotlib_a_plot_names_the_extra(opened, monkeypatch):
    monkeypatch.setattr(extras, "is_installed", lambda name: name != "matplotlib")
    with pytest.raises(MissingPackageError, match=r"a figure needs matplotlib: pip install 'nmcdist\[report\]'"):
        opened.nmc.plot()


# What is refused, in one line


def of(data):
    return data.nmc


FOREIGN = xr.Dataset({"volume": (("sample", "z"), np.zeros((2, 3)))})


@pytest.mark.parametrize(
    ("change", "use", "message"),
    [(lambda d: d, lambda n: n.particle(5), "item 5: is not in the dataset, expected 0 to 4"),
     (lambda d: d, lambda n: n.particle(-1), "item -1: is not in the dataset, expected 0 to 4"),
     (lambda d: d, lambda n: n.particle(True), "item: found True, expected the number of one item"),
     (lambda d: d, lambda n: n.particle("3"), "item: found '3', expected the number of one item"),
     (lambda d: d, lambda n: n.particle(1.0), "item: found 1.0, expected the number of one item"),
     (lambda d: d.isel(sample=[3, 1]), lambda n: n.particle(0), "item 0: is not in the dataset, expected one of 3, 1"),
     (lambda d: d.isel(sample=[3]), lambda n: n.particle(0), "item 0: is not in the dataset, expected 3$"),
     (lambda d: d.isel(sample=[]), lambda n: n.particle(0), "item 0: is not in the dataset, which is empty"),
     (lambda d: d.isel(sample=[]), lambda n: n.plot(), "dataset: holds no items"),
     (lambda d: d.isel(sample=[2, 2]), lambda n: n.particle(2), "item 2: occurs 2 times in the dataset, expected once"),
     (lambda d: d.isel(sample=[3, 1]).drop_vars("sample"), lambda n: n.particle(1),
      "dataset: holds 2 of 5 items without their numbers, expected a coordinate 'sample'"),
     (lambda d: d.rename(sample="item"), lambda n: n.items, "dataset: has no dimension 'sample', expected the one"),
     (lambda d: d.rename(seed_nm="seeds"), lambda n: n.particle(1), "dataset: holds no variable 'seed_nm'"),
     (lambda d: d[["shell_d_max_nm"]], lambda n: n.particle(1), "dataset: holds no variable 'shell_coefficients_nm'"),
     (lambda d: d[["shell_d_max_nm"]], lambda n: n.plot(1), "dataset: holds no variable 'shell_coefficients_nm'"),
     (lambda d: d.drop_vars("rows"), lambda n: n.particle(1), "dataset: holds no variable 'rows'; it was renamed or"),
     (lambda d: d.isel(row=slice(0, 3)), lambda n: n.particle(1), "dataset: holds 0 of "),
     (lambda d: d.isel(row=slice(0, 3)), lambda n: n.grains(1), "dataset: holds 0 of "),
     (lambda d: d.isel(row=slice(3, None)), lambda n: n.grains(0), "dataset: the rows of item 0 are incomplete or"),
     (lambda d: d.drop_vars("elongation"), lambda n: n.grains(1), "dataset: its grains were not measured; `nmcdist"),
     (lambda d: d, lambda n: n.grains(7), "item 7: is not in the dataset, expected 0 to 4"),
     (lambda d: d.isel(row=slice(3, None)), lambda n: n.particle(0), "dataset: the rows of item 0 are incomplete or"),
     (lambda d: d.isel(harmonic=slice(4)), lambda n: n.particle(0), "dataset: shell_coefficients_nm: found axes harm"),
     (lambda d: d.assign_attrs(recipe="{"), lambda n: n.recipe, "dataset: attribute 'recipe' does not hold one"),
     (lambda d: d.assign_attrs(nmcdist_format=9), lambda n: n.recipe, "dataset: found store format 9, expected 1 or 2"),
     (lambda d: d.assign_attrs(kind="of-others"), lambda n: n.kind, "dataset: is of kind 'of-others', expected one of"),
     (lambda d: d.drop_attrs(), lambda n: n.kind, "dataset: has no attribute 'nmcdist_format', expected a dataset of"),
     (lambda d: FOREIGN, lambda n: n.items, "dataset: has no attribute 'nmcdist_format', expected a dataset"),
     (lambda d: FOREIGN, lambda n: n.volume(0), "dataset: has no attribute 'nmcdist_format'"),
     (lambda d: FOREIGN, lambda n: n.query(""), "dataset: has no attribute 'nmcdist_format'"),
     (lambda d: FOREIGN, lambda n: n.columns, "dataset: has no attribute 'nmcdist_format'"),
     (lambda d: FOREIGN, lambda n: n.plot(), "dataset: has no attribute 'nmcdist_format'"),
     (lambda d: FOREIGN, lambda n: n.phases, "dataset: has no attribute 'nmcdist_format'"),
     (lambda d: d.isel(sample=1), lambda n: n.query("sphericity > 0"), "dataset: has no dimension 'sample', expected"),
     (lambda d: d, lambda n: n.query("spericity > 0"), "query: no column 'spericity'; did you mean"),
     (lambda d: d, lambda n: n.query("import os"), "query: character 8: found 'os', expected and, or, or the end"),
     (lambda d: d, lambda n: n.volume(0, voxel_size_nm=-1), "voxel_size_nm: found -1"),
     (lambda d: d, lambda n: n.plot(normal="w"), "normal: found 'w', expected 'z', 'y' or 'x'"),
     (lambda d: d, lambda n: n.plot(offset_nm=1e9), "offset_nm: found 1e[+]09 nm from the centre, expected less"),
     (lambda d: d, lambda n: n.plot(offset_nm=np.nan), "offset_nm: found nan, expected"),
     (lambda d: d, lambda n: n.plot("0"), "item: found '0', expected the numbers of 1 to 24 items"),
     (lambda d: d, lambda n: n.plot([]), "item: found \\[\\], expected the numbers of 1 to 24 items"),
     (lambda d: d, lambda n: n.plot(range(25)), "item: found range\\(0, 25\\), expected the numbers of 1 to 24 items"),
     (lambda d: d, lambda n: n.plot(colour="red"), "colour: found 'red', expected 'label' or 'orientation'")],
)  # fmt: skip
def test_what_is_impossible_gets_one_line(opened, change, use, message):
    with pytest.raises((InputError, StoreError), match=f"^{message}") as caught:
        use(of(change(opened)))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "use", "message"),
    [(lambda d: d, lambda n: n.grains(0), "dataset: is of kind 'volumes', which has no particles"),
     (lambda d: d, lambda n: n.particle(0), "dataset: is of kind 'volumes', which has no particles; `volume` returns"),
     (lambda d: d.rename(volume="labels"), lambda n: n.volume(0), "dataset: holds no variable 'volume'; it was"),
     (lambda d: d.rename(volume="labels"), lambda n: n.plot(), "dataset: holds no variable 'volume'; it was"),
     (lambda d: d.isel(z=0), lambda n: n.volume(0), "dataset: volume: found axes y, x, expected z, y, x"),
     (lambda d: d, lambda n: n.volume(0, voxel_size_nm=40.0), "voxel_size_nm: found 40.0, expected the 80.0 nm of the"),
     (lambda d: d, lambda n: n.volume(0, np.full(3, 80.0)), "voxel_size_nm: found an array of shape .3,., expected"),
     (lambda d: d, lambda n: n.plot(offset_nm=961.0), "offset_nm: found 961 nm from the middle, expected -960 to less"),
     (lambda d: d, lambda n: n.plot(colour="orientation"), "colour: found 'orientation', expected 'label' for a"),
     (lambda d: d.assign(volume=xr.full_like(d.volume, 255)), lambda n: n.plot(), "dataset: the volume of item 0 is"),
     (lambda d: d.assign(volume=xr.full_like(d.volume, 7)), lambda n: n.plot(), "dataset: the volume of item 0: found"),
     (lambda d: d.where(d.level == 1), lambda n: n.plot(), "dataset: the volume of item 0 is incomplete"),
     (lambda d: d.isel(x=slice(None, None, 2)), lambda n: n.plot(), "dataset: x_nm: found steps of 160 nm, expect"),
     (lambda d: d.isel(y=slice(None, None, -1)), lambda n: n.volume(0), "dataset: y_nm: found steps of -80 nm, exp"),
     (lambda d: d.set_index(sample=["level", "realisation"]), lambda n: n.items, "dataset: coordinate 'sample': found"),
     (lambda d: d.mean("sample", keep_attrs=True), lambda n: n.items, "dataset: has no dimension 'sample', expected")],
)  # fmt: skip
def test_what_is_impossible_of_volumes_gets_one_line(sweep, change, use, message):
    with pytest.raises((InputError, StoreError), match=f"^{message}") as caught:
        use(of(change(sweep)))
    assert len(str(caught.value).splitlines()) == 1


def test_particles_of_two_stores_are_not_mixed_up(opened):
    both = xr.concat([opened, opened.assign_coords(sample=opened.sample + 5)], "sample", data_vars="all")
    with pytest.raises(InputError, match="tables of grains: found dimensions"):
        both.nmc.particle(1)


def test_a_foreign_dataset_can_be_inspected():
    assert hasattr(FOREIGN, "nmc")
    assert repr(FOREIGN.nmc).startswith("<nmc of dataset ? ?")


# How the accessor comes to be there


@pytest.mark.parametrize(
    ("code", "there"),
    [("import nmcdist, xarray", True),
     ("import xarray, nmcdist", True),
     ("import nmcdist, importlib.util as u; u.find_spec('xarray'); import xarray", True),
     ("import nmcdist, importlib; importlib.reload(nmcdist); import xarray", True),
     ("from nmcdist.datasets.store import open_store; import xarray", True),
     ("import xarray", False)],
)  # fmt: skip
def test_importing_both_is_enough(code, there):
    code += f"\nimport sys\nassert hasattr(xarray.Dataset, 'nmc') is {there}"
    code += "\nassert not any(type(finder).__module__ == 'nmcdist.registration' for finder in sys.meta_path)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_bundle_is_that_of_the_store(opened):
    assert opened.nmc.particle(0).bundle_hash == opened.attrs["bundle_hash"]
    assert load_bundle(TINY["bundle"]).content_hash != opened.attrs["bundle_hash"]
