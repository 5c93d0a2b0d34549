"""The page of a release: histograms that filter, the items, the code that opens them, and what the release says."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from nmcdist.errors import StoreError
from nmcdist.queries.columns import Columns
from nmcdist.releases.documents.text import doi_url, orcid_url
from nmcdist.releases.model import Creator, Release, Variable
from nmcdist.service.catalogs import api_path, document_path, page_path, store_path
from nmcdist.service.pages import frame
from nmcdist.service.pages.opening import dataset_codes, has_pictures, opening
from nmcdist.service.pages.shelf import PREVIEW, items, licence, size
from nmcdist.service.shelf import Item

_DESCRIPTION = "croissant.json"
_LARGEST = 4 << 20  # bytes of the description that a page carries
_FIRST, _FIRST_COMPUTED = 12, 6  # items that are listed without scripts


def release_page(
    item: Item, versions: Sequence[Item], base: str, described: Any = None, columns: Columns | None = None
) -> str:
    """Return the page of a release.

    Parameters
    ----------
    item : Item
    versions : sequence of Item
        All versions of the dataset, the latest first.
    base : str
        Address of the service.
    described : JSON value, optional
        The release in terms of schema.org, for search engines.
    columns : Columns, optional
        What its items can be filtered by.
    """
    release = item.release
    parts = [
        frame.path(("/", "All datasets")),
        f"<main>\n<h1>{escape(release.title)}</h1>",
        _superseded(item, versions),
        f'<div class="head{" has-picture" if item.documents.has(PREVIEW) else ""}"><div>',
        f"<p>{escape(release.description)}</p>",
        f'<p class="note">{items(release)}, {escape(size(release))}, {licence(release)}</p></div>',
        _preview(item),
        "</div>",
        _filter(item),
        f'<h2>Items</h2>\n<p id="status" role="status" class="problem"></p>\n{_items(item)}',
        '<p><button type="button" id="more" hidden>More items</button></p>',
        f"<h2>Open</h2>\n{frame.code_tabs(dataset_codes(item, base))}\n{_how(item)}",
        _downloads(item),
        f"<h2>Cite</h2>\n<p>{escape(release.citation)}</p>",
        f"<h2>About</h2>\n{_about(release)}",
        f"<h2>Variables</h2>\n{_variables(release.variables)}",
        f"<h2>Versions</h2>\n<p>{_versions(versions)}</p>\n</main>",
        frame.data("page", _for_script(item, columns)),
    ]
    body = "\n".join(part for part in parts if part)
    return frame.page(f"{release.title}, {release.version}", body, "explorer", described)


def json_ld(item: Item) -> Any:
    """Return the release in terms of schema.org, as its own document holds it; None if it has none."""
    if not item.documents.has(_DESCRIPTION):
        return None
    content = item.documents.open(_DESCRIPTION)
    try:
        return json.loads(content.read(0, content.size)) if content.size <= _LARGEST else None
    except (StoreError, ValueError):
        return None
    finally:
        content.close()


def _for_script(item: Item, columns: Columns | None) -> dict[str, Any]:
    return {
        "api": api_path(item),
        "page": page_path(item),
        "total": item.release.sizes.items,
        "virtual": item.release.virtual,
        "pictures": has_pictures(item),
        "opening": opening(item, columns),
    }


def _filter(item: Item) -> str:
    """Return what chooses items; without scripts, a condition is answered as JSON."""
    return (
        f'<section id="filter" aria-labelledby="filter-title"{" hidden" if item.release.virtual else ""}>\n'
        '<h2 id="filter-title">Choose items</h2>\n'
        '<p class="note" id="how">Drag over a histogram, or move its two handles. The other histograms then show the '
        "items that are left.</p>\n"
        f'<div class="tools"><p id="count" role="status" aria-live="polite">{items(item.release)}</p>'
        '<button type="button" id="reset" hidden>Show all</button>\n'
        f'<form id="condition" action="{escape(api_path(item))}/items">'
        '<input type="text" id="where" name="where" maxlength="2000" aria-label="Condition" autocomplete="off" '
        'spellcheck="false" placeholder="sample &lt; 3 and not sample == 1"><button>Apply</button></form></div>\n'
        '<p id="by-hand" class="note" hidden>Histograms cannot show this condition, so they show all items. '
        "“Show all” lets you draw on them again.</p>\n"
        '<div id="histograms"></div>\n'
        '<details id="choose" hidden><summary>Choose columns</summary><fieldset id="columns">'
        "<legend>Columns with a histogram</legend></fieldset></details>\n</section>"
    )


def _items(item: Item) -> str:
    most = _FIRST_COMPUTED if item.release.virtual else _FIRST
    cards = "".join(_card(item, number) for number in range(min(most, item.release.sizes.items)))
    return f'<ul id="items">{cards}</ul>'


def _card(item: Item, number: int) -> str:
    picture = ""
    if has_pictures(item):
        address = f"{escape(api_path(item))}/items/{number}/section.png?size=128"
        picture = f'<img src="{address}" alt="" width="128" height="128" loading="lazy">'
    return f'<li><a href="{escape(page_path(item))}/i/{number}">{picture}<span>Item {number}</span></a></li>'


def _downloads(item: Item) -> str:
    tables = "" if item.release.virtual else "".join(
        f'<li><a data-table="{suffix}" href="{escape(api_path(item))}/exports?where=&amp;format={suffix}">'
        f"Table of the items shown ({suffix.upper()})</a></li>"
        for suffix in ("csv", "json")
    )  # fmt: skip
    archive = "" if item.release.virtual else (
        '<p class="tools" id="archive" hidden><label for="archive-format">Files of the items shown</label>'
        '<select id="archive-format"></select><a id="archive-link" download>Download (ZIP)</a>'
        '<span id="archive-note" class="note" role="status"></span></p>'
    )  # fmt: skip
    documents = "".join(
        f'<li><a href="{escape(document_path(item, name))}">{escape(name)}</a></li>' for name in item.documents.names
    )
    return f'<h2>Download</h2>\n<ul class="downloads">{tables}</ul>\n{archive}\n' + (
        f'<h3>Documents of the release</h3>\n<ul class="downloads">{documents}</ul>' if documents else ""
    )


def _how(item: Item) -> str:
    line = "The code for xarray needs xarray, zarr, fsspec and aiohttp; nothing of nmcdist."
    if item.release.virtual:
        line += " Chunks are computed when they are first read. Select a few items before you load."
    return f'<p class="note">{line} Store: <code>{escape(store_path(item))}</code></p>'


def _about(release: Release) -> str:
    made = release.provenance
    rows = [
        ["Version", escape(release.version)],
        ["Published", release.created.isoformat()],
        ["Creators", "; ".join(map(_creator, release.creators))],
        ["Licence", licence(release)],
        ["Keywords", escape(", ".join(release.keywords))],
        ["Papers", ", ".join(map(_doi, release.papers))],
        ["DOI", _doi(release.doi) if release.doi else ""],
        ["Items", f"{release.sizes.items:,}"],
        ["Size", size(release) + ("" if release.virtual else f" in {release.sizes.files:,} files")],
        ["Made from", escape(f"bundle {made.bundle.name}, seed {made.seed}, nmcdist {made.versions.nmcdist}")],
        ["Manifest", f"<code>{escape(release.manifest_sha256)}</code>"],
    ]
    return frame.table([], [row for row in rows if row[1]])


def _creator(creator: Creator) -> str:
    name = escape(creator.name)
    if creator.orcid:
        name = f'<a href="{orcid_url(quote(creator.orcid))}">{name}</a>'
    return f"{name} ({escape(creator.affiliation)})" if creator.affiliation else name


def _doi(doi: str) -> str:
    return f'<a href="{escape(doi_url(quote(doi)))}">{escape(doi)}</a>'


def _variables(variables: Sequence[Variable]) -> str:
    return (
        f"<details><summary>{len(variables)} variables</summary>\n"
        '<div class="wide" tabindex="0" role="region" aria-label="Variables">'
        f"{_variable_table(variables)}</div></details>"
    )


def _variable_table(variables: Iterable[Variable]) -> str:
    rows = [
        [
            f"<code>{escape(variable.name)}</code>",
            escape(", ".join(f"{d} {n}" for d, n in zip(variable.dims, variable.shape, strict=False))),
            escape(variable.dtype),
            escape(variable.units),
            escape(". ".join(text for text in (variable.long_name, variable.description) if text)),
        ]
        for variable in variables
    ]
    return frame.table(["name", "dimensions", "type", "unit", "what"], rows)


def _preview(item: Item) -> str:
    if not item.documents.has(PREVIEW):
        return ""
    return (
        f'<p class="preview"><img src="{escape(document_path(item, PREVIEW))}" '
        f'alt="Preview of {escape(item.release.title)}"></p>'
    )


def _superseded(item: Item, versions: Sequence[Item]) -> str:
    latest = versions[0]
    if item.job is not None:
        return f'<p class="note">Version {escape(item.release.version)}: the result of a job, not published.</p>'
    if latest is item:
        return f'<p class="note">Version {escape(item.release.version)}, the latest.</p>'
    link = f'<a href="{escape(page_path(latest))}">{escape(latest.release.version)}</a>'
    return f'<p class="note">Version {escape(item.release.version)}; the latest is {link}.</p>'


def _versions(versions: Sequence[Item]) -> str:
    return ", ".join(f'<a href="{escape(page_path(v))}">{escape(v.release.version)}</a>' for v in versions)
