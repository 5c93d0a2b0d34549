"""The site builds without a warning, needs no other host, and has every key and every public name."""

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nmcdist
from nmcdist.clusters.deployment import Deployment
from nmcdist.products.registry import kinds

ROOT = Path(__file__).parents[2]
WORDS = (
    "germ", "grain", "seed", "marker", "shell", "item", "task", "part", "kind", "bundle", "recipe", "store", "journal",
    "receipt", "batch", "block", "excursion set", "intensity", "chord length", "constrictivity", "geodesic tortuosity",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder], cwd=ROOT, capture_output=True,
        text=True, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    return folder


def text_of(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")))


def test_nothing_is_loaded_from_another_host(site):
    loads = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(https?:)?//|<link\b[^>]*\bhref=[\"']?(https?:)?//|url\((https?:)?//"
    )
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 20
    found = [f"{page.relative_to(site)}: {hit[0]}" for page in pages for hit in loads.finditer(page.read_text())]
    assert found == []


def keys(model, before=""):
    for name, field in model.model_fields.items():
        yield before + name
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if hasattr(part, "model_fields"):
                yield from keys(part, f"{before}{name}.")


def rows_of(page):
    """Cells of every row of the tables of a page, by their first cell."""
    rows = re.findall(r"<tr>(.*?)</tr>", page.read_text(encoding="utf-8"), re.DOTALL)
    cells = (re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows)
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in row] for row in cells]


@pytest.mark.parametrize("kind", ["volumes", "particles"])
def test_every_recipe_key_has_a_row_with_its_meaning(site, kind):
    rows = rows_of(site / "reference/recipes.html")
    for key in keys(kinds()[kind].recipe):
        found = [row for row in rows if row[0] == key]
        assert found, key
        assert all(len(row[4]) > 10 for row in found), key


def test_types_defaults_and_bounds_are_those_of_the_models(site):
    rows = {row[0]: row[1:4] for row in rows_of(site / "reference/recipes.html")}
    assert rows["storage.chunk"] == ["integer", "64", "at least 8; at most 512"]
    assert rows["volume.shape"] == ["list of 3 integers", "required", "each at least 2; each at most 1,048,576"]
    assert rows["seed"] == ["integer", "required", "at least 0; less than 2^64"]
    assert rows["storage.volumes"] == ["true or false", "true", ""]
    assert rows["descriptors.axes"] == ["list of z or y or x", "[z, y, x]", "1 to 3 values"]
    assert rows["descriptors.cut_heights"][1:] == [
        "[0.0, 0.3, 0.6, 0.8]", "1 to 16 values; each at least 0; each less than 1",
    ]  # fmt: skip


def test_every_deployment_key_has_a_row_with_its_meaning_and_who_takes_it(site):
    rows = {row[0]: row for row in rows_of(site / "reference/deployments.html")}
    assert set(Deployment.model_fields) == set(rows) - {"key"}
    assert all(len(row[4]) > 10 for row in rows.values() if row[0] != "key")
    assert rows["image"][5:] == ["kubernetes", "kubernetes"]
    assert rows["workers"][5] == "all"
    assert rows["patience"][1:3] == ["text", "3600s"]


def test_every_public_name_and_every_command_is_documented(site):
    python = text_of(site / "reference/python.html") + text_of(site / "reference/extending.html")
    homes = {"register_kind": "register"}
    for name in nmcdist.__all__:
        assert name == "__version__" or re.search(rf"\b{homes.get(name, name)}\b", python), name
    commands = text_of(site / "reference/command-line.html")
    for name in ("plan", "run", "status", "finalise", "retry-failed", "describe", "verify", "report", "export"):
        assert f"nmcdist {name}" in commands, name
    assert "--voxel-size-nm" in commands
    assert "UNSET" not in commands
    assert "__all__" not in python


def test_the_glossary_explains_each_word(site):
    terms = re.findall(r"<dt[^>]*>(.*?)</dt>", (site / "glossary.html").read_text(encoding="utf-8"))
    assert set(WORDS) <= set(terms)
