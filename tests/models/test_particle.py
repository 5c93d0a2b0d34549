"""Whole particles: the kept rule, the proof of the window, records that render the same, sections and errors."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import ndimage

import nmcdist
from nmcdist.bundle import load_bundle
from nmcdist.errors import BundleError, InputError
from nmcdist.geometry.tessellation import rasterize_gbpd
from nmcdist.models import seed_window
from nmcdist.models.particle import Particle, ParticleModel, generate_particle
from nmcdist.models.pieces import merge_pieces
from nmcdist.threads import set_thread_count, thread_count

BUNDLE = "nmc811-radial"


def arrays_of(particle):
    return {f.name: np.asarray(getattr(particle, f.name)) for f in dataclasses.fields(Particle)}


def same(one, two):
    return all(
        np.array_equal(a, arrays_of(two)[name], equal_nan=a.dtype.kind == "f") for name, a in arrays_of(one).items()
    )


@pytest.fixture(scope="module")
def particle():
    return generate_particle(BUNDLE, seed=1, index=0)


@pytest.fixture(scope="module", params=["radial", "net"])
def any_model(request):
    bundle = load_bundle(BUNDLE) if request.param == "radial" else request.getfixturevalue("net_bundle")
    return ParticleModel.from_bundle(bundle)


def lattice_labels(grains, step, reach):
    half = math.floor(reach / step)
    diagram = (grains.seeds_nm.astype(float), grains.matrices(), grains.offsets_nm2.astype(float))
    labels = rasterize_gbpd(*diagram, (2 * half + 1,) * 3, step, (-half * step,) * 3, reach=reach)
    return labels, (np.indices(labels.shape) - half).reshape(3, -1).T * step


class TestKept:
    def test_the_rule_on_a_fine_lattice_with_many_more_seeds(self, any_model):
        """Centres of mass from 25 times as many points; within half a step of the shell they may fall either way."""
        particle = any_model.draw(1, 2)
        largest = particle.shell.largest_radius_nm
        grains = any_model.grains.draw(largest + 4000.0, 1, 2)
        labels, points = lattice_labels(grains, 35.0, largest + 1200.0)
        rows = labels.reshape(-1)
        inside = rows >= 0
        counts = np.bincount(rows[inside], minlength=len(grains.gammas))
        seen = np.flatnonzero(counts > 30)
        sums = np.stack([np.bincount(rows[inside], points[inside, a], len(counts)) for a in range(3)], axis=1)
        centres = sums[seen] / counts[seen, None]
        gap = particle.shell.radius(centres) - np.linalg.norm(centres, axis=1)
        half_step = any_model.grains.spacing_nm / 8
        clear = np.abs(gap) > half_step
        kept = np.zeros(len(counts), dtype=bool)
        kept[: len(particle.kept)] = particle.kept
        assert np.array_equal(kept[seen][clear], gap[clear] > 0)
        assert np.count_nonzero(clear & (gap > 0)) > 30
        both = kept[seen]
        far = np.linalg.norm(centres[both] - particle.centroids_nm[seen[both]], axis=1)
        assert far.max() < half_step
        volumes = counts[seen] * 35.0**3
        assert particle.volumes_nm3[seen[both]].sum() == pytest.approx(volumes[both].sum(), rel=0.02)

    def test_flags_centres_and_volumes_belong_together(self, particle):
        assert np.array_equal(np.isfinite(particle.centroids_nm).all(axis=1), particle.kept)
        assert np.array_equal(particle.volumes_nm3 > 0, particle.kept)
        assert particle.shell.contains(particle.centroids_nm[particle.kept].astype(float)).all()

    def test_as_many_grains_as_seeds_fall_into_the_shell_on_average(self):
        """With M = 1 and r = 0, centres of mass are a stationary process of the seeds' intensity (100 particles).

        Centres repel each other, so the number in a shell varies less than Poisson's.
        """
        plain = dict.fromkeys(
            ("radial_scale_inner", "radial_scale_outer", "tangential_scale_inner", "tangential_scale_outer"), 1.0
        )
        bundle = load_bundle(BUNDLE).with_parameters(
            **plain, scale_noise=0.0, offset_range_nm2=0.0, shell_sigma=0.1, shell_location_nm=-7000.0
        )
        model, n = ParticleModel.from_bundle(bundle), 100
        drawn = [model.draw(2, i) for i in range(n)]
        expected = [bundle.parameters.grain_intensity_per_nm3 * p.shell.volume_nm3 for p in drawn]
        kept = [np.count_nonzero(p.kept) for p in drawn]
        volume = [p.volumes_nm3.sum(dtype=float) * bundle.parameters.grain_intensity_per_nm3 for p in drawn]
        assert sum(expected) > 1500
        assert abs(sum(kept) - sum(expected)) < 4 * math.sqrt(sum(expected))
        assert abs(sum(volume) - sum(expected)) < 4 * math.sqrt(sum(expected))


class TestShell:
    def test_a_particle_is_its_grains_drawn_in_its_shell(self, any_model):
        assert same(any_model.draw(6, 1), any_model.draw_in(any_model.shells.draw(6, 1), 6, 1))

    def test_grains_of_another_key_fill_a_given_shell(self, any_model):
        """Those of the key, as far as both are stored; whole grains stand for the volume within a facet's depth."""
        shell = any_model.shells.draw(6, 1)
        found, own = any_model.draw_in(shell, 7, 2), any_model.draw(7, 2)
        assert np.array_equal(found.coefficients_nm, shell.coefficients_nm)
        assert not np.array_equal(own.coefficients_nm, shell.coefficients_nm)
        shared = min(len(found.seeds_nm), len(own.seeds_nm))
        assert shared > 100
        assert np.array_equal(found.seeds_nm[:shared], own.seeds_nm[:shared])
        # Each of the grains that a shell cuts, about half of those kept, is in or out as a whole.
        volumes = found.volumes_nm3[found.kept].astype(float)
        assert abs(volumes.sum() - shell.volume_nm3) < 4 * math.sqrt(len(volumes)) * volumes.mean()


class TestWindow:
    def test_larger_first_margins_give_the_same_record(self, any_model, monkeypatch):
        before = any_model.draw(6, 1)
        monkeypatch.setattr(seed_window, "_EDGE", 2 * seed_window._EDGE)
        monkeypatch.setattr(seed_window, "_COST", 2 * seed_window._COST)
        assert same(before, dataclasses.replace(any_model).draw(6, 1))

    def test_first_margins_that_are_too_small_grow(self, any_model, monkeypatch):
        before = any_model.draw(6, 1)
        monkeypatch.setattr(seed_window, "_EDGE", 0.3)
        monkeypatch.setattr(seed_window, "_COST", 0.01)
        assert same(before, dataclasses.replace(any_model).draw(6, 1))

    def test_no_seed_beyond_those_stored_wins_a_point_within_reach(self, any_model):
        """Seen at the points of the lattice of the proof and at points between them."""
        particle = any_model.draw(6, 1)
        more = any_model.grains.draw(particle.reach_nm + 4000.0, 6, 1)
        n = len(particle.kept)
        assert np.array_equal(more.seeds_nm[:n], particle.seeds_nm)
        assert len(more.gammas) > 2 * n
        for step in (any_model.grains.spacing_nm / 4, 47.0):
            mine, _ = lattice_labels(particle, step, particle.reach_nm)
            theirs, _ = lattice_labels(more, step, particle.reach_nm)
            assert np.array_equal(mine, theirs)

    def test_the_box_holds_the_particle(self, particle):
        labels, points = lattice_labels(particle, 40.0, particle.reach_nm)
        kept = particle.kept[labels.reshape(-1)] & (labels.reshape(-1) >= 0)
        assert (points[kept] >= particle.box_nm[0]).all()
        assert (points[kept] <= particle.box_nm[1]).all()

    def test_bits_do_not_depend_on_threads(self, any_model):
        threads = thread_count()
        try:
            set_thread_count(1)
            one = any_model.draw(1, 1)
            set_thread_count(2)
            assert same(one, any_model.draw(1, 1))
        finally:
            set_thread_count(threads)


class TestRecord:
    def test_types_are_those_of_the_record(self, particle):
        n = len(particle.kept)
        expected = {
            "coefficients_nm": ("float64", (100,)),
            "seeds_nm": ("float32", (n, 3)),
            "diagonals": ("float32", (n, 3)),
            "offsets_nm2": ("float32", (n,)),
            "gammas": ("float32", (n,)),
            "kept": ("bool", (n,)),
            "centroids_nm": ("float32", (n, 3)),
            "volumes_nm3": ("float32", (n,)),
            "box_nm": ("float32", (2, 3)),
        }
        assert {k: (str(v.dtype), v.shape) for k, v in arrays_of(particle).items() if k in expected} == expected
        assert particle.bundle_hash == load_bundle(BUNDLE).content_hash
        assert np.float32(particle.reach_nm) == particle.reach_nm

    def test_a_record_read_back_renders_the_same(self, particle):
        stored = {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays_of(particle).items() if a.ndim}
        read = {name: np.frombuffer(blob, dtype).reshape(shape) for name, (dtype, shape, blob) in stored.items()}
        copy = dataclasses.replace(particle, **read)
        assert np.array_equal(copy.voxelize(60.0), particle.voxelize(60.0))
        plane = (30.0, (1, 2, 3), (100, 0, 0))
        assert np.array_equal(copy.section(*plane), particle.section(*plane))

    def test_a_name_a_path_and_a_bundle_give_the_same(self, particle, tmp_path):
        folder = nmcdist.bundle.save_bundle(load_bundle(BUNDLE), tmp_path / "b")
        for bundle in (load_bundle(BUNDLE), folder):
            assert same(nmcdist.generate_particle(bundle, seed=1, index=0), particle)
        assert not same(generate_particle(BUNDLE, seed=2), particle)


class TestVoxels:
    def test_labels_are_rows_of_kept_grains(self, particle):
        """Each voxel by brute force over all seeds."""
        voxel = 110.0
        labels = particle.voxelize(voxel, pieces="keep")
        shape, origin = particle.grid(voxel)
        assert labels.shape == shape
        assert labels.dtype == np.int32
        points = np.indices(shape).reshape(3, -1).T * voxel + np.array(origin)
        matrices = particle.matrices()
        expected = np.zeros(len(points), dtype=np.int64)
        for i, point in enumerate(points):
            if np.linalg.norm(point) <= particle.reach_nm:
                d = point - particle.seeds_nm
                row = np.argmin(np.einsum("ni,nij,nj->n", d, matrices, d) - particle.offsets_nm2)
                expected[i] = row + 1 if particle.kept[row] else 0
        assert np.array_equal(labels.reshape(-1), expected)

    def test_voxels_nest(self, particle):
        """A voxel covers [k, k + 1] times its size."""
        for voxel in (33.0, 66.0):
            _, origin = particle.grid(voxel)
            assert (np.array(origin) / voxel) % 1.0 == pytest.approx(0.5)

    def test_volumes_of_fine_voxels_add_up_to_those_of_the_record(self, particle):
        labels = particle.voxelize(30.0)
        assert np.count_nonzero(labels) * 30.0**3 == pytest.approx(particle.volumes_nm3.sum(dtype=float), rel=0.02)

    def test_merged_grains_are_connected(self, particle):
        raw, merged = particle.voxelize(40.0, pieces="keep"), particle.voxelize(40.0)
        assert all(ndimage.label(merged == k)[1] == 1 for k in np.unique(merged)[1:])
        counts = merge_pieces(raw)
        assert np.array_equal(raw, merged)
        assert counts.pieces >= counts.grains > 0

    def test_a_particle_without_grains_is_one_voxel_of_outside(self):
        bundle = load_bundle(BUNDLE).with_parameters(grain_intensity_per_nm3=1e-13)
        empty = generate_particle(bundle, seed=1)
        assert not empty.kept.any()
        assert empty.voxelize(50.0).tolist() == [[[0]]]
        assert not empty.section(50.0).any()


class TestSections:
    def test_a_section_along_the_axes_is_a_slice_of_the_voxels(self, particle):
        voxel = 50.0
        volume = particle.voxelize(voxel, pieces="keep")
        shape, origin = particle.grid(voxel)
        first = [round(o / voxel - 0.5) for o in origin]
        for axis in range(3):
            normal = np.eye(3)[axis] * -2.0
            plane = particle.section(voxel, normal, (origin[axis] + (12 + 15 * axis) * voxel) * np.eye(3)[axis])
            half, others = len(plane) // 2, [a for a in range(3) if a != axis]
            # Both hold the pixels from `low` to `high`, counted from the centre.
            low = [max(first[a], -half) for a in others]
            high = [min(first[a] + shape[a], half) for a in others]
            slab = np.take(volume, 12 + 15 * axis, axis=axis)
            mine = plane[tuple(slice(i + half, j + half) for i, j in zip(low, high, strict=True))]
            theirs = tuple(slice(i - first[a], j - first[a]) for a, i, j in zip(others, low, high, strict=True))
            assert np.array_equal(mine, slab[theirs])
            assert np.count_nonzero(plane) == np.count_nonzero(slab) > 100

    def test_an_inclined_section_by_brute_force(self, particle):
        normal, through, voxel = np.array([2.0, -1.0, 2.0]) / 3, np.array([100.0, 50.0, -80.0]), 70.0
        plane = particle.section(voxel, 5 * normal, through)
        # Axis 0 ties with axis 2 as the nearest to the normal, and comes first.
        rows = np.array([0.0, 1, 0]) - normal[1] * normal
        rows /= np.linalg.norm(rows)
        columns = np.cross(normal, rows)
        columns *= np.sign(columns[2])
        half, matrices = len(plane) // 2, particle.matrices()
        for i, j in np.ndindex(plane.shape):
            point = normal * (normal @ through) + voxel * ((i + 0.5 - half) * rows + (j + 0.5 - half) * columns)
            d = point - particle.seeds_nm
            row = np.argmin(np.einsum("ni,nij,nj->n", d, matrices, d) - particle.offsets_nm2)
            inside = particle.kept[row] and np.linalg.norm(point) <= particle.reach_nm
            assert plane[i, j] == (row + 1 if inside else 0)
        assert np.count_nonzero(plane) > 100


class TestBadInput:
    @pytest.mark.parametrize("render", [Particle.grid, Particle.voxelize, Particle.section])
    def test_voxels_larger_than_the_particle(self, particle, render):
        with pytest.raises(InputError, match=r"voxel_size_nm: found 20000.0 nm, expected at most the particle's \d+"):
            render(particle, 20000.0)

    @pytest.mark.parametrize("voxel", [0, -5.0, math.nan, math.inf, "50", True, None])
    def test_impossible_voxel_sizes(self, particle, voxel):
        with pytest.raises(InputError, match=r"^voxel_size_nm: found .*, expected a positive number"):
            particle.voxelize(voxel)

    def test_so_many_voxels_that_nobody_wants_them(self, particle):
        with pytest.raises(InputError, match=r"^voxel_size_nm: found 0.05 nm, which gives .*e\+.* voxels, expected at"):
            particle.voxelize(0.05)  # micrometres

    def test_an_unknown_rule_for_pieces(self, particle):
        with pytest.raises(InputError, match=r"^pieces: found 'drop', expected 'merge' or 'keep'"):
            particle.voxelize(50.0, pieces="drop")

    @pytest.mark.parametrize(
        ("normal", "point", "message"),
        [
            ((0, 0, 0), (0, 0, 0), "normal: found"),
            ((1, 0), (0, 0, 0), "normal: found shape"),
            ((1, 0, 0), (math.nan, 0, 0), "point_nm: found nan"),
            ((1, 0, 0), (1e5, 0, 0), "point_nm: found a plane at 100000 nm from the centre, expected less than"),
        ],
    )
    def test_planes_that_are_none_or_miss(self, particle, normal, point, message):
        with pytest.raises(InputError, match=f"^{message}"):
            particle.section(50.0, normal, point)

    def test_a_bundle_without_a_marker_law(self):
        with pytest.raises(BundleError, match="has no marker law"):
            generate_particle("cba-cathode-2025", seed=1)

    def test_a_negative_intensity(self):
        with pytest.raises(BundleError, match="grain_intensity_per_nm3"):
            generate_particle(load_bundle(BUNDLE).with_parameters(grain_intensity_per_nm3=-1.0), seed=1)

    @pytest.mark.parametrize("key", [{"seed": -1}, {"seed": 1, "index": 2**32}, {"seed": 1.5}])
    def test_impossible_keys(self, key):
        with pytest.raises(InputError, match=r"^(seed|index): found"):
            generate_particle(BUNDLE, **key)
