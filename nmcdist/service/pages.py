"""The pages: a list of releases, and one page per release. Plain HTML without scripts; every value is escaped."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import StoreError
from nmcdist.releases.documents.text import doi_url, licence_url, orcid_url
from nmcdist.releases.model import NOT_STATED, Creator, Release, Variable
from nmcdist.service.catalogs import api_path, document_path, opening_line, page_path, store_path
from nmcdist.service.shelf import Item, Shelf

_DESCRIPTION = "croissant.json"
_LARGEST = 4 << 20  # bytes of the description that a page carries
_PREVIEW = "preview.png"

STYLE = """\
body { font: 1rem/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2rem; }
a { color: #00695c; } code, pre { font-size: .9rem; background: #f2f5f4; border-radius: .2rem; }
code { padding: .1rem .25rem; overflow-wrap: anywhere; } pre { padding: .75rem; overflow-x: auto; }
pre code { padding: 0; overflow-wrap: normal; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } th { text-align: left; }
td, th { padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #dde3e1; vertical-align: top; }
.number { text-align: right; } .note { color: #555; } img { max-width: 100%; }
input[type=text] { width: 60%; font: inherit; padding: .25rem; } button { font: inherit; padding: .25rem .75rem; }
.wide { overflow-x: auto; }
"""


def list_page(shelf: Shelf, base: str) -> str:
    """Return the list of all datasets, each in its latest version."""
    rows = [_row(shelf.latest(name), len(shelf[name])) for name in shelf]
    table = _table(["dataset", "version", "title", "items", "size", "licence"], rows) if rows else "<p>No datasets.</p>"
    catalogs = ", ".join(
        f'<a href="/{name}">{name}</a>' for name in ("catalog.json", "catalog.yaml", "catalog-v1.yaml", "openapi.json")
    )
    body = f"<h1>{escape(shelf.title)}</h1>\n{table}\n<h2>For programs</h2>\n<p>{catalogs}</p>\n"
    if rows:
        first = shelf.latest(next(iter(shelf)))
        body += f"<pre><code>{escape(_code(first, base))}</code></pre>\n"
    return _page(shelf.title, body)


def release_page(item: Item, versions: Sequence[Item], base: str, described: Any = None) -> str:
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
    """
    release = item.release
    parts = [
        f'<p><a href="/">All datasets</a></p>\n<h1>{escape(release.title)}</h1>',
        _superseded(item, versions),
        f"<p>{escape(release.description)}</p>",
        _preview(item),
        f"<h2>Open</h2>\n<pre><code>{escape(_code(item, base))}</code></pre>\n{_how(item)}",
        f"<h2>Cite</h2>\n<p>{escape(release.citation)}</p>",
        f"<h2>About</h2>\n{_about(release)}",
        "" if release.virtual else _query_form(item),
        f"<h2>Variables</h2>\n{_variables(release.variables)}",
        f"<h2>Documents</h2>\n<p>{_documents(item)}</p>" if item.documents.names else "",
        f"<h2>Versions</h2>\n<p>{_versions(versions)}</p>",
    ]
    return _page(f"{release.title}, {release.version}", "\n".join(part for part in parts if part), described)


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


def _page(title: str, body: str, described: Any = None) -> str:
    data = ""
    if described is not None:  # with no < in it, the text cannot end its element
        text = json.dumps(described).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        data = f'<script type="application/ld+json">{text}</script>\n'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f'<link rel="stylesheet" href="/style.css">\n{data}</head>\n<body>\n{body}\n</body>\n</html>\n'
    )


def _code(item: Item, base: str) -> str:
    return f"import xarray\ndata = {opening_line(item, base)}"


def _how(item: Item) -> str:
    line = "Needs xarray, zarr, fsspec and aiohttp; nothing of nmcdist."
    if item.release.virtual:
        line += " Chunks are computed when they are first read. Select a few items before you load."
    return f'<p class="note">{line} Store: <code>{escape(store_path(item))}</code></p>'


def _row(item: Item, versions: int) -> list[str]:
    release = item.release
    more = f" and {versions - 1} more" if versions > 1 else ""
    return [
        f'<a href="{escape(page_path(item))}">{escape(release.name)}</a>',
        escape(release.version + more),
        escape(release.title) + (" (computed when read)" if release.virtual else ""),
        f"{release.sizes.items:,}",
        _size(release),
        escape(release.license),
    ]


def _size(release: Release) -> str:
    return "computed" if release.virtual else readable_bytes(release.sizes.bytes)


def _about(release: Release) -> str:
    made = release.provenance
    rows = [
        ["Version", escape(release.version)],
        ["Published", release.created.isoformat()],
        ["Creators", "; ".join(map(_creator, release.creators))],
        ["Licence", _licence(release.license)],
        ["Keywords", escape(", ".join(release.keywords))],
        ["Papers", ", ".join(map(_doi, release.papers))],
        ["DOI", _doi(release.doi) if release.doi else ""],
        ["Items", f"{release.sizes.items:,}"],
        ["Size", f"{_size(release)}" + ("" if release.virtual else f" in {release.sizes.files:,} files")],
        ["Made from", escape(f"bundle {made.bundle.name}, seed {made.seed}, nmcdist {made.versions.nmcdist}")],
        ["Manifest", f"<code>{escape(release.manifest_sha256)}</code>"],
    ]
    return _table([], [row for row in rows if row[1]])


def _licence(licence: str) -> str:
    if licence == NOT_STATED:
        return escape(licence)
    return f'<a href="{licence_url(quote(licence))}">{escape(licence)}</a>'


def _creator(creator: Creator) -> str:
    name = escape(creator.name)
    if creator.orcid:
        name = f'<a href="{orcid_url(quote(creator.orcid))}">{name}</a>'
    return f"{name} ({escape(creator.affiliation)})" if creator.affiliation else name


def _doi(doi: str) -> str:
    return f'<a href="{escape(doi_url(quote(doi)))}">{escape(doi)}</a>'


def _variables(variables: Iterable[Variable]) -> str:
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
    return f'<div class="wide">{_table(["name", "dimensions", "type", "unit", "what"], rows)}</div>'


def _query_form(item: Item) -> str:
    items = f"{api_path(item)}/items"
    histograms = f"{api_path(item)}/histograms"
    return (
        f'<h2>Select items</h2>\n<form action="{escape(items)}">\n'
        '<input type="text" name="where" maxlength="2000" aria-label="Condition" placeholder="sample &lt; 3">\n'
        f'<button>Items</button> <button formaction="{escape(histograms)}">Histograms</button>\n</form>\n'
        '<p class="note">A condition on the descriptors; the answer is JSON.</p>'
    )


def _documents(item: Item) -> str:
    return ", ".join(
        f'<a href="{escape(document_path(item, name))}">{escape(name)}</a>' for name in item.documents.names
    )


def _preview(item: Item) -> str:
    if not item.documents.has(_PREVIEW):
        return ""
    return f'<img src="{escape(document_path(item, _PREVIEW))}" alt="Preview of {escape(item.release.title)}">'


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


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are HTML already."""
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>")
    for row in rows:
        first, *others = row
        opening = "<td>" if head else '<th scope="row">'
        closing = "</td>" if head else "</th>"
        lines.append(f"<tr>{opening}{first}{closing}" + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>")
    return "\n".join([*lines, "</table>"])
