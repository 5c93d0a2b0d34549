"""Designs of particles: each point is drawn as it would be alone from its own bundle."""

import json

import numpy as np
import pytest

from nmcdist.bundle import load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets import open_store, read_particle
from nmcdist.errors import RecipeError
from nmcdist.models.orientation import crystal_orientations
from nmcdist.models.particle import generate_particle
from nmcdist.models.particle_sizes import grain_diameter_nm, median_diameter_nm
from nmcdist.models.wishes import fulfilled
from nmcdist.products.particles.virtual import frozen_sizes
from nmcdist.products.registry import make_plan
from nmcdist.products.stores import build_report
from nmcdist.runs.redescribe import describe_store
from tests.conftest import HERE, explains_itself, make_particles, particle_recipe_with, store_sha256
from tests.products.test_particles import same_record

VARIED = {"kind": "grid", "parameters": {"grain_diameter_nm": [350.0, 500.0], "median_diameter_um": [1.0, 1.4]}}

TWO = Deployment(workers=2, threads_per_worker=1, memory_per_worker="2GiB", dashboard=False)


def recipe_of(design=VARIED, count=2, batch=1, **changes):
    more = {"labels": {"voxel_sizes_nm": [200.0], "chunk": 16}, **changes}
    return particle_recipe_with(particles={"count": count, "batch": batch}, design=design, **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory, small_bundle):
    out = tmp_path_factory.mktemp("design")
    make_particles(out, small_bundle, recipe=recipe_of())
    return out / "small.zarr"


def test_particles_of_a_point_are_those_of_its_bundle(made, small_bundle):
    with open_store(made) as data:
        orientations, labels = data["orientation"].values, data["labels_200nm"].values
        rows = np.column_stack([data["first_row"], data["rows"]])
    for item in (0, 3, 4, 7):
        grain, median = [(350.0, 1.0), (350.0, 1.4), (500.0, 1.0), (500.0, 1.4)][item // 2]
        bundle = fulfilled(small_bundle, {"median_diameter_um": median, "grain_diameter_nm": grain})
        alone, stored = generate_particle(bundle, seed=811, index=item % 2), read_particle(made, item)
        assert same_record(stored, alone)
        assert stored.index == item
        first, count = rows[item]
        turns = crystal_orientations(alone.seeds_nm, -5.0, 811, item % 2).astype(np.float32)
        np.testing.assert_array_equal(orientations[first : first + count], turns)
        assert (labels[item] > 0).sum() == (alone.voxelize(200.0) > 0).sum()


def test_coordinates_say_the_point_of_each_particle(made, small_bundle):
    explains_itself(made)
    with open_store(made) as data:
        assert data["level"].values.tolist() == np.repeat(range(4), 2).tolist()
        assert data["realisation"].values.tolist() == [0, 1] * 4
        assert data["grain_diameter_nm"].values[::2].tolist() == [350.0, 350.0, 500.0, 500.0]
        assert data["median_diameter_um"].values[::2].tolist() == [1.0, 1.4, 1.0, 1.4]
        # Points share their shells; one that differs in the grains alone has the same ones.
        sizes = data["shell_d_max_nm"].values.reshape(4, 2)
        np.testing.assert_array_equal(sizes[0], sizes[2])
        np.testing.assert_allclose(sizes[1], 1.4 * sizes[0], rtol=1e-12)


@pytest.mark.slow
def test_workers_make_the_same_bytes(made, tmp_path, small_bundle):
    make_particles(tmp_path, small_bundle, TWO, recipe=recipe_of())
    assert store_sha256(tmp_path / "small.zarr") == store_sha256(made)


def test_grains_of_another_voxel_size_are_measured_again(made, tmp_path, small_bundle):
    design = {"kind": "list", "parameters": {"scale_noise": [0.0, 0.3]}}
    recipes = [
        recipe_of(design, 2, 1, descriptors={"voxel_size_nm": size, "cut_heights": [0.0]}) for size in (150, 100)
    ]
    for name, recipe in zip(("coarse", "fine"), recipes, strict=True):
        make_particles(tmp_path / name, small_bundle, recipe=recipe)
    describe_store(tmp_path / "coarse" / "small.zarr", HERE, changes={"voxel_size_nm": 100.0})
    again, direct = (open_store(tmp_path / name / "small.zarr") for name in ("coarse", "fine"))
    for name in ("volume_nm3", "orientation", "elongation", "scale_noise"):
        np.testing.assert_array_equal(again[name].values, direct[name].values)


def test_points_of_a_sobol_design_have_their_own_shells(small_bundle):
    design = {"kind": "sobol", "count": 4, "parameters": {"median_diameter_um": [1.0, 2.0]}}
    recipe = recipe_of(design, 4, 2)
    assert [recipe.stream_of(item) for item in range(recipe.samples)] == list(range(16))
    plan = make_plan(recipe, small_bundle, ".", HERE)
    for task, point in zip(plan.tasks[::2], recipe.point_values(), strict=True):
        level = small_bundle.with_parameters(**task.changes)
        assert median_diameter_nm(level.particle()) == pytest.approx(1000 * point["median_diameter_um"], rel=1e-12)
    assert [task.sample for task in plan.tasks] == list(range(0, 16, 2))


def test_the_plan_holds_the_largest_point(small_bundle):
    design = {"kind": "list", "parameters": {"median_diameter_um": [1.0, 3.0], "grain_diameter_nm": [300.0, 600.0]}}
    together = make_plan(recipe_of(design), small_bundle, ".", HERE)
    assert together.is_exact
    for wishes in ({"median_diameter_um": 1.0, "grain_diameter_nm": 300.0},
                   {"median_diameter_um": 3.0, "grain_diameter_nm": 600.0}):  # fmt: skip
        alone = make_plan(recipe_of(None), fulfilled(small_bundle, wishes), ".", HERE)
        assert together.task_bytes >= alone.task_bytes
        assert together.sizes.capacity >= alone.sizes.capacity
        assert together.sizes.largest_nm >= alone.sizes.largest_nm
    assert grain_diameter_nm(small_bundle.with_parameters(**together.tasks[2].changes).particle()) == pytest.approx(600)


def test_the_report_has_a_row_for_each_point(made, tmp_path):
    text = build_report(made, tmp_path / "report").read_text()
    assert "![points](points.png)" in text and (tmp_path / "report" / "points.png").stat().st_size > 10_000
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| 0 |", "| 1 |", "| 2 |", "| 3 |"))]
    assert [row[1:3] for row in rows] == [["350", "1"], ["350", "1.4"], ["500", "1"], ["500", "1.4"]]
    with open_store(made) as data:
        volumes, particle = data["equivalent_diameter_nm"].values, data["particle"].values
        for point, row in enumerate(rows):
            own = volumes[np.isin(particle, range(2 * point, 2 * point + 2))]
            assert float(row[5].split()[0]) == pytest.approx(np.nanmean(own), rel=1e-3)
            sizes = data["shell_d_max_nm"].values[2 * point : 2 * point + 2]
            assert float(row[3].split()[0]) == pytest.approx(sizes.mean(), rel=1e-3)


def test_a_recipe_without_a_design_is_recorded_as_before(made_particles):
    recipe = particle_recipe_with()
    assert "design" not in recipe.content
    with open_store(made_particles / "small.zarr") as data:
        assert "design" not in json.loads(data.attrs["recipe"])
        assert not {"level", "realisation"} & set(data.coords)
    assert particle_recipe_with(design=None).content_hash == recipe.content_hash
    assert particle_recipe_with(**recipe_of().content) == recipe_of()


@pytest.mark.parametrize("changes, said", [
    ({"count": 5, "batch": 2}, "particles.batch: found 2, expected a divisor of particles.count = 5"),
    ({"design": {"kind": "grid", "parameters": {"mu": [1.0]}}}, "design.parameters.mu: unknown parameter"),
    ({"design": {"kind": "grid", "parameters": {"shell_nu": [4.0]}}}, "'shell_nu' takes 9 numbers"),
    ({"design": {"kind": "grid", "parameters": {"grain_diameter_nm": [0.0]}}}, "grain_diameter_nm: found 0.0"),
    ({"count": 10**6, "design": {"kind": "grid", "parameters": {"scale_noise": [k / 20 for k in range(20)]}}},
     "found 20000000 items in all"),
])  # fmt: skip
def test_impossible_designs_are_refused(changes, said, small_bundle):
    with pytest.raises(RecipeError, match=said):
        make_plan(recipe_of(**changes), small_bundle, ".", HERE)


def test_virtual_stores_of_designs_are_refused():
    with pytest.raises(RecipeError, match="design: found one, expected none"):
        frozen_sizes(recipe_of(), load_bundle("nmc811-radial"))
