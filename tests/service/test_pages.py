"""The pages and the catalogs: complete, escaped, with working links, without a script of their own."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from nmcdist.service.pages.opening import item_codes
from nmcdist.service.settings import Settings
from nmcdist.service.shelf import open_shelf
from tests.service.conftest import TITLE


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.data, self.text = [], [], [], []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._in = tag
        self.links += [attributes[name] for name in ("href", "src", "action", "formaction") if attributes.get(name)]

    def handle_endtag(self, tag):
        self._in = ""

    def handle_data(self, data):
        (self.data if self._in == "script" else self.text).append(data)


PAGES = [
    "/", "/d/tiny/1.0.0", "/d/tiny/1.10.0", "/d/small/0.9.0-rc.1%2Bb", "/d/blocks/2.0.0", "/d/tiny/1.10.0/i/3",
    "/d/small/0.9.0-rc.1%2Bb/i/0",
]  # fmt: skip


@pytest.fixture(scope="module", params=PAGES)
def page(request, client):
    answer = client.get(request.param)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return Page(answer.text)


def test_every_link_of_the_service_works(page, client):
    own = [link for link in page.links if link.startswith("/")]
    assert own
    for link in own:
        assert client.get(link).status_code == 200, link
    assert all(
        link.startswith(("/", "https://spdx.org/", "https://doi.org/", "https://orcid.org/")) for link in page.links
    )


def test_nothing_on_a_page_runs(page):
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed", "base")
        if tag == "script" and "src" in attributes:
            assert attributes["type"] == "module"
            assert re.fullmatch(r"/static/\w+\.js", attributes["src"])
        elif tag == "script":
            assert attributes["type"] in ("application/ld+json", "application/json")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]


def test_titles_are_text(client):
    for path in ("/", "/d/tiny/1.10.0", "/d/tiny/1.10.0/i/0"):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert "<b>Lab</b>" not in text
        assert TITLE in "".join(Page(text).text)


def test_a_page_carries_the_release_for_search_engines(client):
    data, _ = Page(client.get("/d/tiny/1.10.0").text).data
    described = json.loads(data)
    assert described["name"] == TITLE
    assert "Dataset" in described["@type"]
    assert described == client.get("/files/tiny/1.10.0/croissant.json").json()


def test_the_line_on_the_page_opens_the_release(client, service):
    text = "".join(Page(client.get("/d/blocks/2.0.0").text).text)
    code = re.findall(r"import xarray\n\ndata = .*", text)[0]
    names = {}
    exec(code, names)
    assert names["data"].sizes["x"] == 128
    assert service.url in code


def test_the_code_for_an_item_without_a_volume_asks_for_none(releases):
    """As of campaigns and of sweeps that keep no volumes."""
    item = open_shelf(releases, Settings())["blocks"]["2.0.0"]
    kept = tuple(variable for variable in item.release.variables if variable.name != "volume")
    bare = replace(item, release=item.release.model_copy(update={"variables": kept}))
    lasts = [item_codes(one, 3, "http://x")["nmcdist"].splitlines()[-1] for one in (item, bare)]
    assert lasts == ["volume = data.nmc.volume(3)", "item = data.isel(sample=3)"]


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [("/d/tiny/1.0.0/i/4", 404, "item 4: not in tiny/1.0.0, expected 0 to 3"), ("/nowhere", 404, "no such address"),
     ("/d/tiny/1.0.0/i/x", 422, "number: found 'x', expected a whole number"),
     ("/d/%3Cb%3E/1.0.0", 404, "'<b>': no such dataset")],
)  # fmt: skip
def test_a_browser_gets_errors_as_a_page_and_programs_as_json(client, path, status, detail):
    program, people = client.get(path), client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert program.status_code == people.status_code == status
    assert program.json() == {"detail": detail}
    assert people.headers["Content-Type"] == "text/html; charset=utf-8"
    assert people.headers["Cache-Control"] == "no-store"
    page = Page(people.text)
    assert detail in page.text
    assert "/" in page.links
    assert ("b", {}) not in page.tags


def test_the_catalogs_name_every_release(client, service):
    listed = client.get("/catalog.json").json()
    assert client.get("/api/datasets").json() == listed
    assert [(e["name"], e["version"], e["latest"]) for e in listed["datasets"]] == [
        ("blocks", "2.0.0", True), ("small", "0.9.0-rc.1+b", True), ("tiny", "1.10.0", True), ("tiny", "1.0.0", False),
    ]  # fmt: skip
    for entry in listed["datasets"]:
        assert client.get(entry["store"] + "/zarr.json").status_code == 200
        assert client.get(entry["page"]).status_code == 200
        details = client.get(entry["api"]).json()
        assert details["release"]["version"] == entry["version"]
        for address in details["documents"].values():
            assert client.get(address).status_code == 200
        assert all(address.startswith(service.url) for address in details["documents"].values())
    for name in ("catalog.yaml", "catalog-v1.yaml"):
        answer = client.get(f"/{name}")
        assert answer.headers["Content-Type"].startswith("application/yaml")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "/v/tiny/1.10.0" in answer.text
