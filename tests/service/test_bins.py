"""Columns as bytes over HTTP; refereed by NumPy on the values of the store."""

import numpy as np
import pytest
import xarray as xr

from nmcdist.service.bins import MOST_ROWS, rows_of, wanted

BASE = "/api/datasets/tiny/1.0.0"


@pytest.fixture(scope="module")
def data(releases):
    return xr.open_zarr(releases / "tiny/1.0.0/tiny.zarr", chunks=None).set_xindex("phase")


def test_columns_are_those_that_a_reader_wants(client):
    found = client.get(f"{BASE}/columns").json()
    names = [column["name"] for column in found["columns"]]
    assert (found["total"], found["rows"]) == (4, 4)
    assert names[:4] == [f"volume_fraction.{name}" for name in ("pore", "carbon_binder", "graphite", "solid")]
    assert len(names) == len(set(names)) == 50
    every = client.get(f"{BASE}/items?limit=1").json()["units"]
    assert found["further"] == len(wanted(tuple(every))) - 50 > 0
    assert not {"sample", "seed", "stream", "realisation"} & set(names)
    assert found["columns"][0]["unit"] == "1"
    assert found["columns"][0]["title"]


def test_means_come_before_directions():
    names = [f"other_{k}" for k in range(60)] + ["m_factor.pore.z", "m_factor_mean.pore", "kept_grains", "sample"]
    assert wanted(tuple(names))[:2] == ["kept_grains", "m_factor_mean.pore"]
    assert wanted(tuple(names))[-1] == "m_factor.pore.z"
    assert len(wanted(tuple(names))) == 63


@pytest.mark.parametrize("bins", [1, 7, 200])
def test_bins_hold_the_values_between_their_edges(client, data, bins):
    columns = {column["name"]: column for column in client.get(f"{BASE}/columns?bins={bins}").json()["columns"]}
    for phase in ("pore", "graphite"):
        name, values = f"geodesic_tortuosity_mean.{phase}", data.geodesic_tortuosity_mean.sel(phase=phase).values
        edges = np.array(columns[name]["edges"])
        answer = client.get(f"{BASE}/bins?columns={name}&bins={bins}")
        found = np.frombuffer(answer.content, np.uint8)
        assert answer.headers["X-Shape"] == "1,4"
        expected = np.clip(np.digitize(values, edges) - 1, 0, bins - 1)
        assert found.tolist() == np.where(np.isfinite(values), expected, 255).tolist()
        assert columns[name]["missing"] == int(np.isnan(values).sum())
        assert len(edges) == bins + 1


def test_columns_come_in_the_order_asked(client):
    one, two = (client.get(f"{BASE}/bins?columns=volume_fraction.{p}").content for p in ("pore", "graphite"))
    both = client.get(f"{BASE}/bins", params={"columns": "volume_fraction.graphite, volume_fraction.pore"})
    assert both.content == two + one
    assert both.headers["X-Shape"] == "2,4"


def test_bytes_are_compressed_only_for_those_who_read_it(client):
    path = f"{BASE}/bins?columns=volume_fraction.pore"
    packed, plain = client.get(path), client.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.content == plain.content
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("path", "complaint"),
    [("bins", "columns: found"), ("bins?columns=", "columns: found 0, expected 1 to 50"),
     ("bins?columns=no", "no column 'no'"), ("bins?columns=sample&bins=0", "bins: found '0'"),
     ("bins?columns=sample&bins=201", "bins: found '201'"), ("columns?bins=x", "bins: found 'x'"),
     ("columns?limit=1", "'limit': unknown parameter"), ("bins?columns=sample&columns=seed", "found 2 times"),
     ("bins?columns=" + "constrictivity.pore," * 300, "columns: found")],
)  # fmt: skip
def test_what_cannot_be_asked_gets_one_line(client, path, complaint):
    answer = client.get(f"{BASE}/{path}")
    assert answer.status_code == 422, answer.text
    assert complaint in answer.json()["detail"]


def test_the_rows_of_many_items_are_a_fixed_sample():
    assert rows_of(MOST_ROWS) == slice(0, MOST_ROWS)
    total = 2 * MOST_ROWS + MOST_ROWS // 3
    rows = rows_of(total)
    parts = np.floor(np.arange(MOST_ROWS + 1) * (total / MOST_ROWS)).astype(int)
    assert len(rows) == MOST_ROWS
    assert (rows >= parts[:-1]).all()
    assert (rows <= parts[1:]).all()
    assert (np.diff(rows) > 0).all()
    assert rows[-1] < total
    share = np.histogram(rows % 2, 2)[0] / MOST_ROWS
    np.testing.assert_allclose(share, 0.5, atol=0.01)
