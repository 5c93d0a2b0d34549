"""The page in a browser: a stranger finds a dataset, chooses particles, looks at one, and takes it away.

Stores, plain xarray, NumPy and the public functions of the package referee what the page shows. With
NMCDIST_PICTURES=FOLDER the pictures of the documentation are taken on the way.
"""

import json
import os
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import xarray as xr
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from nmcdist.datasets.particles import read_grains, read_particle
from tests.service.browser import bare_python, opened_browser, opened_page, run_python, skip_without_browser

skip_without_browser()

SMALL = "/d/small/0.9.0-rc.1%2Bb"
PICTURES = os.environ.get("NMCDIST_PICTURES")
FINE = "#stage[data-state=fine]"


@pytest.fixture(scope="module")
def browser():
    with opened_browser() as browser:
        yield browser


@pytest.fixture
def page(browser, service):
    with opened_page(browser, service.url, permissions=["clipboard-read", "clipboard-write"]) as page:
        yield page


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    python = bare_python(tmp_path_factory.mktemp("bare") / "env", "xarray", "zarr", "fsspec", "aiohttp")
    assert run_python(python, "import importlib.util as i; print(i.find_spec('nmcdist'))") == "None\n"
    return python


@pytest.fixture(scope="module")
def small(releases):
    return releases / "small/0.9.0-rc.1+b/small.zarr"


def picture(page, name):
    """Take a picture for the documentation."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"page-{name}.png", animations="disabled")


def columns(page):
    return page.locator(".histogram")


def counted(page):
    """The numbers of the selected and of all items, once the service has answered."""
    page.wait_for_timeout(600)  # longer than the pause before the service is asked
    return tuple(int(n.replace(",", "")) for n in re.findall("[0-9,]+", page.locator("#count").inner_text()))


def listed(page):
    return [int(text.removeprefix("Item ")) for text in page.locator("#items a span").all_inner_texts()]


def viewed(page, address):
    """Open an item, and wait until it is drawn at its finest."""
    page.goto(address)
    page.wait_for_selector(FINE)
    finest = page.request.get(json.loads(page.locator("#page").inner_text())["api"]).json()["bricks"][-1]
    page.wait_for_selector(f"#stage[data-voxel='{finest['voxel_size_nm']:g}'][data-state=fine]")
    return finest


def drawn(page):
    """The pixels of the view, once it is drawn finely."""
    page.wait_for_selector(FINE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the picture").click()
    return np.asarray(Image.open(download.value.path()).convert("RGB"))


def is_uniform(plane):
    """Whether the neighbours of a voxel in a plane have its label, too."""
    padded = np.pad(plane, 1, constant_values=-1 if plane.dtype.kind == "i" else 255)
    return (sliding_window_view(padded, (3, 3)) == plane[:, :, None, None]).all(axis=(2, 3))


def seen_by_pixels(page, shape, size):
    """Row and column of the voxel of a plane that each pixel of the view shows, looking straight at it.

    The scale bar says how large a pixel is; the middle of the item is in the middle of the view.
    """
    bar = page.locator("#bar")
    number, unit = bar.inner_text().split()
    nm = float(number.replace(",", "")) * {"nm": 1.0, "µm": 1000.0}[unit]
    pixel = nm / float(bar.evaluate("bar => parseFloat(bar.style.width)"))
    height, width = page.locator("#view").evaluate("view => [view.height, view.width]")
    row = ((np.arange(height) + 0.5 - height / 2) * pixel / size + shape[0] / 2)[:, None]
    column = ((np.arange(width) + 0.5 - width / 2) * pixel / size + shape[1] / 2)[None, :]
    within = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    rows, columns = np.broadcast_arrays(np.clip(row, 0, shape[0] - 1), np.clip(column, 0, shape[1] - 1))
    return within, rows.astype(int), columns.astype(int)


def said_by(python, code, expression):
    """The value of an expression after some code in an environment, by way of JSON."""
    return json.loads(run_python(python, f"{code}\nimport json\nprint(json.dumps({expression}))"))


def set_cut(page, axis, share):
    page.get_by_label(axis, exact=True).check()
    page.get_by_label(re.compile("^Position [0-9]")).fill(str(round(1000 * share)))


def test_a_stranger_finds_particles_looks_at_one_and_takes_it_away(page, service, small, bare, tmp_path):
    page.goto("/")
    picture(page, "datasets")
    page.get_by_role("link", name="Small particles").click()
    columns(page).first.wait_for()
    diameters = xr.open_zarr(small, chunks=None).shell_d_max_nm.values.astype(float)
    assert counted(page) == (5, 5)
    assert listed(page) == [0, 1, 2, 3, 4]

    slider = page.get_by_label("largest diameter, from")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    found = counted(page)
    condition = page.locator("#where").input_value()
    assert parse_qs(urlsplit(page.url).query)["where"] == [condition]
    low, high = (float(n) for n in re.fullmatch(r"(\S+) <= shell_d_max_nm <= (\S+)", condition).groups())
    chosen = np.flatnonzero((low <= diameters) & (diameters <= high)).tolist()
    assert 0 < len(chosen) < 5
    assert found == (len(chosen), 5)
    assert listed(page) == chosen
    picture(page, "choose")

    page.get_by_role("button", name="Copy the code for xarray").click()
    code = page.evaluate("navigator.clipboard.readText()")
    assert "nmcdist" not in code.replace("/nmcdist", "")
    assert said_by(bare, code, "items.tolist()") == chosen
    assert said_by(bare, code, "selected.shell_d_max_nm.values.tolist()") == diameters[chosen].tolist()

    page.reload()  # the address says it all
    columns(page).first.wait_for()
    assert counted(page) == (len(chosen), 5)
    page.locator("#items a").first.click()
    page.wait_for_selector(FINE)
    assert page.url.endswith(f"/i/{chosen[0]}")
    before = drawn(page)
    set_cut(page, "y", 0.3)
    assert (before != drawn(page)).any(axis=2).mean() > 0.02
    picture(page, "particle")

    page.get_by_role("button", name="Copy the code for xarray").click()
    code = page.evaluate("navigator.clipboard.readText()")
    volumes = read_grains(small, chosen[0]).volume_nm3.values
    assert said_by(bare, code, "grains.volume_nm3.values.tolist()") == volumes.tolist()


def test_the_cut_shows_the_stored_labels_and_is_solid(page, service, small):
    finest = viewed(page, f"{SMALL}/i/2")
    size, kept = finest["voxel_size_nm"], read_particle(small, 2).kept
    numbers = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)])
    labels = numbers[read_particle(small, 2).voxelize(size, pieces="keep")]
    assert list(labels.shape) == finest["shape"]
    table = page.request.get(f"/api/datasets{SMALL.removeprefix('/d')}/items/2/grains").json()
    colours = np.array([bytes.fromhex(colour[1:]) for colour in table["colour"]]).view(np.uint8).reshape(-1, 3)
    page.get_by_label("Borders").uncheck()
    for axis, share in (("z", 0.37), ("y", 0.52), ("x", 0.61)):
        page.get_by_role("button", name=f"Look along {axis}").click()
        set_cut(page, axis, share)
        normal = "zyx".index(axis)
        plane = np.take(labels, int(share * labels.shape[normal]), axis=normal)
        at_pixels, rows, columns = seen_by_pixels(page, plane.shape, size)
        inner = is_uniform(plane)[rows, columns]  # away from borders of grains, where a pixel may show either
        at_pixels = np.where(inner, plane[rows, columns], 0)
        shown = drawn(page).astype(int)
        assert (at_pixels > 0).sum() > 5000
        wrong = np.abs(shown - colours[at_pixels - 1]).max(axis=2)[at_pixels > 0] > 1
        assert not wrong.any(), (axis, wrong.mean())
    picture(page, "cut")


def test_a_cut_has_many_colours_and_grains_can_be_read(page, small):
    finest = viewed(page, f"{SMALL}/i/2")
    page.get_by_label("Colour by").select_option("Size of the grain")
    page.get_by_label("Borders").uncheck()
    page.get_by_role("button", name="Look along z").click()
    set_cut(page, "z", 0.5)
    _, pixels = np.unique(drawn(page).reshape(-1, 3), axis=0, return_counts=True)
    assert (pixels > 30).sum() >= 20
    labels = read_particle(small, 2).voxelize(finest["voxel_size_nm"], pieces="keep")
    plane = labels[int(0.5 * labels.shape[0])]
    _, rows, columns = seen_by_pixels(page, plane.shape, finest["voxel_size_nm"])
    inner = is_uniform(plane)[rows, columns] & (plane[rows, columns] > 0)
    box = page.locator("#view").bounding_box()
    diameters = 2 * (3 * read_particle(small, 2).volumes_nm3 / (4 * np.pi)) ** (1 / 3)
    for y, x in np.argwhere(inner)[:: inner.sum() // 7]:
        page.mouse.click(box["x"] + x + 0.5, box["y"] + y + 0.5)
        label = plane[rows, columns][y, x]
        read = page.locator("#reading").inner_text()
        assert read.startswith(f"Grain {label}, diameter {diameters[label - 1]:.0f} nm")


def test_phases_of_a_volume_are_shown_and_hidden(page, releases):
    volume = xr.open_zarr(releases / "tiny/1.0.0/tiny.zarr", chunks=None).volume[3].values
    finest = viewed(page, "/d/tiny/1.0.0/i/3")
    phases = page.request.get("/api/datasets/tiny/1.0.0/items/3").json()["phases"]
    page.get_by_label("Borders").uncheck()
    page.get_by_role("button", name="Look along z").click()
    set_cut(page, "z", 0.3)
    plane = volume[int(0.3 * volume.shape[0])]
    _, rows, columns = seen_by_pixels(page, plane.shape, finest["voxel_size_nm"])
    at_pixels = np.where(is_uniform(plane)[rows, columns], plane[rows, columns], 255)
    page.get_by_label("pore").check()
    shown = drawn(page).astype(int)
    for label, phase in phases.items():
        wanted = np.frombuffer(bytes.fromhex(phase["colour"][1:]), np.uint8)
        assert np.abs(shown - wanted).max(axis=2)[at_pixels == int(label)].max(initial=0) <= 1, phase
    for phase in phases.values():
        page.get_by_label(phase["name"].replace("_", " ")).uncheck()
    assert (drawn(page) == 255).all(axis=2)[at_pixels != 255].all()
