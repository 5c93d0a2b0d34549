"""The page of one item: its sections, a view in space, the code that opens it, and its files."""

from collections.abc import Mapping
from html import escape
from typing import Any

from nmcdist.datasets.particles import RECORD_ITEMS
from nmcdist.descriptors.shell import VARIABLES
from nmcdist.queries.columns import Columns
from nmcdist.service.catalogs import api_path, page_path
from nmcdist.service.pages import frame
from nmcdist.service.pages.opening import has_pictures, item_codes
from nmcdist.service.shelf import Item

_AXES = ("z", "y", "x")
_ARROWS = "".join(
    f'<g data-axis="{axis}"><line x1="0" y1="0" x2="0" y2="0"/><text x="0" y="0">{axis}</text></g>' for axis in "xyz"
)
_KEYS = (
    "Drag to turn, with Shift or the right button to move; scroll to zoom once the view has the focus. "
    "Keys: arrows turn, + and − zoom, Home shows all, Enter reads the label in the middle. Click a grain to read it."
)


def item_page(item: Item, number: int, base: str, columns: Columns | None = None) -> str:
    """Return the page of one item of a release.

    Parameters
    ----------
    item : Item
        The release.
    number : int
        Of the item, from 0 on.
    base : str
        Address of the service.
    columns : Columns, optional
        For the titles of its values.
    """
    release = item.release
    api, own = f"{api_path(item)}/items/{number}", page_path(item)
    title = f"Item {number:,} of {release.title}"
    parts = [
        frame.path(("/", "All datasets"), (own, release.title)),
        f"<main>\n<h1>{escape(title)}</h1>",
        f"<p>{_neighbours(own, number, release.sizes.items)}</p>",
        '<p id="status" role="status" class="problem"></p>',
        _pictures(api) if has_pictures(item) else '<p class="note">Items of this dataset have no picture.</p>',
        '<h2 id="values-title">Values</h2>\n<dl id="values" class="values"></dl>',
        f"<h2>Open</h2>\n{frame.code_tabs(item_codes(item, number, base))}",
        '<h2>Download</h2>\n<ul class="files" id="files">',
        f'<li><a href="{escape(api)}">Description (JSON)</a></li></ul>',
        "</main>",
        frame.data("page", {"api": api, "name": f"{release.name}-{number:05d}", "titles": _titles(columns)}),
    ]
    return frame.page(title, "\n".join(parts), "viewer")


def _titles(columns: Columns | None) -> Mapping[str, Any]:
    """Return the titles of the values of an item; without columns, those of a particle that is drawn when asked for."""
    if columns:
        return {name: about.long_name for name, about in columns.about.items()}
    shell = {f"shell_{name}": quantity.long_name for name, quantity in VARIABLES.items()}
    return {**shell, "kept_grains": RECORD_ITEMS["kept_grains"].long_name}


def _neighbours(own: str, number: int, count: int) -> str:
    links = []
    if number > 0:
        links.append(f'<a rel="prev" href="{escape(own)}/i/{number - 1}">Item {number - 1:,}</a>')
    if number + 1 < count:
        links.append(f'<a rel="next" href="{escape(own)}/i/{number + 1}">Item {number + 1:,}</a>')
    return " · ".join(links)


def _pictures(api: str) -> str:
    return (
        f'<div class="viewer"><div>{_stage(api)}<p id="reading" role="status" aria-live="polite"></p>'
        f'<p class="note" id="keys">{_KEYS}</p></div>\n{_controls()}</div>\n'
        f'<h2>Sections</h2>\n<div class="sections">{"".join(_section(api, axis) for axis in _AXES)}</div>'
    )


def _stage(api: str) -> str:
    """Return the place of the picture: a section first, then the view in space."""
    return (
        '<div class="stage" id="stage">'
        f'<img id="first" src="{escape(api)}/section.png?axis=y&amp;size=512" alt="Section through the middle">'
        '<canvas id="view" tabindex="0" role="application" aria-label="View in space" aria-describedby="keys" hidden>'
        '</canvas><p id="voxel" class="voxel"></p><div id="bar" class="bar" hidden></div>'
        f'<svg id="axes" class="axes" viewBox="-35 -35 70 70" aria-hidden="true" hidden>{_ARROWS}</svg></div>'
    )


def _controls() -> str:
    radios = "".join(
        f'<label><input type="radio" name="axis" id="cut-{axis}"{" checked" if axis == "y" else ""}>{axis}</label>'
        for axis in "xyz"
    )
    views = "".join(
        f'<button type="button" id="along-{axis}" aria-label="Look along {axis}">{axis}</button>' for axis in "xyz"
    )
    return (
        '<div class="controls" id="controls" hidden>\n'
        '<fieldset><legend>Cut</legend><div class="row"><label><input type="checkbox" id="cut" checked>On</label>'
        f'<span role="radiogroup" aria-label="Axis of the cut" class="row">{radios}</span>'
        '<label><input type="checkbox" id="cut-flip">Flip</label></div>'
        '<label for="cut-at">Position <output id="cut-length" for="cut-at"></output></label>'
        '<input type="range" id="cut-at" min="0" max="1000" value="500"></fieldset>\n'
        '<fieldset><legend>Colour</legend><div class="row"><select id="colouring" aria-label="Colour by"></select>'
        '<label><input type="checkbox" id="borders" checked>Borders</label></div><div id="legend"></div></fieldset>\n'
        f'<fieldset><legend>Look along</legend><div class="row">{views}'
        '<button type="button" id="along-start">As at first</button></div></fieldset>\n'
        '<div class="row"><button type="button" id="save">Save the picture (PNG)</button></div></div>'
    )


def _section(api: str, axis: str) -> str:
    return (
        f'<figure data-axis="{axis}"><img src="{escape(api)}/section.png?axis={axis}&amp;size=320" '
        f'alt="Section across {axis}" loading="lazy"><label for="at-{axis}">Position along {axis}</label>'
        f'<input type="range" id="at-{axis}" min="0" max="100" value="50" aria-valuetext="50 percent" disabled>'
        "</figure>"
    )
