"""Files of items over HTTP: byte by byte those of `nmcdist export`, and tables as `nmcdist query` writes them."""

import csv
import hashlib
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import xarray as xr

from nmcdist import export_item, query
from nmcdist.queries.query import write_csv
from tests.conftest import SMALL, TINY
from tests.service.conftest import served, virtual_release

PARTICLE, VOLUME = "/api/datasets/small/0.9.0-rc.1+b", "/api/datasets/tiny/1.0.0"
STORES = {PARTICLE: "small/0.9.0-rc.1+b/small.zarr", VOLUME: "tiny/1.0.0/tiny.zarr"}


def sent(client, path, **params):
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(
    ("base", "file_format", "options"),
    [(PARTICLE, "tiff", {}), (PARTICLE, "stl", {"voxel_size_nm": 100.0}), (PARTICLE, "csv", {}),
     (PARTICLE, "msh", {"voxel_size_nm": 150.0}), (PARTICLE, "shell-ply", {}), (VOLUME, "npy", {}),
     (VOLUME, "vtk", {}), (VOLUME, "inp", {}), (VOLUME, "tiff", {}), (VOLUME, "xdmf", {})],
)  # fmt: skip
def test_a_file_is_the_one_that_export_writes(client, releases, tmp_path, base, file_format, options):
    expected = export_item(releases / STORES[base], 1, file_format, tmp_path / "file", **options)
    answer = sent(client, f"{base}/items/1/exports/{file_format}", **options)
    assert answer.content == expected.read_bytes()
    name = f"{STORES[base].split('/')[0]}-00001"
    assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="{name}')


@pytest.mark.parametrize("file_format", ["stl-grains", "damask", "ome-zarr"])
def test_a_folder_comes_as_a_zip_file_of_its_files(client, releases, tmp_path, file_format):
    expected = export_item(releases / STORES[PARTICLE], 2, file_format, tmp_path / "folder", voxel_size_nm=100.0)
    answer = sent(client, f"{PARTICLE}/items/2/exports/{file_format}", voxel_size_nm=100)
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    (top,) = {name.partition("/")[0] for name in archive.namelist()}
    found = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert found == {
        path.relative_to(expected).as_posix(): path.read_bytes() for path in expected.rglob("*") if path.is_file()
    }
    assert f'filename="{top}.zip"' in answer.headers["Content-Disposition"]
    assert all(one.compress_type == zipfile.ZIP_STORED and one.date_time[0] == 1980 for one in archive.infolist())


def test_a_file_is_sent_in_ranges(client):
    path = f"{VOLUME}/items/0/exports/npy"
    whole = sent(client, path)
    part = client.get(path, headers={"Range": "bytes=100-199", "If-Range": whole.headers["ETag"]})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert client.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    assert client.get(path, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416
    assert client.head(path).headers["Content-Length"] == str(len(whole.content))


def test_a_question_about_a_file_does_not_make_it(client):
    path = f"{VOLUME}/items/3/exports/vtk"
    head = client.head(path)
    assert head.status_code == 200
    assert "Content-Length" not in head.headers
    assert client.get(path, headers={"If-None-Match": head.headers["ETag"]}).status_code == 304
    assert sent(client, path).headers["ETag"] == head.headers["ETag"]


@pytest.mark.parametrize("base", [PARTICLE, VOLUME])
def test_a_table_is_the_one_that_query_writes(client, releases, tmp_path, base):
    where = "sample != 1"
    write_csv(query(releases / STORES[base], where, columns=list(_names(client, base))), tmp_path / "table.csv")
    answer = sent(client, f"{base}/exports", where=where)
    assert answer.text == (tmp_path / "table.csv").read_text()
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="' in answer.headers["Content-Disposition"]


def _names(client, base):
    return client.get(f"{base}/items", params={"limit": 1}).json()["items"][0]


def test_a_table_as_json_has_the_same_numbers(client):
    rows = sent(client, f"{VOLUME}/exports", format="json").json()
    table = list(csv.DictReader(io.StringIO(sent(client, f"{VOLUME}/exports").text)))
    assert len(rows) == len(table) == 4
    for row, line in zip(rows, table, strict=True):
        assert list(row) == list(line)
        assert all((text == "" and row[n] is None) or float(text) == row[n] for n, text in line.items())
    assert sent(client, f"{VOLUME}/exports", format="json", where="sample > 9").json() == []


def test_long_tables_are_written_in_parts(client, monkeypatch):
    from nmcdist.service.renders import export_routes

    monkeypatch.setattr(export_routes, "_BLOCK", 2)
    columns = _Held({"a": np.arange(5.0), "b": np.array([0.5, np.nan, 2, 3, 4])})
    for form in ("csv", "json"):
        text = "".join(export_routes._Rows(columns, ["a", "b"], np.array([0, 1, 3, 4]), form).parts())
        if form == "csv":
            assert text == "sample,a,b\n0,0,0.5\n1,1,\n3,3,3\n4,4,4\n"
        else:
            assert [(row["sample"], row["b"]) for row in json.loads(text)] == [(0, 0.5), (1, None), (3, 3), (4, 4)]


class _Held:
    """Columns in memory."""

    def __init__(self, columns):
        self._columns = columns
        self.about = {name: type("About", (), {"is_whole": False}) for name in columns}

    def values(self, name):
        return self._columns[name]


def test_a_zip_file_holds_the_file_of_each_item(client):
    answer = sent(client, f"{PARTICLE}/exports", format="shell-stl-zip", where="sample >= 3")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.namelist() == ["small-00003-shell.stl", "small-00004-shell.stl"]
    for item, name in ((3, "small-00003-shell.stl"), (4, "small-00004-shell.stl")):
        assert archive.read(name) == sent(client, f"{PARTICLE}/items/{item}/exports/shell-stl").content


@pytest.mark.parametrize(
    ("path", "status", "complaint"),
    [(f"{VOLUME}/items/0/exports/nope", 404, "format: found 'nope', expected one of tiff"),
     (f"{VOLUME}/items/0/exports/csv", 422, "expected one that this item has"),
     (f"{VOLUME}/items/0/exports/shell-stl", 422, "expected one that this item has"),
     (f"{PARTICLE}/items/0/exports/network", 422, "expected one that this item has"),
     (f"{VOLUME}/items/9/exports/tiff", 404, "item 9"),
     (f"{VOLUME}/items/0/exports/tiff?voxel_size_nm=10", 422, "tiny/1.0.0 holds volumes of fixed voxels"),
     (f"{PARTICLE}/items/0/exports/tiff?voxel_size_nm=nan", 422, "voxel_size_nm: found 'nan'"),
     (f"{PARTICLE}/items/0/exports/tiff?voxel_size_nm=-1", 422, "voxel_size_nm: found '-1'"),
     (f"{PARTICLE}/items/0/exports/tiff?voxel_size_nm=1e-3", 422, "expected at most 67108864"),
     (f"{PARTICLE}/items/0/exports/msh?voxel_size_nm=5", 422, "expected at most 4194304"),
     (f"{PARTICLE}/items/0/exports/tiff?voxel_size_nm=1e8", 422, "expected at most the particle's"),
     (f"{PARTICLE}/items/0/exports/csv?voxel_size_nm=10", 422, "voxel_size_nm: found 10.0 with format csv"),
     (f"{PARTICLE}/items/0/exports/stl?overwrite=1", 422, "'overwrite': unknown parameter"),
     (f"{PARTICLE}/exports?format=stl", 422, "format: found 'stl', expected csv, json"),
     (f"{PARTICLE}/exports?format=x-zip", 422, "format: found 'x-zip'"),
     (f"{PARTICLE}/exports?format=stl-zip&where=sample>7", 422, "where: found 0 items, expected 1 to 100"),
     (f"{PARTICLE}/exports?where=sample >", 422, "where: "), (f"{PARTICLE}/exports?columns=no", 422, "no column 'no'")],
)  # fmt: skip
def test_what_cannot_be_saved_gets_one_line(client, releases, path, status, complaint):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert complaint in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    assert str(releases) not in answer.text


def test_a_zip_file_has_at_most_a_hundred_files(releases, client, monkeypatch):
    from nmcdist.queries.columns import Columns
    from nmcdist.service.problems import RequestError
    from nmcdist.service.renders import export_routes

    monkeypatch.setattr(export_routes, "MOST_FILES", 3)
    columns = Columns.of(releases / STORES[PARTICLE])
    assert export_routes._few(columns, "sample < 3") == (0, 1, 2)
    with pytest.raises(RequestError, match="found 5 items, expected 1 to 3"):
        export_routes._few(columns, "")


@pytest.fixture(scope="module")
def virtual(tmp_path_factory, small_bundle):
    """A service of virtual releases, whose cache folder cannot be written."""
    from nmcdist.bundle import save_bundle

    root = tmp_path_factory.mktemp("virtual") / "releases"
    bundle = save_bundle(small_bundle, root.with_name("bundles"))
    particles = {**SMALL, "name": "grains", "bundle": str(bundle), "descriptors": None}
    virtual_release({**particles, "labels": {"voxel_sizes_nm": []}}, root, "grains", "1.0.0")
    volumes = {**TINY, "name": "sweep", "descriptors": None, "storage": {"chunk": 16, "shard": "none"}}
    virtual_release(volumes, root, "sweep", "1.0.0")
    blocked = root.with_name("blocked")
    blocked.write_text("no folder")
    log = tmp_path_factory.mktemp("log") / "log"
    with (
        served(root, log, "--cache", str(blocked / "cache")) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        yield client, root, log


def test_virtual_items_are_those_of_a_store_that_was_made(virtual, client):
    made, (drawn, _, _) = client, virtual
    for name, base, item in (("grains", PARTICLE, 2), ("sweep", VOLUME, 3)):
        own = f"/api/datasets/{name}/1.0.0"
        found, expected = (one.get(f"{path}/items/{item}").json() for one, path in ((drawn, own), (made, base)))
        assert {k: found[k] for k in ("kind", "grains", "extent_nm", "bricks", "phases")} == {
            k: expected[k] for k in ("kind", "grains", "extent_nm", "bricks", "phases")
        }
        for path in (f"items/{item}/section.png?size=96", f"items/{item}/brick", f"items/{item}/exports/npy"):
            assert sent(drawn, f"{own}/{path}").content == sent(made, f"{base}/{path}").content
        assert found["values"].items() <= expected["values"].items()
        none = {"total": total(drawn, own), "rows": 0, "columns": [], "further": 0}
        assert drawn.get(f"{own}/columns").json() == none
        assert drawn.get(f"{own}/exports").status_code == 404
    assert (
        drawn.get("/api/datasets/grains/1.0.0/items/2/grains").json() == made.get(f"{PARTICLE}/items/2/grains").json()
    )
    assert "csv" not in {one["name"] for one in drawn.get("/api/datasets/grains/1.0.0/items/2").json()["formats"]}


def test_a_cache_of_no_use_is_pointed_out_at_the_start(virtual):
    _, root, log = virtual
    cache = root.with_name("blocked") / "cache"
    lines = [line for line in log.read_text().splitlines() if line.startswith("cache: ")]
    for line, folder in zip(lines, (cache, cache / "renders"), strict=True):
        assert line.startswith(f"cache: {folder}: cannot be written (Not a directory)")


def total(client, base):
    return client.get(base).json()["release"]["sizes"]["items"]


def test_a_virtual_file_is_the_one_that_export_writes(virtual, tmp_path):
    client, root, _ = virtual
    for name, file_format in (("grains", "stl"), ("sweep", "vtk")):
        expected = export_item(root / f"{name}/1.0.0/{name}.zarr", 1, file_format, tmp_path / name)
        answer = sent(client, f"/api/datasets/{name}/1.0.0/items/1/exports/{file_format}")
        assert answer.content == expected.read_bytes()


def test_one_file_is_made_for_a_client_at_a_time(service):
    """Of files that no other test asks for, since what is made already is sent to everybody."""
    urls = [f"{service.url}{PARTICLE}/items/{k % 4}/exports/xdmf?voxel_size_nm=30" for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda url: httpx.get(url, timeout=60), urls))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}
    refused = answers[statuses.index(503)]
    assert "another file is made for this client" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    by_item = {}
    for k, answer in enumerate(answers):
        if answer.status_code == 200:
            by_item.setdefault(k % 4, set()).add(hashlib.sha256(answer.content).hexdigest())
    assert all(len(digests) == 1 for digests in by_item.values())
    assert httpx.get(urls[statuses.index(503)], timeout=60).status_code == 200


def test_labels_of_a_file_are_those_of_the_store(client, releases):
    stored = xr.open_zarr(releases / STORES[VOLUME], chunks=None).volume[2].values
    found = np.load(io.BytesIO(sent(client, f"{VOLUME}/items/2/exports/npy").content))
    np.testing.assert_array_equal(found, stored)
