"""Items and histograms over HTTP; refereed by NumPy on the values of the store."""

import math

import numpy as np
import pytest
import xarray as xr

BASE = "/api/datasets/tiny/1.0.0"
FIRST = "volume_fraction.pore"


@pytest.fixture(scope="module")
def values(releases):
    data = xr.open_zarr(releases / "tiny/1.0.0/tiny.zarr", chunks=None)
    return data.volume_fraction.sel(phase="pore").values.astype(float)


def test_items_are_those_that_numpy_selects(client, values):
    middle = float(np.median(values))
    answer = client.get(f"{BASE}/items", params={"where": f"{FIRST} > {middle}", "columns": FIRST}).json()
    expected = np.flatnonzero(values > middle)
    assert [item["sample"] for item in answer["items"]] == expected.tolist()
    assert [item[FIRST] for item in answer["items"]] == values[expected].tolist()
    assert (answer["total"], answer["count"], answer["next"]) == (len(values), len(expected), None)


def test_pages_follow_each_other_by_item(client):
    found, after = [], None
    for _ in range(10):
        params = {"limit": 1, "where": "sample != 1", "columns": "sample"} | ({} if after is None else {"after": after})
        page = client.get(f"{BASE}/items", params=params).json()
        found += [item["sample"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert found == [0, 2, 3]


def test_columns_default_to_those_of_the_condition(client):
    item = client.get(f"{BASE}/items", params={"where": f"{FIRST} >= 0"}).json()["items"][0]
    assert set(item) == {"sample", FIRST}
    every = client.get(f"{BASE}/items").json()
    assert len(every["items"][0]) > 20
    assert every["units"][FIRST] == "1"
    assert all(v is None or math.isfinite(v) for item in every["items"] for v in item.values())


def test_histograms_count_what_numpy_counts(client, values):
    params = {"where": "sample > 0", "columns": FIRST, "bins": 3}
    (found,) = client.get(f"{BASE}/histograms", params=params).json()["histograms"]
    edges = np.linspace(values.min(), values.max(), 4)
    np.testing.assert_allclose(found["edges"], edges)
    assert found["counts"] == np.histogram(values[1:], found["edges"])[0].tolist()
    assert client.get(f"{BASE}/histograms", params=params).json()["count"] == len(values) - 1


@pytest.mark.parametrize(
    ("path", "complaint"),
    [("items?where=nothing_here > 1", "no column 'nothing_here'"), ("items?where=sample >", "expected a column"),
     ("items?where=__import__('os')", "where: character"), ("items?where=" + "(" * 100, "nested more than"),
     (f"items?where={'x' * 2001}", "..., expected at most 2000 characters"), ("items?limit=0", "limit: found '0'"),
     ("items?limit=10001", "limit: found '10001'"), ("items?limit=x", "limit: found 'x'"),
     ("items?after=-1", "after: found '-1'"), ("items?columns=no", "no column 'no'"),
     ("items?wher=sample", "'wher': unknown parameter"), ("histograms?bins=0", "bins: found '0'"),
     ("histograms?bins=201", "bins: found '201'"), ("items?limit=10000", "limit: found 10000, expected at most"),
     ("histograms?limit=1", "'limit': unknown parameter"), ("items?where=1;DROP TABLE", "where: character 2"),
     ("items?after=x", "after: found 'x', expected a whole number"), ("items?where=True", "where: no column 'True'"),
     ("items?where=sample > 1&where=sample < 3", "'where': found 2 times, expected once"),
     ("items?where=q > 1", "more; a query without a condition lists all columns")],
)  # fmt: skip
def test_what_cannot_be_asked_gets_one_line(client, path, complaint):
    answer = client.get(f"{BASE}/{path}")
    assert answer.status_code == 422, answer.text
    assert complaint in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
