"""HTML of objects in notebooks: a heading, a small picture and a table, with every value escaped."""

from base64 import b64encode
from collections.abc import Iterable
from html import escape

import numpy as np

from nmcdist.png import png

_CELL = "text-align:left;padding:1px 8px 1px 0;vertical-align:top"
_BAR = 160  # width of a bar in pixels
_PICTURE = 200  # of a picture with its description
_FULL, _OVER, _EMPTY = "#0072B2", "#D55E00", "#DEE2E6"


def card(heading: str, rows: Iterable[tuple[str, str]], picture: str = "", more: Iterable[tuple[str, str]] = ()) -> str:
    """Return a heading above a picture and a table.

    Parameters
    ----------
    heading : str
    rows : iterable of (str, str)
        Name and value; an empty value leaves the row out.
    picture : str
        HTML, as :func:`image` and :func:`bars` return it.
    more : iterable of (str, str)
        Further rows, which a click opens.
    """
    beside = f'<div style="flex:none">{picture}</div>' if picture else ""
    hidden = _table(more)
    below = f"<details><summary>parameters</summary>{hidden}</details>" if hidden else ""
    return (
        f'<div><strong>{escape(heading)}</strong><div style="display:flex;gap:16px;align-items:flex-start">'
        f"{beside}<div>{_table(rows)}{below}</div></div></div>"
    )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th scope="row" style="{_CELL};white-space:nowrap">{escape(name)}</th>'
        f'<td style="{_CELL};overflow-wrap:anywhere">{escape(value)}</td></tr>'
        for name, value in rows
        if value
    )
    return f"<table>{cells}</table>" if cells else ""


def image(picture: np.ndarray, description: str) -> str:
    """Return a picture as HTML, in one piece with its PNG file, above its description.

    Parameters
    ----------
    picture : ndarray of uint8, shape (rows, columns, 3)
    description : str
    """
    rows, columns, _ = picture.shape
    data, about = b64encode(png(picture)).decode("ascii"), escape(description)
    shown = f'<img src="data:image/png;base64,{data}" width="{columns}" height="{rows}" alt="{about}">'
    return f'<div style="width:{_PICTURE}px">{shown}<div style="font-size:smaller">{about}</div></div>'


def bars(shares: Iterable[tuple[str, float]]) -> str:
    """Return a drawing (SVG) of shares as bars, each with its name; a share above 1 fills its bar in another colour.

    Parameters
    ----------
    shares : iterable of (str, float)
        Name, and a share that is at least 0.
    """
    drawn, height = [], 0
    for name, share in shares:
        width = round(_BAR * min(max(share, 0.0), 1.0), 1)
        drawn.append(
            f'<text x="0" y="{height + 12}" font-size="12" fill="currentColor">{escape(name)}</text>'
            f'<rect x="0" y="{height + 17}" width="{_BAR}" height="10" fill="{_EMPTY}"/>'
            f'<rect x="0" y="{height + 17}" width="{width}" height="10" fill="{_OVER if share > 1 else _FULL}"/>'
        )
        height += 36
    inside = "".join(drawn)
    size = f'width="{_BAR + 80}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>{inside}</svg>'
