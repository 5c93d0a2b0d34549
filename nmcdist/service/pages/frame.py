"""What all pages share: the frame around their content, and blocks of code, data and tables."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

STATIC = "/static"


def page(title: str, body: str, script: str = "", described: Any = None) -> str:
    """Return a page.

    Parameters
    ----------
    title, body : str
        Plain text, and HTML.
    script : str
        Name of the script in `static`; empty for none.
    described : JSON value, optional
        The content in terms of schema.org, for search engines.
    """
    head = f'<script type="module" src="{STATIC}/{script}.js"></script>\n' if script else ""
    if described is not None:
        head += f'<script type="application/ld+json">{_json(described)}</script>\n'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f'<link rel="stylesheet" href="{STATIC}/style.css">\n<link rel="icon" href="{STATIC}/icon.svg">\n{head}'
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def data(name: str, content: Any) -> str:
    """Return data for the script of the page; it is never run."""
    return f'<script type="application/json" id="{name}">{_json(content)}</script>'


def path(*links: tuple[str, str]) -> str:
    """Return the way back: addresses with their titles, the outermost first."""
    steps = (f'<a href="{escape(address)}">{escape(title)}</a>' for address, title in links)
    return f'<nav aria-label="Path"><p class="path">{" / ".join(steps)}</p></nav>'


def code_tabs(codes: Mapping[str, str]) -> str:
    """Return blocks of code, one for each way to read the data, with buttons that copy them."""
    tabs: list[str] = []
    panels: list[str] = []
    for name, code in codes.items():
        is_first = not tabs
        tabs.append(
            f'<button type="button" role="tab" id="tab-{name}" aria-controls="panel-{name}" '
            f'aria-selected="{str(is_first).lower()}" tabindex="{0 if is_first else -1}">{name}</button>'
        )
        panels.append(
            f'<div role="tabpanel" id="panel-{name}" aria-labelledby="tab-{name}"{"" if is_first else " hidden"}>'
            f'<button type="button" class="copy" data-copies="code-{name}" hidden '
            f'aria-label="Copy the code for {name}">Copy</button>'
            f'<pre tabindex="0" aria-label="Code for {name}"><code id="code-{name}">{escape(code)}</code></pre></div>'
        )
    return (
        f'<div class="code"><div role="tablist" aria-label="Way to read">{"".join(tabs)}</div>\n'
        + "\n".join(panels) + "</div>"
    )  # fmt: skip


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are HTML already."""
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head) + "</tr>")
    for row in rows:
        first, *others = row
        opening = "<td>" if head else '<th scope="row">'
        closing = "</td>" if head else "</th>"
        lines.append(f"<tr>{opening}{first}{closing}" + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _json(content: Any) -> str:
    """Return JSON that cannot end its element, since it has no < in it."""
    return json.dumps(content).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
