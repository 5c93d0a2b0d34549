"""Single items over HTTP: what they are, sections, bricks and grains; refereed by the stores and public readers."""

import gzip
import io

import httpx
import numcodecs
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from nmcdist.datasets.particles import read_particle

PARTICLE, VOLUME, TINY = "/api/datasets/small/0.9.0-rc.1+b", "/api/datasets/blocks/2.0.0", "/api/datasets/tiny/1.0.0"


@pytest.fixture(scope="module")
def particle(releases):
    return read_particle(releases / "small/0.9.0-rc.1+b/small.zarr", 1)


@pytest.fixture(scope="module")
def volume(releases):
    return xr.open_zarr(releases / "blocks/2.0.0/blocks.zarr", chunks=None).volume[0]


def picture(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def rgb(colour):
    return tuple(bytes.fromhex(colour[1:]))


def test_an_item_of_particles_says_what_it_is(client, particle, releases):
    found = client.get(f"{PARTICLE}/items/1").json()
    store = xr.open_zarr(releases / "small/0.9.0-rc.1+b/small.zarr", chunks=None)
    assert (found["item"], found["kind"], found["phases"]) == (1, "particle", None)
    assert (found["previous"], found["next"]) == (0, 2)
    assert found["grains"] == int(particle.kept.sum())
    assert found["values"]["shell_volume_nm3"] == float(store.shell_volume_nm3[1])
    assert found["units"]["shell_volume_nm3"] == "nm^3"
    assert found["colourings"] == ["grain", "radius", "size"]
    extent = np.ptp(particle.box_nm, axis=0)
    np.testing.assert_allclose(found["extent_nm"], extent, rtol=0.02)
    assert [brick["edge"] for brick in found["bricks"]] == [96, 160, 256]
    sizes = [brick["voxel_size_nm"] for brick in found["bricks"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {"stl", "csv", "damask", "shell-stl"} <= {one["name"] for one in found["formats"]}
    assert "network" not in {one["name"] for one in found["formats"]}


def test_an_item_of_volumes_says_what_it_is(client, volume):
    found = client.get(f"{VOLUME}/items/0").json()
    assert (found["kind"], found["grains"], found["previous"], found["next"]) == ("volume", None, None, None)
    assert [found["phases"][str(label)]["name"] for label in range(3)] == volume.attrs["flag_meanings"].split()
    assert found["extent_nm"] == [128 * 20.0] * 3
    assert found["section"] == {"voxel_size_nm": 20.0, "shape": [128] * 3}
    assert found["bricks"][-1] == {"edge": 160, "voxel_size_nm": 20.0, "shape": [128] * 3}
    assert found["colourings"] == ["phase"]
    assert {"tiff", "network", "msh"} <= {one["name"] for one in found["formats"]}
    assert "csv" not in {one["name"] for one in found["formats"]}


def test_the_values_of_an_item_are_those_of_its_row(client):
    row = client.get(f"{TINY}/items", params={"after": 1, "limit": 1}).json()
    found = client.get(f"{TINY}/items/2").json()
    assert found["values"] == row["items"][0]
    assert found["units"] == row["units"]


@pytest.mark.parametrize(("axis", "number"), [("z", 0), ("y", 1), ("x", 2)])
def test_a_section_of_a_volume_has_the_colours_of_its_phases(client, volume, axis, number):
    phases = client.get(f"{VOLUME}/items/0").json()["phases"]
    found = picture(client.get(f"{VOLUME}/items/0/section.png", params={"axis": axis, "at": 0.3, "size": 128}))
    expected = np.take(volume.values, int(0.3 * 128), axis=number)
    colours = np.array([[*rgb(phases[str(label)]["colour"]), 255] for label in range(3)])
    np.testing.assert_array_equal(found, colours[expected])


def test_a_section_of_a_particle_shows_its_grains_and_nothing_else(client, particle):
    about = client.get(f"{PARTICLE}/items/1").json()
    found = picture(client.get(f"{PARTICLE}/items/1/section.png", params={"size": 512, "axis": "x"}))
    grid = about["section"]
    assert max(found.shape[:2]) == 512
    index = min(int(0.5 * grid["shape"][2]), grid["shape"][2] - 1)
    voxels = particle.voxelize(grid["voxel_size_nm"], pieces="keep")[:, :, index]
    rows, columns = (
        ((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(found.shape, voxels.shape, strict=False)
    )
    inside = voxels[np.ix_(rows, columns)] > 0
    assert np.mean((found[..., 3] == 255) == inside) > 0.99  # but for half a voxel at the surface
    assert set(np.unique(found[..., 3])) == {0, 255}
    table = client.get(f"{PARTICLE}/items/1/grains").json()
    shades = {tuple(colour) for colour in found[found[..., 3] == 255][:, :3].tolist()}
    assert shades <= {rgb(colour) for colour in table["colour"]} | {(24, 26, 30)}
    assert len(shades) > 3


def test_small_pictures_are_smooth_and_transparent_outside(client):
    for colouring in ("grain", "radius", "size"):
        found = picture(client.get(f"{PARTICLE}/items/0/section.png", params={"size": 96, "colouring": colouring}))
        assert max(found.shape[:2]) == 96
        assert found[0, 0, 3] == found[-1, -1, 3] == 0
        assert set(np.unique(found[..., 3])) <= {0, 64, 128, 191, 255}
        assert (found[..., 3] == 255).mean() > 0.2
        assert len(np.unique(found[found[..., 3] == 255], axis=0)) > 10


def test_both_ends_of_an_axis_can_be_cut(client, volume):
    for at, index in ((0, 0), (1, -1)):
        found = picture(client.get(f"{VOLUME}/items/0/section.png", params={"at": at, "size": 128}))
        assert len(np.unique(found.reshape(-1, 4), axis=0)) == len(np.unique(volume.values[index]))


def test_a_brick_of_a_volume_is_its_labels(client, volume):
    answer = client.get(f"{VOLUME}/items/0/brick?edge=256")
    assert answer.headers["X-Shape"] == "128,128,128"
    assert (answer.headers["X-Dtype"], answer.headers["X-Voxel-Size-Nm"]) == ("uint8", "20.0")
    np.testing.assert_array_equal(np.frombuffer(answer.content, "u1").reshape((128,) * 3), volume.values)


def test_a_brick_and_the_table_of_grains_fit_together(client, particle):
    answer, table = client.get(f"{PARTICLE}/items/1/brick"), client.get(f"{PARTICLE}/items/1/grains").json()
    shape = tuple(map(int, answer.headers["X-Shape"].split(",")))
    found = np.frombuffer(answer.content, np.dtype(answer.headers["X-Dtype"]).newbyteorder("<")).reshape(shape)
    size = float(answer.headers["X-Voxel-Size-Nm"])
    np.testing.assert_array_equal(np.array([0, *table["grains"]])[found], particle.voxelize(size, pieces="keep"))
    assert int(answer.headers["X-Item-Grains"]) == len(table["grains"]) == len(table["radial_angle_deg"])
    volumes = np.bincount(found.ravel(), minlength=len(table["grains"]) + 1)[1:] * size**3
    np.testing.assert_allclose(np.pi / 6 * np.array(table["diameter_nm"]) ** 3, volumes, rtol=0.3)
    assert all(0 <= angle <= 90 for angle in table["radial_angle_deg"])
    assert table["radial_angle_of"] == "c axis"


@pytest.mark.parametrize(
    ("accepted", "encoding", "unpacked"),
    [("gzip, zstd, br", "gzip", gzip.decompress), ("zstd", "zstd", numcodecs.Zstd().decode), ("br", None, bytes),
     ("gzip;q=0, zstd;q=0.5", "zstd", numcodecs.Zstd().decode), ("", None, bytes)],
)  # fmt: skip
def test_a_brick_comes_as_the_client_reads_it(service, volume, accepted, encoding, unpacked):
    with httpx.stream("GET", f"{service.url}{VOLUME}/items/0/brick", headers={"Accept-Encoding": accepted}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Vary"] == "Accept-Encoding"
    np.testing.assert_array_equal(np.frombuffer(unpacked(body), "u1"), volume.values[1::2, 1::2, 1::2].ravel())


def test_what_the_client_has_is_not_sent_again(client):
    for path in ("section.png?size=96", "brick", "grains"):
        first = client.get(f"{PARTICLE}/items/0/{path}")
        assert first.headers["Cache-Control"] == "public, max-age=86400"
        again = client.get(f"{PARTICLE}/items/0/{path}", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(f"{PARTICLE}/items/0/{path}").content == first.content
    sections = {client.get(f"{PARTICLE}/items/{k}/section.png").headers["ETag"] for k in range(3)}
    assert len(sections) == 3


@pytest.mark.parametrize(
    ("path", "status", "complaint"),
    [(f"{TINY}/items/4", 404, "item 4: not in tiny/1.0.0, expected 0 to 3"), (f"{TINY}/items/-1", 422, "number: found"),
     (f"{TINY}/items/{10**30}", 422, "number: found"), (f"{TINY}/items/x", 422, "expected a whole number"),
     (f"{TINY}/items/0?at=1", 422, "'at': unknown parameter"),
     (f"{TINY}/items/4/section.png", 404, "item 4"), (f"{TINY}/items/0/section.png?axis=w", 422, "axis: found 'w'"),
     (f"{TINY}/items/0/section.png?at=nan", 422, "at: found 'nan'"),
     (f"{TINY}/items/0/section.png?at=inf", 422, "at: found 'inf'"),
     (f"{TINY}/items/0/section.png?at=-0.1", 422, "at: found '-0.1'"),
     (f"{TINY}/items/0/section.png?size=63", 422, "size: found '63'"),
     (f"{TINY}/items/0/section.png?size=1025", 422, "size: found '1025'"),
     (f"{TINY}/items/0/section.png?size=64&size=65", 422, "'size': found 2 times"),
     (f"{TINY}/items/0/section.png?colouring=grain", 422, "colouring: found 'grain', expected one of phase"),
     (f"{PARTICLE}/items/0/section.png?colouring=phase", 422, "expected one of grain, radius, size"),
     (f"{TINY}/items/0/section.png?colouring=rainbow", 422, "colouring: found 'rainbow'"),
     (f"{TINY}/items/0/brick?edge=1000000", 422, "edge: found '1000000', expected 96, 160 or 256"),
     (f"{TINY}/items/0/grains", 404, "no grains"), ("/api/datasets/tiny/9.9.9/items/0", 404, "no such version")],
)  # fmt: skip
def test_what_cannot_be_shown_gets_one_line(client, path, status, complaint):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert complaint in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_latest_leads_to_the_version(client):
    answer = client.get("/api/datasets/tiny/latest/items/1/section.png?size=64")
    assert answer.status_code == 307
    assert answer.headers["Location"] == "/api/datasets/tiny/1.10.0/items/1/section.png?size=64"
