"""Measurements of labelled images, refereed by closed forms, brute force, and the descriptors of additive volumes."""

import json
import math
from itertools import groupby, product

import dask.array
import numpy as np
import pytest
import tifffile
import xarray as xr

import nmcdist
from nmcdist.errors import ImageError, InputError, NmcdistError

GREYS = {"pore": 0, "nmc": 85, "cbd": 170}
PLATES = {"pore": 0, "solid": 1}
EDGES = (20.0, 10.0, 5.0)


def laminate(axis, edges, layers=((0, 3), (1, 5), (0, 4), (1, 2))):
    """Return plates across an axis, as (phase, voxels), with a dozen voxels along the other axes."""
    line = np.concatenate([np.full(n, phase) for phase, n in layers])
    shape = [1, 1, 1]
    shape[axis] = len(line)
    return np.broadcast_to(line.reshape(shape), [12 if n == 1 else n for n in shape]).copy()


def noise(shape, seed, labels=3):
    return np.random.default_rng([31, seed]).integers(0, labels, shape).astype(np.uint8)


class TestLaminates:
    """Plates across each axis, on voxels with three edges: everything directional is known."""

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_everything_directional_is_exact(self, axis):
        labels, edge = laminate(axis, EDGES), EDGES[axis]
        found = nmcdist.measure(labels, PLATES, EDGES, conductivity={"pore": 1.0, "solid": 0.1})
        others = [k for k in range(3) if k != axis]
        np.testing.assert_array_equal(found["volume_fraction"], [7 / 14, 7 / 14])
        series = 1 / (0.5 / 1.0 + 0.5 / 0.1)
        together = found["effective_conductivity"].sel(conduction="together").values
        assert together[axis] == pytest.approx(series, rel=1e-4)
        assert together[others] == pytest.approx(0.55, rel=1e-4)
        alone = found["m_factor"].sel(conduction="pore").values
        assert alone[axis] == 0
        assert alone[others] == pytest.approx(0.5, rel=1e-4)
        tortuosity = found["geodesic_tortuosity"].sel(phase="solid").values
        assert math.isnan(tortuosity[axis])
        assert tortuosity[others] == pytest.approx(1, abs=1e-6)
        fraction = found["percolating_fraction"].sel(phase="solid").values
        assert (fraction[axis], *fraction[others]) == (0, 1, 1)
        # Of the plates, only those with both faces within the volume give chords across: 5 voxels solid, 4 pore.
        assert found["chords"].values[:, axis].tolist() == [144, 144]
        assert found["chord_length_mean"].values[:, axis].tolist() == [4 * edge, 5 * edge]
        assert (found["chords"].values[:, others] == 0).all()

    @pytest.mark.parametrize("axis", [1, 2])
    def test_planar(self, axis):
        labels = laminate(axis, EDGES)[0]
        found = nmcdist.measure(labels, PLATES, EDGES[1:], conductivity={"pore": 1.0, "solid": 0.1})
        assert found["axis"].values.tolist() == ["y", "x"]
        assert found["active_area"].attrs["long_name"] == "active length of two phases per area"
        along, across = axis - 1, 2 - axis
        np.testing.assert_array_equal(found["area_fraction"], [0.5, 0.5])
        together = found["effective_conductivity"].sel(conduction="together").values
        assert together[along] == pytest.approx(1 / (0.5 + 5), rel=1e-4)
        assert together[across] == pytest.approx(0.55, rel=1e-4)
        assert found["chord_length_mean"].values[:, along].tolist() == [4 * EDGES[axis], 5 * EDGES[axis]]
        assert found["geodesic_tortuosity"].sel(phase="pore").values[across] == pytest.approx(1, abs=1e-6)
        assert "permeability" not in found and "triple_points" not in found

    def test_flow_between_plates(self):
        """A slit of height h has the permeability h^2 / 12 times its share of the area; walls across y."""
        labels = laminate(1, EDGES, ((1, 3), (0, 6), (1, 3)))
        found = nmcdist.measure(labels, PLATES, EDGES, descriptors="volumes", fluid="pore", along="zx")
        exact = (6 * EDGES[1]) ** 2 / 12 * 0.5
        assert found["permeability"].values[0] == pytest.approx(exact, rel=1e-5)
        assert found["permeability"].attrs["boundary"] == "open"


class TestTheSameStructure:
    """Overlapping balls on cubes of 10 nm, and on voxels of 20 x 10 x 10 nm: one structure, two discretisations."""

    SIDE, RADIUS = 800.0, 70.0

    def labels(self, edges):
        rng = np.random.default_rng([32, 0])
        centres = rng.uniform(-self.RADIUS, self.SIDE + self.RADIUS, (500, 3))
        grids = [(np.arange(round(self.SIDE / edge)) + 0.5) * edge for edge in edges]
        solid = np.zeros([len(grid) for grid in grids], np.uint8)
        for centre in centres:
            near = [np.flatnonzero(abs(grid - c) < self.RADIUS) for grid, c in zip(grids, centre, strict=True)]
            parts = [np.square(grid[n] - c) for grid, n, c in zip(grids, near, centre, strict=True)]
            solid[np.ix_(*near)] |= (sum(np.ix_(*parts)) < self.RADIUS**2).astype(np.uint8)
        return solid

    def test_boxes_agree_with_cubes(self):
        """Boxes are no farther from cubes of 10 nm than cubes of 20 nm are, but for 0.5 % where these are close.

        Steps of 26 neighbours make paths 9 % too long on cubes and 12 % on these boxes; flow and current through
        throats of a few voxels are resolved to some percent (current to 13 % on the coarse cubes, half of that here);
        and chords depend on the edge along their axis alone.
        """
        fine, boxes, coarse = (
            nmcdist.measure(self.labels(edges), PLATES, edges, fluid="pore", max_lag_nm=200.0, along="zx")
            for edges in ((10.0, 10.0, 10.0), (20.0, 10.0, 10.0), (20.0, 20.0, 20.0))
        )
        for name in (
            "volume_fraction",
            "surface_area",
            "interface_area",
            "r_max_nm",
            "percolating_fraction",
        ):
            allowed = np.maximum(abs(coarse[name] - fine[name]), 0.005 * abs(fine[name]))
            assert (abs(boxes[name] - fine[name]) <= allowed).all(), name
        for name, bound in (("geodesic_tortuosity", 0.05), ("permeability", 0.05), ("m_factor", 0.07)):
            np.testing.assert_allclose(boxes[name], fine[name], rtol=bound, err_msg=name)
        chords = [data["chord_length_mean"] for data in (fine, boxes, coarse)]
        np.testing.assert_allclose(chords[1].sel(axis="x"), chords[0].sel(axis="x"), rtol=0.02)
        np.testing.assert_allclose(chords[1].sel(axis="z"), chords[2].sel(axis="z"), rtol=0.02)
        lags = fine["lag_nm"].values
        ours, theirs = (
            np.interp(lags, data["lag_nm"], data["two_point_coverage"].sel(phase="pore")) for data in (boxes, fine)
        )
        np.testing.assert_allclose(ours, theirs, atol=0.006)


class TestAgainstTheAdditive:
    def test_equals_the_description_of_an_additive_volume(self):
        labels = nmcdist.generate_cba("cba-cathode-2025", shape=(40, 36, 44), voxel_size_nm=40.0, seed=3)
        phases = {"pore": 0, "carbon_binder": 1, "graphite": 2, "solid": [1, 2]}
        described = nmcdist.describe_cba(labels, 40.0)
        found = nmcdist.measure(labels, phases, 40.0, conductivity={"graphite": 1.0, "carbon_binder": 0.01})
        renamed = found.sel(conduction=["pore", "together"]).assign_coords(conduction=["pore", "solid"])
        for name, expected in described.data_vars.items():
            ours = renamed[name].isel({dim: slice(0, expected.sizes[dim]) for dim in expected.dims})
            np.testing.assert_array_equal(ours, expected, err_msg=name)


class TestBruteForce:
    def test_chords_are_the_inner_runs_of_each_line(self):
        labels = noise((7, 9, 8), 1)
        found = nmcdist.measure(labels, {"a": 0, "b": 1, "c": 2}, EDGES, descriptors=["chords"])
        for phase, (axis, name) in product(range(3), enumerate("zyx")):
            lengths = []
            for line in np.moveaxis(labels, axis, -1).reshape(-1, labels.shape[axis]):
                runs = [(value, len(list(run))) for value, run in groupby(line)]
                lengths += [n * EDGES[axis] for value, n in runs[1:-1] if value == phase]
            place = {"phase": "abc"[phase], "axis": name}
            assert int(found["chords"].sel(place)) == len(lengths)
            # A chord of m of n voxels lies within the faces in n - m - 1 of its n places.
            weights = [1 / (labels.shape[axis] - 1 - length / EDGES[axis]) for length in lengths]
            assert float(found["chord_length_mean"].sel(place)) == pytest.approx(np.average(lengths, weights=weights))
            longer = [np.array(lengths) >= length - 1e-9 for length in found["length_nm"].values]
            shares = [np.average(each, weights=weights) for each in longer]
            np.testing.assert_allclose(found["chord_length_distribution"].sel(place), shares)

    def test_periodic_sums_are_those_of_all_shifts(self):
        labels, edges = noise((5, 4, 6), 2, 2), (10.0, 20.0, 10.0)
        found = nmcdist.measure(labels, PLATES, edges, descriptors=["volumes", "coverage"], periodic=True)
        mask = labels == 0
        counts: dict[int, list[int]] = {}
        reach = range(-2, 3)
        for step in product(reach, reach, reach):
            lag = round(math.hypot(*(s * e for s, e in zip(step, edges, strict=True))) / 10)
            both = int((mask & np.roll(mask, step, (0, 1, 2))).sum())
            counts.setdefault(lag, []).append(both)
        for lag, coverage in enumerate(found["two_point_coverage"].sel(phase="pore").values):
            assert coverage == pytest.approx(np.mean(counts[lag]) / mask.size, rel=1e-12)
        # The surface of the continued image does not depend on where it is cut.
        shifted = nmcdist.measure(
            np.roll(labels, (2, 1, 3), (0, 1, 2)), PLATES, edges, descriptors="volumes", periodic=True
        )
        xr.testing.assert_allclose(found["surface_area"], shifted["surface_area"])
        assert not np.isclose(*(nmcdist.measure(each, PLATES, edges, descriptors="volumes")["surface_area"].values[0]
                                for each in (labels, np.roll(labels, (2, 1, 3), (0, 1, 2)))))  # fmt: skip

    def test_periodic_sizes_are_those_of_a_copy_among_copies(self):
        labels = (noise((8, 7, 9), 3, 10) > 1).astype(np.uint8)
        found = nmcdist.measure(labels, PLATES, 10.0, descriptors="sizes", periodic=True)
        mask = np.tile(labels == 1, (3, 3, 3))
        outside = np.argwhere(~mask)
        centres = np.argwhere(mask)
        distance2 = np.array([((outside - centre) ** 2).sum(axis=1).min() for centre in centres])
        inside = np.argwhere(np.pad(labels, [(n, n) for n in labels.shape]) == 1)
        for radius, share in zip(
            found["radius_nm"].values, found["pore_size_distribution"].sel(phase="solid").values, strict=True
        ):
            wide = centres[distance2 * 100 >= radius**2], distance2[distance2 * 100 >= radius**2]
            covered = [
                bool((((wide[0] - voxel) ** 2).sum(axis=1) < wide[1]).any()) if radius else True for voxel in inside
            ]
            assert share == pytest.approx(np.mean(covered)), radius

    def test_pieces_and_active_area(self):
        labels = np.zeros((6, 5, 5), np.uint8)
        labels[:3, 1:4, 1:4] = 1  # connected to the first face only
        labels[5, 0, 0] = 1
        found = nmcdist.measure(labels, PLATES, 10.0, descriptors="connections", along="z")
        solid = found.sel(phase="solid", axis="z")
        assert int(solid["pieces"]) == 2
        assert float(solid["largest_piece_share"]) == pytest.approx(27 / 28)
        assert float(solid["connected_to_first"]) == pytest.approx(27 / 28)
        assert float(solid["connected_to_last"]) == pytest.approx(1 / 28)
        assert float(solid["percolating_fraction"]) == 0
        areas = found["active_area"].sel(axis="z")
        assert float(areas.sel(contact="solid > pore")) > float(areas.sel(contact="pore > solid")) > 0

    def test_planar_contacts(self):
        """Boundaries of a square between two half planes, and its corners, where three phases meet."""
        labels = np.zeros((200, 200), np.uint8)
        labels[:, 100:] = 1
        labels[50:150, 50:150] = 2
        found = nmcdist.measure(labels, {"a": 0, "b": 1, "c": 2}, 10.0, descriptors="interfaces")
        area = (199 * 10.0) ** 2
        assert float(found["triple_points"][0]) * area == pytest.approx(2)
        lengths = found["interface_length"] * area
        # Straight edges along the axes are 5 % short at most, and a pixel is lost at each end.
        assert float(lengths.sel(interface="a / c")) == pytest.approx(2000, rel=0.06)
        assert float(lengths.sel(interface="a / b")) == pytest.approx(1000, rel=0.05 + 0.03)


class TestWaysIn:
    def labels(self):
        return np.array([0, 85, 170], np.uint8)[noise((20, 18, 22), 5)]

    def test_blocks_equal_the_whole(self):
        labels = self.labels()
        chosen = {"descriptors": ["volumes", "coverage", "interfaces"], "voxel_size_nm": EDGES, "max_lag_nm": 40.0}
        whole = nmcdist.measure(labels, GREYS, **chosen)
        assert {"two_point_coverage", "interface_area", "triple_line_length", "euler_number_6"} <= set(whole)
        lazy = dask.array.from_array(labels, chunks=(7, 9, 8))
        xr.testing.assert_identical(whole, nmcdist.measure(lazy, GREYS, blocks=9, **chosen))
        xr.testing.assert_identical(whole, nmcdist.measure(labels.astype(np.float32), GREYS, **chosen))

    def test_planes_are_images_of_their_own(self):
        labels = self.labels()[:3]
        found = nmcdist.measure(labels, GREYS, 10.0, planes=True, descriptors=["volumes", "sizes", "paths"])
        for number, plane in enumerate(labels):
            alone = nmcdist.measure(plane, GREYS, 10.0, descriptors=["volumes", "sizes", "paths"])
            xr.testing.assert_equal(found.sel(plane=number, drop=True), alone)

    def test_windows_are_parts_of_the_image(self):
        labels = self.labels()
        found = nmcdist.measure(labels, GREYS, 10.0, windows=[2], descriptors=["volumes", "conduction"])
        boxes = [labels[z : z + 10, y : y + 9, x : x + 11] for z, y, x in product((0, 10), (0, 9), (0, 11))]
        parts = [nmcdist.measure(box, GREYS, 10.0, descriptors=["volumes", "conduction"]) for box in boxes]
        for name in ("volume_fraction", "m_factor"):
            values = np.stack([part[name] for part in parts])
            np.testing.assert_allclose(found[f"{name}_windows_mean"].sel(windows=2), values.mean(axis=0))
            np.testing.assert_allclose(found[f"{name}_windows_sd"].sel(windows=2), values.std(axis=0, ddof=1))
        assert found["window_count"].values.tolist() == [8]
        assert found["window_side_nm"].values.tolist() == [90]
        assert "two_point_coverage_windows_mean" not in found

    def test_numbers_of_numpy_are_numbers(self):
        labels = self.labels()
        expected = nmcdist.measure(labels, voxel_size_nm=10.0, descriptors="volumes")
        for edge in (np.int64(10), np.float32(10), [np.int32(10)] * 3):
            found = nmcdist.measure(labels.astype(np.float16), voxel_size_nm=edge, descriptors="volumes")
            xr.testing.assert_identical(found, expected)

    @pytest.mark.parametrize(("boundary", "exact"), [("open", 50.0**2 / 12 * 5 / 9), ("walls", 50.0**2 / 12 * 5 / 9)])
    def test_flow_in_a_planar_image_is_that_of_a_slit(self, boundary, exact):
        """h^2 / 12 times the porosity along the slit, and nothing across it; the planes of a stack are measured so."""
        image = np.zeros((9, 8), np.uint8)
        image[2:7] = 1
        chosen = {"descriptors": [], "fluid": "pore", "boundary": boundary}
        found = nmcdist.measure(image, {"solid": 0, "pore": 1}, 10.0, **chosen)["permeability"].sel(fluid="pore")
        assert found.sel(axis="x") == pytest.approx(exact, rel=1e-4)
        assert found.sel(axis="y") == 0
        planes = nmcdist.measure(np.stack([image, image]), {"solid": 0, "pore": 1}, 10.0, planes=True, **chosen)
        assert planes["permeability"].sel(fluid="pore", axis="x").values == pytest.approx(
            [float(found.sel(axis="x"))] * 2
        )

    def test_a_fluid_given_twice_is_solved_once(self):
        found = nmcdist.measure(
            self.labels() > 0, {"solid": 0, "pore": 1}, 10.0, descriptors=[], fluid=["pore", "pore"], along="x"
        )
        assert found["permeability"].shape == (1, 1)

    def test_triple_lines_of_many_phases_are_left_out(self):
        found = nmcdist.measure(noise((9, 9, 9), 8, 12), voxel_size_nm=10.0, descriptors="interfaces")
        assert found.sizes["interface"] == 66
        assert "triple_line_length" not in found

    def test_names_are_given_to_labels_without_names(self):
        found = nmcdist.measure(self.labels(), voxel_size_nm=10.0, descriptors="volumes")
        assert found["phase"].values.tolist() == ["label 0", "label 85", "label 170"]

    def test_an_array_of_xarray_says_its_voxels(self):
        array = xr.DataArray(self.labels(), dims=("z", "y", "x"), attrs={"voxel_size_nm": 12.0})
        found = nmcdist.measure(array, GREYS, descriptors="volumes")
        xr.testing.assert_identical(found, nmcdist.measure(self.labels(), GREYS, 12.0, descriptors="volumes"))
        from_netcdf = array.assign_attrs(voxel_size_nm=np.full(3, 12.0))
        xr.testing.assert_identical(found, nmcdist.measure(from_netcdf, GREYS, descriptors="volumes"))
        given = nmcdist.measure(array, GREYS, 10.0, descriptors="volumes")
        xr.testing.assert_identical(given, nmcdist.measure(self.labels(), GREYS, 10.0, descriptors="volumes"))

    def test_the_file_says_its_voxels(self, tmp_path):
        about = {"spacing": 0.02, "unit": "um", "axes": "ZYX"}
        tifffile.imwrite(tmp_path / "a.tif", self.labels(), imagej=True, resolution=(200, 100), metadata=about)
        found = nmcdist.measure(tmp_path / "a.tif", GREYS, descriptors="interfaces")
        assert found.attrs["voxel_size_nm"] == pytest.approx(EDGES)
        expected = nmcdist.measure(self.labels(), GREYS, EDGES, descriptors="interfaces")
        xr.testing.assert_allclose(found, expected)
        assert json.loads(found.attrs["phases"]) == {"pore": [0], "nmc": [85], "cbd": [170]}


LABELS = noise((12, 10, 11), 7)


@pytest.mark.parametrize(
    ("image", "options", "complaint"),
    [
        (LABELS, {"phases": {"pore": 0, "nmc": 1}}, r"phases: label 2 \(.* % of image\) has no name: add NAME=2"),
        (LABELS, {"phases": {"pore": 0, "nmc": 1, "cbd": 5}}, "phases: cbd = 5: no voxel of image has this label"),
        (LABELS, {"phases": {"pore": True}}, "phases: pore: found True, expected a whole number"),
        (LABELS, {"phases": {"a|b": 0}}, r"phases: found the name 'a\|b', expected a word"),
        (LABELS, {"phases": [0, 1]}, r"phases: found \[0, 1\], expected labels by name"),
        (LABELS, {"voxel_size_nm": None}, "voxel_size_nm: found None, expected the edge of a voxel in nm"),
        (
            xr.DataArray(LABELS, attrs={"voxel_size_nm": "small"}), {"voxel_size_nm": None},
            "voxel_size_nm: found 'small', expected",
        ),
        (LABELS, {"voxel_size_nm": (1, 2)}, "voxel_size_nm: found"),
        (LABELS, {"voxel_size_nm": -1}, "voxel_size_nm: found -1"),
        (LABELS, {"descriptors": "tortuosity"}, "descriptors: found 'tortuosity', expected some of volumes, coverage"),
        (LABELS, {"descriptors": 3}, "descriptors: found 3"),
        (LABELS, {"conductivity": {"nmc": 1}}, "conductivity: found the phase 'nmc', expected some of label 0"),
        (LABELS, {"conductivity": {"label 0": -1}}, "conductivity of label 0: found -1"),
        (LABELS, {"conductivity": 3}, "conductivity: found 3, expected numbers by phase"),
        (LABELS, {"fluid": "oil"}, "fluid: found 'oil', expected one of the phases label 0"),
        (LABELS, {"boundary": "closed"}, "boundary: found 'closed', expected 'open'"),
        (LABELS, {"along": "zz"}, "along: found 'zz', expected some of z, y, x, each once"),
        (LABELS[0], {"along": "z"}, "along: found 'z', expected some of y, x"),
        (LABELS[0], {"fluid": "oil"}, "fluid: found 'oil', expected one of the phases label 0"),
        (LABELS[0], {"planes": True}, "image: is one planar image, expected a stack"),
        (LABELS, {"windows": [1]}, "windows: found 1"),
        (LABELS, {"windows": [2]}, "windows: found 2 parts of 10 voxels, expected windows of 8 voxels or more"),
        (LABELS, {"windows": 2}, "windows: found 2, expected numbers of parts"),
        (LABELS, {"blocks": 8, "descriptors": ["sizes"]}, "blocks: found other choices, expected a volume"),
        (LABELS, {"blocks": 2}, "blocks: found 2, expected a whole number from 8"),
        (LABELS, {"blocks": 8, "planes": True, "descriptors": "volumes"}, "blocks: found other choices"),
        (noise((16, 16, 16), 8), {"blocks": 8, "windows": [2], "descriptors": "volumes"}, "blocks: found other"),
        (LABELS, {"blocks": 8, "conductivity": {"label 0": 1}}, "blocks: found other choices"),
        (noise((9, 16, 16), 8), {"windows": [2], "planes": True}, "windows: found planes, too, expected one image"),
        (LABELS, {"phases": {"a": np.array(0)}}, "phases: label 1 .* has no name"),
        (LABELS, {"phases": {"together": 0, "b": [1, 2]}, "conductivity": {"b": 1}}, "phases: found the name together"),
        (LABELS, {"descriptors": []}, "descriptors: found none, expected some of volumes"),
        (LABELS, {"conductivity": {"label 0": math.inf}}, "conductivity of label 0: found inf, expected a finite"),
        (LABELS, {"conductivity": {"label 0": 10**400}}, "conductivity of label 0: found 1000"),
        (LABELS, {"max_lag_nm": 10**400}, "max_lag_nm: found 1000"),
        (LABELS, {"fluid": 3.5}, "fluid: found 3.5, expected one of the phases"),
        (LABELS, {"axes": "xyz"}, "axes: found 'xyz', expected None: an array has the order z, y, x"),
        (xr.DataArray(LABELS[0], dims=("z", "x")), {}, "image: found dimensions z, x, expected the order y, x"),
        (np.ma.masked_equal(LABELS, 1), {}, "image: found voxels that are masked, expected a label for each"),
        ([[1, 2], [1]], {}, r"image: found \[\[1, 2\], \[1\]\], expected an array of labels"),
        (xr.Dataset({"a": (("z", "y", "x"), LABELS)}), {}, "image: found .*, expected an array of labels"),
        (LABELS, {"max_lag_nm": 0}, "max_lag_nm: found 0"),
        (LABELS, {"periodic": "yes"}, "periodic: found 'yes'"),
        (LABELS[0, 0], {}, r"image: found shape \(11,\)"),
        (LABELS[:1], {}, "image: found shape .*, expected two voxels or more along each axis"),
        (LABELS + 0.5, {}, "image: found the value 0.5, expected whole numbers as labels: segment a grey image first"),
        (np.arange(1000).reshape(10, 10, 10), {}, "image: found more than 64 different values"),
        (np.where(LABELS == 1, np.nan, LABELS), {}, "image: found the value nan"),
        (LABELS.astype("U1"), {}, "image: found shape .* and type <U1, expected labels"),
        (dask.array.zeros((20000, 20000, 20000), np.uint8), {"phases": {"a": 0}}, "needs .* GiB of memory"),
        (xr.DataArray(LABELS, dims=("x", "y", "z")), {}, "image: found dimensions x, y, z, expected the order z, y, x"),
    ],
)  # fmt: skip
def test_what_is_refused(image, options, complaint, monkeypatch):
    if isinstance(image, dask.array.Array):  # what is refused is refused before it is read
        monkeypatch.setattr("nmcdist.measurement.measure.labels_in", lambda image: {0: 1})
    with pytest.raises(NmcdistError, match=complaint) as caught:
        nmcdist.measure(image, **{"voxel_size_nm": 10.0, **options})
    assert isinstance(caught.value, InputError | ImageError)
    assert len(str(caught.value).splitlines()) == 1


def test_a_dataset_is_refused_with_what_makes_an_image_of_it(made_once):
    store = made_once / "tiny.zarr"
    with pytest.raises(InputError, match=f"tiny.zarr: is a dataset of items, .*: nmcdist export {store} --item 0 --f"):
        nmcdist.measure(store)


def test_boxes_need_the_order_of_the_axes(tmp_path):
    np.save(tmp_path / "a.npy", LABELS)
    nmcdist.measure(tmp_path / "a.npy", None, 10.0, descriptors="volumes")
    with pytest.raises(
        InputError, match=r"a\.npy: does not say the order of its axes, which voxels with several edges"
    ):
        nmcdist.measure(tmp_path / "a.npy", None, EDGES, descriptors="volumes")
    turned = nmcdist.measure(tmp_path / "a.npy", None, EDGES, axes="xyz", descriptors="volumes")
    expected = nmcdist.measure(LABELS.transpose(2, 1, 0), None, EDGES, descriptors="volumes")
    xr.testing.assert_equal(turned, expected)
