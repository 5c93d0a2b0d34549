"""The list of datasets: a card for each, with a picture, what it is, and how to cite it."""

from collections.abc import Mapping
from html import escape
from urllib.parse import quote

from nmcdist.datasets.files import readable_bytes
from nmcdist.releases.documents.text import licence_url
from nmcdist.releases.model import NOT_STATED, Release
from nmcdist.service.catalogs import api_path, document_path, opening_line, page_path
from nmcdist.service.pages import frame
from nmcdist.service.pages.opening import has_pictures
from nmcdist.service.shelf import Item, Shelf

PREVIEW = "preview.png"
_CATALOGS = ("catalog.json", "catalog.yaml", "catalog-v1.yaml", "openapi.json")


def list_page(shelf: Shelf, base: str, *, has_jobs: bool = False) -> str:
    """Return the list of all datasets, each in its latest version."""
    cards = "\n".join(_card(shelf.latest(name), shelf[name]) for name in shelf)
    catalogs = ", ".join(f'<a href="/{name}">{name}</a>' for name in _CATALOGS)
    parts = [
        f"<h1>{escape(shelf.title)}</h1>",
        '<p><a href="/jobs">Ask for another dataset: jobs</a></p>' if has_jobs else "",
        f'<ul class="cards">\n{cards}\n</ul>' if cards else "<p>No datasets.</p>",
        "<h2>For programs</h2>",
        f"<p>{catalogs}</p>",
    ]
    if cards:
        first = shelf.latest(next(iter(shelf)))
        code = f"import xarray\ndata = {opening_line(first, base)}"
        parts.append(f"<pre><code>{escape(code)}</code></pre>")
    return frame.page(shelf.title, "<main>\n" + "\n".join(part for part in parts if part) + "\n</main>")


def size(release: Release) -> str:
    """Return the size of a release for people."""
    return "computed when read" if release.virtual else readable_bytes(release.sizes.bytes)


def items(release: Release) -> str:
    """Return the number of items for people."""
    return "1 item" if release.sizes.items == 1 else f"{release.sizes.items:,} items"


def picture(item: Item) -> str:
    """Return the address of a picture of a release: its preview, or a section of its first item; empty for neither."""
    if item.documents.has(PREVIEW):
        return document_path(item, PREVIEW)
    return f"{api_path(item)}/items/0/section.png?size=256" if has_pictures(item) else ""


def licence(release: Release) -> str:
    """Return the licence, as a link if it is one."""
    if release.license == NOT_STATED:
        return escape(release.license)
    return f'<a href="{escape(licence_url(quote(release.license)))}">{escape(release.license)}</a>'


def _card(item: Item, versions: Mapping[str, Item]) -> str:
    release = item.release
    address = escape(page_path(item))
    found = picture(item)
    image = f'<img src="{escape(found)}" alt="" loading="lazy">' if found else ""
    job = '<span class="tag">result of a job</span>' if item.job is not None else ""
    others = f" and {len(versions) - 1} more" if len(versions) > 1 else ""
    return (
        f'<li><a class="picture" href="{address}" tabindex="-1" aria-hidden="true">'
        f'{image}</a>\n<div class="text">'
        f'<h2><a href="{address}">{escape(release.title)}</a></h2>\n'
        f'<p class="facts"><span>{escape(release.name)}</span>'
        f"<span>version {escape(release.version)}{others}</span>{job}</p>\n"
        f'<p class="facts"><span>{items(release)}</span><span>{escape(size(release))}</span>'
        f"<span>{licence(release)}</span></p>\n"
        f"<details><summary>How to cite</summary><p>{escape(release.citation)}</p></details></div></li>"
    )
