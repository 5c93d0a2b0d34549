"""Pore networks: balls joined by tubes have known pores and throats, in a file read as OpenPNM reads it."""

import re

import numpy as np
import pandas as pd
import pytest

from nmcdist.datasets import export_labels
from nmcdist.errors import InputError, MissingPackageError, NmcdistError
from nmcdist.products.stores import export_item

VOXEL_NM = 20.0
ORIGIN = (1000.0, -500.0, 200.0)
NAMES = {0: "pore", 1: "binder", 2: "graphite"}
BALLS = (2, 1, 3)  # along z, y, x
STEP, RADIUS, TUBE = 18, 6, 2  # voxels


def balls_and_tubes():
    """Balls on a lattice, joined by tubes along each axis that go on to the faces; 0 inside, 2 outside."""
    shape = tuple(n * STEP for n in BALLS)
    place = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) % STEP - STEP // 2
    square = place**2
    inside = square.sum(axis=-1) <= RADIUS**2
    for axis in range(3):
        inside |= square.sum(axis=-1) - square[..., axis] <= TUBE**2
    return np.where(inside, 0, 2).astype(np.uint8)


def centres():
    """The centres of the balls: x, y, z in m."""
    index = np.stack(np.meshgrid(*map(np.arange, BALLS), indexing="ij"), axis=-1).reshape(-1, 3) * STEP + STEP // 2
    return (index * VOXEL_NM + ORIGIN)[:, ::-1] * 1e-9


def by_pandas(path):
    """Read a network as OpenPNM's `network_from_csv` does: columns a[0], a[1] make an array, empty cells end one."""
    table = pd.read_csv(path)
    found = {}
    for name in dict.fromkeys(column.partition("[")[0] for column in table):
        parts = [column for column in table if column.partition("[")[0] == name]
        rows = table[parts].dropna()
        found[name] = rows.to_numpy() if len(parts) > 1 else rows[name].to_numpy()
        if found[name].dtype == object:
            found[name] = found[name].astype(bool)
    return found


def export(path, labels=None, names=NAMES, **options):
    labels = balls_and_tubes() if labels is None else labels
    return export_labels(labels, VOXEL_NM, ORIGIN, "network", path / "a.csv", names=names, **options)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return export(tmp_path_factory.mktemp("network"))


def test_balls_are_pores_and_tubes_are_throats(path):
    net = by_pandas(path)
    boundary = net["pore.boundary"].astype(bool)
    pores = net["pore.coords"][~boundary]
    distances = np.linalg.norm(pores[:, None] - centres(), axis=-1)
    nearest = distances.argmin(axis=1)
    assert sorted(nearest) == list(range(6))
    assert distances.min(axis=1).max() < 0.3 * VOXEL_NM * 1e-9
    # along z 2 balls in 3 columns, along y 1 in 6, along x 3 in 2: 3 + 0 + 4 tubes, and two ends for each column
    conns = net["throat.conns"].astype(int)
    inner = ~boundary[conns].any(axis=1)
    assert (len(conns), inner.sum(), boundary.sum()) == (29, 7, 22)
    joined = {frozenset(pair) for pair in nearest[conns[inner]].tolist()}
    assert joined == {frozenset(pair) for pair in ((0, 3), (1, 4), (2, 5), (0, 1), (1, 2), (3, 4), (4, 5))}
    for name, count in {"x": 2, "y": 6, "z": 3}.items():
        assert net[f"pore.{name}min"].sum() == net[f"pore.{name}max"].sum() == count
    assert net["pore.coords"][net["pore.xmin"].astype(bool), 0].max() < pores[:, 0].min()
    # the inscribed ball is measured from voxel centres, up to one voxel beyond the last centre inside
    assert net["pore.inscribed_diameter"][~boundary] == pytest.approx(2 * RADIUS * VOXEL_NM * 1e-9, rel=0.1)
    tubes = np.hypot(*np.mgrid[-TUBE : TUBE + 1, -TUBE : TUBE + 1]) <= TUBE
    assert net["throat.cross_sectional_area"].min() < 2 * tubes.sum() * (VOXEL_NM * 1e-9) ** 2


def test_the_network_is_that_of_porespy(tmp_path):
    from porespy.networks import snow2

    labels = balls_and_tubes()
    net = by_pandas(export(tmp_path, labels, unit="nm"))
    expected = snow2((labels == 0).T, voxel_size=VOXEL_NM, boundary_width=3, parallel_kw=None).network
    shift = np.array(ORIGIN[::-1]) - 3 * VOXEL_NM
    np.testing.assert_allclose(net["pore.coords"], expected["pore.coords"] + shift, rtol=1e-8)
    assert (net["throat.conns"] == expected["throat.conns"]).all()
    for name in ("pore.region_volume", "throat.total_length", "throat.equivalent_diameter"):
        np.testing.assert_allclose(net[name], expected[name], rtol=1e-8)
    assert not {"pore.all", "throat.all", "param.ndim"} & net.keys()


def test_a_phase_that_is_called_solid_is_that_phase(tmp_path):
    """The balls of label 2 lie in label 1: all of both has no pores, and the balls have theirs."""
    labels = np.where(balls_and_tubes() == 0, 2, 1).astype(np.uint8)
    alone = by_pandas(export(tmp_path, labels, {0: "pore", 1: "binder", 2: "balls"}, phase="balls"))
    named = by_pandas(export(tmp_path, labels, {0: "pore", 1: "binder", 2: "solid"}, phase="solid", overwrite=True))
    np.testing.assert_array_equal(named["pore.coords"], alone["pore.coords"])


@pytest.mark.parametrize(("phase", "value"), [("solid", 2), ("graphite", 2), ("binder", 1)])
def test_a_phase_is_chosen_by_name(tmp_path, phase, value):
    labels = balls_and_tubes()
    labels = np.where(labels == 0, value, 0 if phase == "solid" else 2 - value + 1).astype(np.uint8)
    net = by_pandas(export(tmp_path, labels, phase=phase))
    assert len(net["pore.coords"]) == 28


def test_a_volume_of_a_store_has_a_network(made_once, tmp_path):
    net = by_pandas(export_item(made_once / "tiny.zarr", 1, "network", tmp_path / "a.csv"))
    shape = np.array([28, 20, 24]) * 80e-9
    inner = net["pore.coords"][~net["pore.boundary"]]
    assert len(inner) > 10
    assert (inner > 0).all()
    assert (inner < shape).all()


FULL, EMPTY = np.zeros((8, 8, 8), np.uint8), np.ones((8, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("labels", "names", "options", "message"),
    [
        (EMPTY, NAMES, {}, "phase: found 'pore', which no voxel has"),
        (EMPTY, NAMES, {"phase": "grafite"}, "phase: found 'grafite'; did you mean graphite?"),
        (EMPTY, {1: "nmc"}, {}, "phase: found 'pore', expected one of nmc, solid"),
        (EMPTY, {}, {}, "format network: found grains, expected a volume of named phases"),
        (FULL, NAMES, {}, "phase: found 'pore', in which PoreSpy finds no network ("),
    ],
)
def test_what_has_no_network_is_refused_in_one_line(tmp_path, labels, names, options, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        export(tmp_path, labels, names, **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_particles_have_no_network(made_particles, tmp_path):
    with pytest.raises(InputError, match="format network: found grains"):
        export_item(made_particles / "small.zarr", 0, "network", tmp_path / "a.csv")


def test_only_networks_take_a_phase(tmp_path):
    with pytest.raises(InputError, match=r"phase: found 'pore' with format npy, expected with one of network$"):
        export_labels(FULL, VOXEL_NM, ORIGIN, "npy", tmp_path / "a", names=NAMES, phase="pore")


def test_the_extra_is_named_without_porespy(monkeypatch, tmp_path):
    monkeypatch.setattr("nmcdist.extras.is_installed", lambda name: name != "porespy")
    line = "format network needs porespy: pip install 'nmcdist[network]'"
    with pytest.raises(MissingPackageError, match=re.escape(line)) as caught:
        export(tmp_path)
    assert isinstance(caught.value, NmcdistError)
