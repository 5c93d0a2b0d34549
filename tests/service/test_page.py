"""The page in a browser: a stranger finds a dataset, chooses particles, looks at one, and takes it away.

Stores, plain xarray, NumPy and the public functions of the package referee what the page shows. With
NMCDIST_PICTURES=FOLDER the pictures of the documentation are taken on the way.
"""

import contextlib
import json
import os
import re
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pytest
import xarray as xr
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

import nmcdist
from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.datasets.particles import read_grains, read_particle
from nmcdist.products.registry import parsed_recipe
from nmcdist.queries.columns import Columns
from tests.conftest import make_particles
from tests.service.browser import bare_python, opened_browser, opened_page, run_python, skip_without_browser
from tests.service.conftest import TITLE, release, served, virtual_release

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


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """The store of a few particles of full size, with hundreds of grains."""
    out = tmp_path_factory.mktemp("grown")
    recipe = {
        "name": "nmc811", "version": "1.0.0", "title": "NMC811 particles with radial grains",
        "bundle": "nmc811-radial", "seed": 811, "particles": {"count": 16, "batch": 8},
    }  # fmt: skip
    make_particles(out, load_bundle("nmc811-radial"), recipe=parsed_recipe(recipe, "nmc811.yaml"))
    return out / "nmc811.zarr"


@pytest.fixture(scope="module")
def shown_service(grown, blocks, small_bundle, tmp_path_factory):
    root = tmp_path_factory.mktemp("shown") / "releases"
    bundle = str(save_bundle(small_bundle, root.with_name("bundles")))
    computed = {"name": "computed", "title": "Computed", "bundle": bundle, "particles": {"count": 9}}
    virtual_release({"version": "1.0.0", "seed": 811, **computed}, root, "computed", "1.0.0")
    release(grown, root, "nmc811", "1.0.0")
    release(blocks, root, "additive", "1.0.0", title="Binder-conductive additive with 10 percent graphite")
    with served(root, root.parent / "log") as running:
        yield running


@pytest.fixture
def shown(browser, shown_service):
    """A page of a service with items that are worth a look."""
    with opened_page(browser, shown_service.url) as page:
        yield page


def picture(page, name, **options):
    """Take a picture for the documentation."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"page-{name}.png", animations="disabled", **options)


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

    page.get_by_role("button", name="Copy the code for xarray").click()
    code = page.evaluate("navigator.clipboard.readText()")
    volumes = read_grains(small, chosen[0]).volume_nm3.values
    assert said_by(bare, code, "grains.volume_nm3.values.tolist()") == volumes.tolist()

    with page.expect_download() as download:
        page.locator("#files").get_by_role("link", name="stl", exact=True).click()
    local = nmcdist.export_item(small, item=chosen[0], file_format="stl", target=tmp_path / "local.stl")
    assert download.value.path().read_bytes() == Path(local).read_bytes()


def test_tables_and_zip_files_hold_the_items_that_are_shown(page, small):
    diameters = xr.open_zarr(small, chunks=None).shell_d_max_nm.values.astype(float)
    least = float(np.sort(diameters)[3])
    page.goto(f"{SMALL}?where={quote(f'd_max_nm >= {least!r}')}")
    columns(page).first.wait_for()
    assert counted(page) == (2, 5)
    with page.expect_download() as download:
        page.get_by_role("link", name="Table of the items shown (CSV)").click()
    head, *rows = [line.split(",") for line in download.value.path().read_text().splitlines()]
    assert [float(row[head.index("shell_d_max_nm")]) for row in rows] == diameters[diameters >= least].tolist()
    page.get_by_label("Files of the items shown").select_option("csv")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download (ZIP)").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len(archive.namelist()) == 2
    page.get_by_label("Condition").fill("sample > 99")
    page.keyboard.press("Enter")
    page.get_by_text("No item matches.").wait_for()
    assert page.get_by_role("link", name="Download (ZIP)").is_hidden()
    assert "choose fewer" not in page.locator("#archive").inner_text()


def test_a_file_that_is_not_there_yet_is_waited_for_and_a_refused_one_says_why(browser, service, small, tmp_path):
    busy = {"status": 503, "headers": {"Retry-After": "1"}, "json": {"detail": "busy: another file is made"}}
    answers = [busy, {"status": 422, "json": {"detail": "format stl: the file is too large"}}]
    with browser.new_context(base_url=service.url) as context:
        page = context.new_page()
        page.route("**/exports/*", lambda route: route.fulfill(**answers.pop(0)) if answers else route.continue_())
        page.goto(f"{SMALL}/i/1")
        link = page.locator("#files").get_by_role("link", name="stl", exact=True)
        link.click()
        page.get_by_text("The service makes the file.").wait_for()
        page.get_by_text("format stl: the file is too large").wait_for()
        with page.expect_download() as download:
            link.click()
        local = nmcdist.export_item(small, item=1, file_format="stl", target=tmp_path / "local.stl")
        assert download.value.path().read_bytes() == Path(local).read_bytes()
        assert page.get_by_text("The service makes the file.").count() == 0

        answers[:] = [busy]
        page.route("**/exports?*", lambda route: route.fulfill(**answers.pop(0)) if answers else route.continue_())
        page.goto(SMALL)
        page.get_by_label("Files of the items shown").select_option("csv")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download (ZIP)").click()
        assert not answers
        with zipfile.ZipFile(download.value.path()) as archive:
            assert len(archive.namelist()) == 5


# Every operator of the grammar, missing values among them, and what NumPy and Python would take otherwise.
CONDITIONS = [
    "d_max_nm > 900", "900 < d_max_nm <= 1.05e3 and not shell_sphericity < .9", "sample != 2", "2 >= sample",
    "abs(d_max_nm - 1000) / 2 < 30 or sample == 1", "not (sample < 2 or sample > 3)", "-d_max_nm + 2 * 500 < -1",
    "sample - 1 - 1 == 0", "sample / 2 / 2 == 0.25", "(sample + 1) * 2 < 5 and d_max_nm / (sample - sample) > 0",
    "grain_volume_nm3 / 0 != grain_volume_nm3", "0 / (sample - 1) != 0", "1 < 2 < sample", "not not sample < 3",
    "aspect_ratio < 0.99", "1 < 2", "not 2.5 > 0", "not 2 < 1 or sample == 3", "sample < 1 / 0",
    "-1 / (0) < 0 != 0 / 0",
]  # fmt: skip


def test_conditions_mean_the_same_in_the_code_as_in_a_query(page, service, small):
    """With plain xarray and NumPy, from the code on the page, and by the queries of the package."""
    asked = Columns.of(small)
    page.goto(SMALL)
    columns(page).first.wait_for()
    for condition in CONDITIONS:
        page.get_by_label("Condition").fill(condition)
        with page.expect_response(re.compile(r"/items\?")):
            page.keyboard.press("Enter")
        found = counted(page)
        names = {}
        with np.errstate(all="ignore"):
            exec(page.locator("#code-xarray").inner_text(), names)
        assert names["items"].tolist() == asked.items(condition).tolist() == listed(page), condition
        assert found == (len(names["items"]), 5)
        assert page.get_by_text("Histograms cannot show this condition").is_visible()
    page.get_by_role("button", name="Show all").click()
    assert counted(page) == (5, 5)
    assert not page.get_by_text("Histograms cannot show this condition").is_visible()


def test_the_code_for_nmcdist_selects_and_opens_the_same(page, small):
    pytest.importorskip("nmcdist.accessor")
    page.goto(f"{SMALL}?where=sample%20>%202")
    columns(page).first.wait_for()
    names = {}
    exec(page.locator("#code-nmcdist").text_content(), names)
    assert names["selected"].nmc.items.tolist() == [3, 4]
    page.goto(f"{SMALL}/i/3")
    exec(page.locator("#code-nmcdist").text_content(), names)
    np.testing.assert_array_equal(names["particle"].kept, read_particle(small, 3).kept)


def test_a_wrong_condition_is_answered_with_what_is_wrong(browser, service):
    with opened_page(browser, service.url, refusals=3) as page:
        page.goto(f"{SMALL}?where=diameter%20%3E%205")
        page.get_by_text("where: no column 'diameter'").wait_for()
        for condition in ("sample", "(sample < 2) + 1 > 0"):
            page.get_by_label("Condition").fill("sample < 2")
            with page.expect_response(re.compile(r"/items\?")):
                page.keyboard.press("Enter")
            assert counted(page) == (2, 5)
            page.get_by_label("Condition").fill(condition)
            page.keyboard.press("Enter")
            page.get_by_text("? of 5 items").wait_for()
            assert page.locator("#status").inner_text().startswith("where: ")
            assert page.locator("#items li").count() == 0
            assert "so these are all items" in page.locator("#code-xarray").inner_text()
            assert "numpy" not in page.locator("#code-xarray").inner_text()


def test_a_column_that_is_taken_back_before_it_is_there_stays_away(page):
    """Its bins arrive late, for two clicks and for four."""
    page.goto("/d/tiny/1.0.0")
    columns(page).nth(5).wait_for()
    page.locator("#choose summary").click()
    page.get_by_text(re.compile("^[0-9]+ further columns have no histogram")).wait_for()
    page.route(re.compile("/bins\\?"), lambda route: (page.wait_for_timeout(200), route.continue_()))
    box = page.locator("input[name=column]:not(:checked)").first
    name = box.get_attribute("value")
    for clicks in (2, 4, 3):
        box = page.locator(f"input[value='{name}']")
        with page.expect_response(re.compile("/bins\\?")) if clicks < 3 else contextlib.nullcontext():
            box.evaluate("(box, clicks) => { while (clicks--) box.click(); }", clicks)
        if clicks != 3:
            page.wait_for_timeout(300)  # longer than bins take that are there
            assert not box.is_checked()
            assert columns(page).count() == 6
    columns(page).nth(6).wait_for()
    assert box.is_checked()


@contextlib.contextmanager
def cut_off(page, address):
    """The service cannot be reached at some addresses, until the page has said so."""
    page.route(address, lambda route: route.abort())
    yield
    page.get_by_text("The service cannot be reached.").wait_for()
    page.unroute(address)


def test_what_could_not_be_fetched_is_asked_for_again(browser, service):
    with browser.new_context(base_url=service.url) as context:
        page = context.new_page()
        page.goto("/d/tiny/1.0.0")
        columns(page).nth(5).wait_for()
        page.locator("#choose summary").click()
        box = page.locator(f"input[value='{page.locator('[name=column]:not(:checked)').first.get_attribute('value')}']")
        with cut_off(page, "**/bins?*"):
            box.click()
        assert not box.is_checked()
        box.click()
        columns(page).nth(6).wait_for()

        page.goto("/d/tiny/1.0.0/i/1")
        page.wait_for_selector(FINE)
        slider = page.get_by_label("Position along z")
        with cut_off(page, "**/section.png?*at=*"):
            slider.fill("30")
        slider.fill("40")
        page.get_by_text("The service cannot be reached.").wait_for(state="detached", timeout=20_000)


def test_items_without_descriptors_are_chosen_by_number(page):
    """As those of a refined store, of which a zip file may hold only some."""
    none = {"total": 5, "rows": 5, "columns": [], "further": 0}
    page.route(re.compile("/columns\\?"), lambda route: route.fulfill(json=none))
    page.goto(f"{SMALL}?where=sample%20>%202")
    page.get_by_text("2 of 5 items").wait_for()
    assert counted(page) == (2, 5)
    assert listed(page) == [3, 4]
    page.get_by_label("Condition").fill("sample < 1")
    page.keyboard.press("Enter")
    page.get_by_text("1 of 5 items").wait_for()
    assert parse_qs(urlsplit(page.url).query) == {"where": ["sample < 1"]}
    assert "sample < 1.0" in page.locator("#code-xarray").inner_text()
    for note in ("Drag over a histogram", "Histograms cannot show"):
        assert page.get_by_text(note).is_hidden()


def test_a_million_rows_are_brushed_at_once(page, service):
    """Seven columns of random bins; NumPy counts what the page shows."""
    rows, bins = 1_000_000, 64
    edges = np.linspace(0.0, 1.0, bins + 1).tolist()
    names = [f"column_{k}" for k in range(7)]
    values = np.random.default_rng(1).integers(0, bins, (7, rows), dtype=np.uint8)
    values[3, ::10] = 255  # missing
    common = {"unit": "1", "is_whole": False, "edges": edges, "missing": 0}
    about = {"total": rows, "rows": rows, "columns": [{"name": name, "title": name, **common} for name in names]}
    found = {"total": rows, "count": 0, "next": None, "units": {}, "items": []}
    page.route(re.compile("/columns\\?"), lambda route: route.fulfill(json=about))
    page.route(re.compile("/items\\?"), lambda route: route.fulfill(json=found))

    def bins_of(route):
        asked = parse_qs(urlsplit(route.request.url).query)["columns"][0].split(",")
        route.fulfill(body=values[[names.index(name) for name in asked]].tobytes())

    page.route(re.compile("/bins\\?"), bins_of)
    page.goto(f"{SMALL}?columns={','.join(names)}")
    columns(page).nth(6).wait_for()
    box = columns(page).nth(3).locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"] + 1, box["y"] + 20)
    page.mouse.down()
    page.evaluate("performance.clearMeasures('brush')")
    for k in range(1, 11):
        page.mouse.move(box["x"] + (0.25 + 0.025 * k) * box["width"] - 1, box["y"] + 20)
        page.wait_for_timeout(50)
    text = page.locator("#count").inner_text()
    page.mouse.up()
    low, high = (int(columns(page).nth(3).locator("input").nth(k).input_value()) for k in (0, 1))
    assert (low, high) == (16, 32)
    assert text == f"{((values[3] >= low) & (values[3] < high)).sum():,} of 1,000,000 items"
    took = sorted(page.evaluate("performance.getEntriesByName('brush').map(one => one.duration)"))
    print(f"\na brush of a million rows: {took[0]:.0f} ms at best, {took[len(took) // 2]:.0f} ms in the middle")
    assert len(took) >= 5
    assert took[0] < 100  # on a loaded machine, the quickest one tells


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


def test_a_cut_has_many_colours_and_grains_can_be_read(shown, grown):
    page = shown
    finest = viewed(page, "/d/nmc811/1.0.0/i/2")
    page.get_by_label("Colour by").select_option("Size of the grain")
    page.get_by_label("Borders").uncheck()
    page.get_by_role("button", name="Look along z").click()
    set_cut(page, "z", 0.5)
    size, particle = finest["voxel_size_nm"], read_particle(grown, 2)
    plane = np.take(particle.voxelize(size, pieces="keep"), finest["shape"][0] // 2, axis=0)
    _, rows, columns = seen_by_pixels(page, plane.shape, size)
    inner = is_uniform(plane)[rows, columns] & (plane[rows, columns] > 0)
    assert len(np.unique(drawn(page)[inner], axis=0)) >= 20
    box = page.locator("#view").bounding_box()
    diameters = np.cbrt(6 * particle.volumes_nm3 / np.pi)
    for y, x in np.argwhere(inner)[:: inner.sum() // 7]:
        page.mouse.click(box["x"] + x + 0.5, box["y"] + y + 0.5)
        label = plane[rows, columns][y, x]
        read = page.locator("#reading").inner_text()
        assert read.startswith(f"Grain {label}, diameter {diameters[label - 1]:.0f} nm")


def test_pages_look_as_in_the_documentation(shown):
    """Looked at by people; here only that each shows what the picture is taken for."""
    page = shown
    opened(page, "/")
    page.locator(".cards li", has_text="Computed").evaluate("card => card.remove()")  # one without a preview
    picture(page, "datasets")
    opened(page, "/d/nmc811/1.0.0")
    page.get_by_label("largest diameter, from").fill("3")
    page.get_by_label("largest diameter, to").fill("8")
    assert 0 < counted(page)[0] < 16
    page.wait_for_load_state("networkidle")
    page.locator("#filter").evaluate("filter => filter.scrollIntoView()")
    picture(page, "choose")
    viewed(page, "/d/nmc811/1.0.0/i/2")
    picture(page, "particle")
    viewed(page, "/d/additive/1.0.0/i/0")
    picture(page, "volume")


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


ALL = ["/", "/d/tiny/1.10.0", SMALL, f"{SMALL}/i/0", "/d/tiny/1.10.0/i/1"]


def opened(page, address):
    page.goto(address)
    page.wait_for_load_state("networkidle")
    if "/i/" in address:
        page.wait_for_selector("#stage[data-state]")


@pytest.mark.parametrize("address", ALL)
def test_pages_are_as_narrow_as_a_phone(browser, service, address):
    with opened_page(browser, service.url) as page:
        page.set_viewport_size({"width": 360, "height": 740})
        opened(page, address)
        for details in page.locator("details").all():
            details.locator("summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        wide = (
            "[...document.querySelectorAll('button, input, select')].filter(e => e.getBoundingClientRect().right > 361)"
        )
        assert page.evaluate(f"{wide}.map(e => e.id)") == []
        picture(page, f"phone-{ALL.index(address)}") if address.endswith("/i/0") else None


@pytest.mark.parametrize("address", ALL)
def test_every_control_has_a_name_and_is_reached_by_the_tab_key(page, address):
    opened(page, address)
    names = page.evaluate(CONTROLS)
    assert all(name.strip() for _, name in names), names
    reached = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(len(names) + 60):
        page.keyboard.press("Tab")
        place, ring = page.evaluate(FOCUSED)
        if place is not None:
            reached.add(place)
            assert ring, f"no focus is seen on {names[place]}"
    missing = [name for place, name in names if place not in reached]
    assert missing == []


# All visible controls with their names, but of radio buttons and tabs only the chosen ones: arrows reach the others.
CONTROLS = """() => {
  const isOffered = e => e.checkVisibility() && !e.disabled && e.tabIndex >= 0
    && !(e.type === 'radio' && !e.checked) && !e.closest('[aria-hidden=true]');
  const kinds = 'a[href], button, input, select, textarea, summary, canvas[tabindex]';
  window.controls = [...document.querySelectorAll(kinds)];
  const named = e => e.getAttribute('aria-label') || [...(e.labels ?? [])].map(l => l.textContent).join(' ')
    || e.textContent || '';
  return window.controls.map((e, k) => [e, k]).filter(([e]) => isOffered(e)).map(([e, k]) => [k, named(e)]);
}"""
FOCUSED = """() => {
  const place = window.controls.indexOf(document.activeElement);
  const style = getComputedStyle(document.activeElement);
  return [place < 0 ? null : place, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0];
}"""


def test_titles_of_strangers_are_text(page):
    for address, place in (("/", "main"), ("/d/tiny/1.10.0", "h1"), ("/d/tiny/1.10.0/i/0", "h1")):
        opened(page, address)
        assert TITLE in page.locator(place).inner_text()
        assert page.locator("main b, main script").count() == 0


def test_the_view_is_turned_by_keys_and_by_the_pointer(page):
    viewed(page, f"{SMALL}/i/1")
    first = drawn(page)
    view = page.get_by_label("View in space")
    view.press("ArrowLeft")
    turned = drawn(page)
    assert (first != turned).any(axis=2).mean() > 0.02
    view.press("ArrowRight")
    np.testing.assert_array_equal(drawn(page), first)
    view.press("+")
    larger = drawn(page)
    assert (larger != 255).any(axis=2).sum() > 1.1 * (first != 255).any(axis=2).sum()
    view.press("Home")
    np.testing.assert_array_equal(drawn(page), first)
    box = view.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 360, box["y"] + 230, steps=3)
    page.mouse.up()
    assert (first != drawn(page)).any(axis=2).mean() > 0.02
    page.get_by_role("button", name="As at first").click()
    np.testing.assert_array_equal(drawn(page), first)


def test_without_webgl_the_sections_remain(browser, service):
    with opened_page(browser, service.url) as page:
        page.add_init_script(
            "const get = HTMLCanvasElement.prototype.getContext;"
            "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
            " return kind === 'webgl2' ? null : get.call(this, kind, ...more) }"
        )
        page.goto(f"{SMALL}/i/0")
        page.get_by_text("This browser has no WebGL 2").wait_for()
        section = page.locator("figure[data-axis=y] img")
        with page.expect_response(re.compile(r"axis=y&at=0\.2&")) as answer:
            page.get_by_label("Position along y").fill("20")
        assert answer.value.status == 200
        page.wait_for_function("() => document.querySelector('figure[data-axis=y] img').src.includes('at=0.2&')")
        assert (
            section.evaluate(
                "picture => picture.decode().then(() => Math.max(picture.naturalWidth, picture.naturalHeight))"
            )
            == 320
        )


def test_a_view_comes_back_after_the_browser_took_the_graphics_away(browser, service):
    with opened_page(browser, service.url) as page:
        viewed(page, f"{SMALL}/i/0")
        before = drawn(page)
        page.evaluate(
            "window.graphics = document.getElementById('view').getContext('webgl2').getExtension('WEBGL_lose_context');"
            "window.graphics.loseContext()"
        )
        page.locator("#status", has_text="The browser has taken the graphics away.").wait_for()
        page.evaluate("window.graphics.restoreContext()")
        page.wait_for_selector(FINE)
        assert page.locator("#status").inner_text() == ""
        assert (drawn(page) == before).all()


def test_a_service_that_cannot_be_reached_is_named(browser, service):
    page = browser.new_page(base_url=service.url)  # on which the browser may complain
    page.goto(f"{SMALL}/i/0")
    page.wait_for_selector(FINE)
    page.context.set_offline(True)
    page.get_by_label("Position along y").fill("20")
    page.locator("#status", has_text="The service cannot be reached.").wait_for()
    page.close()


def test_without_scripts_the_pages_still_show_and_say_what_there_is(browser, service):
    with opened_page(browser, service.url, java_script_enabled=False) as page:
        page.goto(SMALL)
        assert page.locator("#items a").count() == 5
        assert "xarray.open_zarr" in page.locator("#code-xarray").inner_text()
        page.get_by_label("Condition").fill("sample < 2")
        page.get_by_role("button", name="Apply").click()
        assert json.loads(page.locator("body").inner_text())["count"] == 2
        page.goto(f"{SMALL}/i/1")
        for image in page.locator("main img").all():
            image.scroll_into_view_if_needed()
        page.wait_for_load_state("networkidle")
        assert page.locator("main img").count() == 4
        assert page.get_by_role("link", name="Item 2").is_visible()


def test_a_virtual_dataset_lists_its_items_by_number(shown):
    page = shown
    opened(page, "/")
    assert page.locator(".cards li", has_text="Computed").locator("img").evaluate("picture => picture.decode()") is None
    page.get_by_role("link", name="Computed").click()
    page.get_by_role("button", name="More items").click()
    page.locator("#items li").nth(8).wait_for()
    assert listed(page) == list(range(9))
    assert page.get_by_role("button", name="More items").is_hidden()
    assert page.locator("#filter").is_hidden()
    page.get_by_role("link", name="Item 7").click()
    page.wait_for_selector(FINE)
    assert (drawn(page) != 255).any(axis=2).mean() > 0.02
    diameter = page.request.get("/api/datasets/computed/1.0.0/items/7").json()["values"]["shell_d_max_nm"]
    assert f"largest diameter\n{round(diameter):,} nm" in page.locator("#values").inner_text()
    about = {**page.request.get("/api/datasets/computed/1.0.0/items/6").json(), "values": {}}
    page.route("**/items/6", lambda route: route.fulfill(json=about))
    opened(page, "/d/computed/1.0.0/i/6")
    page.locator("#files a", has_text="stl").first.wait_for()
    assert page.get_by_role("heading", name="Values").is_hidden()


@pytest.mark.slow  # a busy machine says nothing
def test_an_item_is_seen_soon(browser, shown_service):
    """The section within a second, the view in space within six, without a graphics card; the best of three items."""
    seen = []
    for item in (5, 6, 7):
        with opened_page(browser, shown_service.url) as page:
            page.add_init_script(
                "const mark = event => event.target.id === 'first' && performance.mark('first-picture');"
                "document.addEventListener('load', mark, true)"
            )
            page.goto(f"/d/nmc811/1.0.0/i/{item}")
            page.wait_for_selector("#stage[data-state]")
            page.wait_for_selector(FINE)
            moments = "name => performance.getEntriesByName(name)[0].startTime / 1000"
            seen.append([page.evaluate(moments, name) for name in ("first-picture", "first-3d")])
    print("\nseconds until the section and the view:", seen)
    section, view = np.min(seen, axis=0)
    assert section < 1
    assert view < 6
