"""Runs that make particles: the record is the item, whatever batch, worker or attempt it was made in."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from nmcdist import generate_particle
from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine
from nmcdist.datasets import open_store, read_grains, read_particle
from nmcdist.datasets.integrity import damaged_samples, verify
from nmcdist.descriptors import chord_lengths, describe_section, describe_shell
from nmcdist.descriptors.summaries import GRAIN_EDGES, SECTION_EDGES
from nmcdist.errors import BundleError, PlanError, RecipeError, StoreError
from nmcdist.products.particles import make as particles
from nmcdist.products.registry import make_plan, parsed_recipe
from nmcdist.runs.redescribe import describe_store
from tests.conftest import (
    HERE,
    SMALL,
    StopsAfter,
    flip_a_byte,
    make_particles,
    particle_recipe_with,
    store_sha256,
)

RECORD = (
    "coefficients_nm", "seeds_nm", "diagonals", "offsets_nm2", "gammas", "kept", "centroids_nm", "volumes_nm3", "box_nm"
)  # fmt: skip


def same_record(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in RECORD)


@pytest.fixture
def out(made_particles, tmp_path):
    return Path(shutil.copytree(made_particles, tmp_path / "out"))


@pytest.fixture
def store(out):
    return out / "small.zarr"


class TestRecords:
    def test_a_record_is_the_particle_drawn_alone_and_renders_the_same_voxels(self, made_particles, small_bundle):
        for item in range(5):
            stored = read_particle(made_particles / "small.zarr", item)
            alone = generate_particle(small_bundle, seed=811, index=item)
            assert same_record(stored, alone)
            assert (stored.seed, stored.index, stored.bundle_hash) == (811, item, small_bundle.content_hash)
            for size in (130.0, 60.0):
                assert np.array_equal(stored.voxelize(size), alone.voxelize(size))

    def test_the_batch_does_not_matter(self, made_particles, tmp_path, small_bundle):
        make_particles(
            tmp_path, small_bundle, recipe=particle_recipe_with(particles={"count": 5, "batch": 5}, labels={})
        )
        for item in range(5):
            assert same_record(
                read_particle(tmp_path / "small.zarr", item), read_particle(made_particles / "small.zarr", item)
            )
        with open_store(tmp_path / "small.zarr") as one, open_store(made_particles / "small.zarr") as three:
            for name in ("grain_histogram", "grain_moments", "section_profile", "particle_moments"):
                np.testing.assert_array_equal(one[name], three[name])

    def test_statistics_name_the_unit_of_each_column(self, made_particles):
        endings = {"_nm": "nm", "_nm2": "nm^2", "_nm3": "nm^3", "_per_volume": "nm^-1", "angle_to_radius": "rad"}
        with open_store(made_particles / "small.zarr") as data:
            for table in ("particle", "grain", "section"):
                for name in (f"{table}_moments", f"{table}_profile", f"{table}_bin_edges"):
                    if name in data:
                        assert data[name].attrs["units"] == "unit of the column"
                assert data[f"{table}_histogram"].attrs["units"] == data[f"{table}_outside"].attrs["units"] == "1"
                for column, unit in zip(
                    data[f"{table}_column"].values, data[f"{table}_column_unit"].values, strict=True
                ):
                    assert unit == next((u for end, u in endings.items() if column.endswith(end)), "1"), column
            volumes = data.grain_moments.sel(grain_column="volume_nm3")
            assert str(volumes.grain_column_unit.values) == "nm^3"

    def test_rows_that_belong_to_no_particle_say_so(self, made_particles):
        with open_store(made_particles / "small.zarr") as data:
            owner = data.particle.values
            assert (np.bincount(owner[owner >= 0], minlength=5) == data.rows.values).all()
            assert data.kept.dtype == bool
            assert not data.kept.values[owner < 0].any()
            for item in range(5):
                first, rows = int(data.first_row[item]), int(data.rows[item])
                assert (owner[first : first + rows] == item).all()
                assert int(data.kept_grains[item]) == data.kept.values[first : first + rows].sum()

    def test_stored_voxels_are_the_rendered_ones_in_the_middle_of_a_cube(self, made_particles):
        particle = read_particle(made_particles / "small.zarr", 3)
        with open_store(made_particles / "small.zarr") as data:
            cube = data.labels_100nm[3].values
        labels, (shape, origin) = particle.voxelize(100.0), particle.grid(100.0)
        first = (0.5 - cube.shape[0] / 2) * 100.0
        place = tuple(slice(k, k + n) for k, n in zip(np.round((np.array(origin) - first) / 100).astype(int), shape))  # noqa: B905
        assert np.array_equal(cube[place], labels)
        assert (cube > 0).sum() == (labels > 0).sum()

    def test_an_unknown_item_is_refused(self, made_particles):
        for item in (5, -1, True, 1.0):
            with pytest.raises(StoreError, match=r"item .* does not exist, expected 0 to 4"):
                read_particle(made_particles / "small.zarr", item)


class TestSameBytes:
    @pytest.mark.parametrize(("workers", "threads"), [(1, 2), (2, 1)])
    def test_on_any_workers(self, made_particles, tmp_path, small_bundle, workers, threads):
        deployment = Deployment(
            workers=workers, threads_per_worker=threads, memory_per_worker="2GiB", dashboard=False
        )  # fmt: skip
        make_particles(tmp_path, small_bundle, deployment)
        assert store_sha256(tmp_path / "small.zarr") == store_sha256(made_particles / "small.zarr")

    def test_after_an_interrupt_and_a_resume(self, made_particles, tmp_path, small_bundle):
        with pytest.raises(KeyboardInterrupt):
            make_particles(tmp_path, small_bundle, progress=StopsAfter(1))
        assert not (tmp_path / "small.zarr").exists()
        result = make_particles(tmp_path, small_bundle, resume=True)
        assert (result.made, result.kept) == (2, 1)
        assert store_sha256(tmp_path / "small.zarr") == store_sha256(made_particles / "small.zarr")

    def test_after_a_flipped_byte_is_healed(self, made_particles, out, store, small_bundle):
        flip_a_byte(next((store / "seed_nm/c/1").rglob("*")))
        faults = verify(store)
        assert damaged_samples(faults) == [2, 3]
        assert "items 2 to 3" in str(faults[0])
        result = make_particles(out, small_bundle, resume=True)
        assert (result.made, result.kept) == (1, 2)
        assert store_sha256(store) == store_sha256(made_particles / "small.zarr")

    def test_a_store_without_its_journal_needs_nothing(self, out, store, small_bundle):
        shutil.rmtree(out / "small.run")
        assert make_particles(out, small_bundle, resume=True).made == 0

    def test_when_described_at_other_voxels_and_back(self, made_particles, store):
        before = store_sha256(store)
        describe_store(store, HERE, changes={"voxel_size_nm": 150.0})
        assert store_sha256(store) != before
        with open_store(store) as data:
            assert data.volume_nm3.attrs["voxel_size_nm"] == 150.0
        describe_store(store, HERE, changes={"voxel_size_nm": 100.0})
        assert store_sha256(store) == before


class TestDescriptors:
    def test_shells_are_described(self, made_particles):
        with open_store(made_particles / "small.zarr") as data:
            for item in range(5):
                expected = describe_shell(data.shell_coefficients_nm[item].values)
                for name in expected.data_vars:
                    assert float(data[f"shell_{name}"][item]) == float(expected[name])

    def test_tables_of_grains_add_up(self, made_particles):
        store = made_particles / "small.zarr"
        with open_store(store) as data:
            for item in range(5):
                grains, labels = read_grains(store, item), read_particle(store, item).voxelize(100.0)
                found, count = np.unique(labels[labels > 0], return_counts=True)
                assert np.array_equal(grains.label, found)
                np.testing.assert_allclose(grains.volume_nm3, count * 1e6, rtol=1e-6)
                assert int(data.grains[item]) == len(found)

    def test_statistics_are_those_of_all_grains_gathered(self, made_particles):
        store = made_particles / "small.zarr"
        tables = [read_grains(store, item) for item in range(5)]
        with open_store(store) as data:
            for column in ("volume_nm3", "elongation", "angle_to_radius", "neighbours"):
                values = np.concatenate([t[column].values for t in tables]).astype(float)
                values = values[~np.isnan(values)]
                moments = data.grain_moments.sel(grain_column=column)
                assert int(moments.sel(statistic="count")) == len(values)
                # The table is stored in float32, the statistics are of the float64 values.
                np.testing.assert_allclose(moments.sel(statistic="mean"), values.mean(), rtol=1e-6)
                np.testing.assert_allclose(moments.sel(statistic="sd"), values.std(ddof=1), rtol=1e-5)
            counts = data.grain_histogram.sel(grain_column="neighbours").values
            neighbours = np.concatenate([t.neighbours.values for t in tables])
            edges = GRAIN_EDGES["neighbours"]
            assert np.array_equal(counts[: len(edges) - 1], np.histogram(neighbours, edges)[0])
            profile = data.grain_profile.sel(grain_column="elongation", statistic="count").values
            radius = np.concatenate([t.radius_nm.values[~np.isnan(t.elongation.values)] for t in tables])
            assert np.array_equal(profile, np.histogram(radius, np.linspace(0, 20_000, 81))[0])

    def test_sections_are_those_of_the_cut_heights(self, made_particles):
        store = made_particles / "small.zarr"
        for cut, height in enumerate((0.0, 0.5)):
            areas, chords = [], []
            for item in range(5):
                particle = read_particle(store, item)
                distance = height * particle.coefficients_nm[0] / np.sqrt(4 * np.pi)
                labels = particle.section(50.0, point_nm=(distance, 0, 0))
                areas.append(describe_section(labels, 50.0).area_nm2.values)
                chords.append(chord_lengths(labels, 50.0))
            with open_store(store) as data:
                for column, values in (("area_nm2", areas), ("chord_length_nm", chords)):
                    counts = data.section_histogram.sel(section_column=column).values[cut]
                    edges = SECTION_EDGES[column]
                    assert np.array_equal(counts[: len(edges) - 1], np.histogram(np.concatenate(values), edges)[0])

    def test_a_record_alone_has_statistics_of_its_lattice_volumes(self, tmp_path, small_bundle):
        make_particles(
            tmp_path, small_bundle, recipe=particle_recipe_with(descriptors=None, labels={}, orientations=None)
        )
        with open_store(tmp_path / "small.zarr") as data:
            assert "volume_nm3" not in data
            kept = data.kept.values
            mean = data.grain_moments.sel(grain_column="volume_nm3", statistic="mean")
            np.testing.assert_allclose(mean, data.lattice_volume_nm3.values[kept].astype(float).mean(), rtol=1e-12)
        with pytest.raises(StoreError, match="grains were not measured"):
            read_grains(tmp_path / "small.zarr", 0)


class TestPlan:
    def test_every_file_is_owned_by_exactly_one_task(self, tmp_path, small_bundle):
        plan = make_plan(particle_recipe_with(), small_bundle, tmp_path, HERE)
        owned = [name for task in plan.tasks for name in task.files]
        assert sorted(owned) == sorted(name for v in plan.layout.variables for name in v.files())

    def test_no_batch_takes_more_rows_than_planned(self, made_particles, small_bundle, tmp_path):
        plan = make_plan(particle_recipe_with(), small_bundle, tmp_path, HERE)
        with open_store(made_particles / "small.zarr") as data:
            rows = np.add.reduceat(data.rows.values, [0, 2, 4])
            reach = data.reach_nm.values
        assert (rows <= plan.sizes.most_rows).all()
        assert (reach <= plan.sizes.radii_nm).all()

    def test_a_summary_tells_what_will_be_made(self, tmp_path, small_bundle):
        text = make_plan(particle_recipe_with(), small_bundle, tmp_path, HERE).summary()
        for part in ("5 particles in batches of 2", "labels_100nm", "sections at 50 nm", "memory per task"):
            assert part in text

    def test_memory_that_cannot_fit_is_refused(self, tmp_path, small_bundle):
        deployment, machine = Deployment(workers=1, memory_per_worker="100MiB"), Machine(2, 2**34)
        plan = make_plan(particle_recipe_with(), small_bundle, tmp_path, deployment, machine=machine)
        with pytest.raises(PlanError, match=r"a task of 2 particles needs .* a worker has 90.0 MiB"):
            plan.validate()

    def test_a_bundle_without_a_marker_law_is_refused(self, tmp_path):
        with pytest.raises(BundleError, match=r"cba-cathode-2025.*marker law"):
            make_plan(particle_recipe_with(), load_bundle("cba-cathode-2025"), tmp_path, HERE)

    @pytest.mark.parametrize(
        "changes", [{"descriptors": {"voxel_size_nm": 5000.0}}, {"labels": {"voxel_sizes_nm": [5000.0]}}]
    )
    def test_voxels_larger_than_a_particle_are_refused(self, tmp_path, small_bundle, changes):
        with pytest.raises(RecipeError, match=r"voxel_size.*: found 5000, expected at most the smallest particle's"):
            make_particles(tmp_path, small_bundle, recipe=particle_recipe_with(**changes))
        assert list(tmp_path.iterdir()) == []


class TestRecipe:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"particles": {"count": 0}}, r"particles\.count: found 0, expected"),
            ({"particles": {"count": 3, "batches": 2}}, r"particles\.batches: unknown field"),
            ({"labels": {"voxel_sizes_nm": [50.0, 50.0]}}, r"labels\.voxel_sizes_nm: found 50.0 twice"),
            (
                {"labels": {"voxel_sizes_nm": [50.0, 100.0, 100.00001]}},
                r"found 100.0 and 100.00001, whose variables would both be named labels_100nm",
            ),
            ({"labels": {"voxel_size_nm": [50.0]}}, r"labels\.voxel_size_nm: unknown field; did you mean voxel_sizes"),
            ({"descriptors": {"cut_heights": [0.3, 0.3]}}, r"descriptors\.cut_heights: found 0.3 twice"),
            ({"particles": {"count": 10**18}}, r"particles\.count: found 1000000000000000000, expected less"),
            ({"labels": {"chunk": 64, "shard": 32}}, r"labels\.shard: found 32, expected at least chunk = 64"),
            ({"descriptors": {"cut_heights": [1.5]}}, r"descriptors\.cut_heights\[0\]: found 1.5"),
            ({"orientations": {"concentration": "strong"}}, r"orientations\.concentration: found 'strong'"),
            ({"volume": {"shape": [8, 8, 8], "voxel_size_nm": 20.0}}, r"volume: unknown field"),
        ],
    )
    def test_a_fault_is_named_with_its_place(self, changes, message):
        with pytest.raises(RecipeError, match=message):
            particle_recipe_with(**changes)

    def test_grains_are_not_measured_unless_asked_for(self):
        recipe = parsed_recipe({k: v for k, v in SMALL.items() if k not in ("descriptors", "labels")}, "small.yaml")
        assert recipe.descriptors is None
        assert recipe.labels.voxel_sizes_nm == ()


def test_an_item_that_fails_is_named_while_other_batches_go_on(made_particles, tmp_path, small_bundle, monkeypatch):
    measure = particles._Batch._measure

    def failing(self, particle, *args):
        if particle.index == 3:
            raise ZeroDivisionError("no such grain")
        measure(self, particle, *args)

    with monkeypatch.context() as patch:
        patch.setattr(particles._Batch, "_measure", failing)
        result = make_particles(tmp_path, small_bundle)
    assert result.failed == {3: "ZeroDivisionError: no such grain"}
    assert result.made == 2
    assert "Traceback" in (tmp_path / "small.run/failures/batch-000001.txt").read_text()
    assert make_particles(tmp_path, small_bundle, resume=True).made == 1
    assert store_sha256(tmp_path / "small.zarr") == store_sha256(made_particles / "small.zarr")


class TestMarkerNet:
    """A bundle with weights: they travel with the run, and a store that is described again finds them."""

    @pytest.fixture
    def net(self, net_bundle, tmp_path):
        small = net_bundle.with_parameters(shell_scale_nm=5600.0, shell_sigma=0.1)
        return load_bundle(save_bundle(small, tmp_path / "net"))

    def test_records_render_and_are_described_again(self, net, tmp_path):
        recipe = particle_recipe_with(bundle="net", labels={}, particles={"count": 2, "batch": 2})
        make_particles(tmp_path, net, recipe=recipe)
        store = tmp_path / "small.zarr"
        assert same_record(read_particle(store, 1), generate_particle(net, seed=811, index=1))
        before = store_sha256(store)
        describe_store(store, HERE, changes={"voxel_size_nm": 150.0})
        describe_store(store, HERE, changes={"voxel_size_nm": 100.0})
        assert store_sha256(store) == before
        shutil.rmtree(tmp_path / "small.run" / "bundle")
        with pytest.raises(StoreError, match="needs the arrays of bundle 'net'"):
            describe_store(store, HERE)
        assert store_sha256(store) == before
