"""The picture of a release: sections through its first items at one scale, with a scale bar."""

from pathlib import Path

import numpy as np

from nmcdist.products.kind import Sections
from nmcdist.products.registry import kind_of_store, recipe_of_store
from nmcdist.releases.png import png

_ITEMS = 4
_PIXELS = 1600  # width of the picture, at most
_GAP = 24
_BAR = 8  # height of the scale bar
_LENGTHS_NM = (50000, 20000, 10000, 5000, 2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1)
# Phases in the order of their labels, of the Okabe-Ito palette: light, dark and coloured on a white page.
_PHASES = np.array([(222, 226, 230), (60, 72, 84), (230, 159, 0), (0, 114, 178), (204, 121, 167), (0, 158, 115)])
_WHITE, _BLACK = np.array([255, 255, 255]), np.array([20, 20, 20])
# Tints of neighbouring labels are far apart in lightness: the ends of a scale from light yellow to dark blue.
_TINTS = np.array([(237, 248, 177), (34, 94, 168)])


def preview(store: Path) -> tuple[bytes, str]:
    """Return a PNG file of sections through the first items, and its caption; both empty if there is nothing to cut.

    Parameters
    ----------
    store : Path
        A finished store.
    """
    sections = kind_of_store(store).sections(store, recipe_of_store(store), _ITEMS, _PIXELS // _ITEMS - _GAP)
    if sections is None or not sections.labels:
        return b"", ""
    pictures = [_grains(_cropped(labels)) if sections.outside else _phases(labels) for labels in sections.labels]
    factor = max(1, _PIXELS // sum(picture.shape[1] + _GAP for picture in pictures))
    pictures = [picture.repeat(factor, axis=0).repeat(factor, axis=1) for picture in pictures]
    height = max(picture.shape[0] for picture in pictures)
    row = np.concatenate([_framed(picture, height) for picture in pictures], axis=1)
    pixel_nm = sections.pixel_nm / factor
    bar_nm = next((n for n in _LENGTHS_NM if n / pixel_nm <= row.shape[1] / 5), _LENGTHS_NM[-1])
    foot = np.broadcast_to(_WHITE, (3 * _BAR + _GAP, row.shape[1], 3)).astype(np.uint8)
    foot[_BAR : 2 * _BAR, _GAP : _GAP + max(1, round(bar_nm / pixel_nm))] = _BLACK
    return png(np.concatenate([row, foot], axis=0)), _caption(sections, bar_nm)


def _caption(sections: Sections, bar_nm: int) -> str:
    count = len(sections.labels)
    items = "item 0" if count == 1 else f"items 0 to {count - 1}"
    length = f"{bar_nm / 1000:g} µm" if bar_nm >= 1000 else f"{bar_nm} nm"
    if sections.outside:
        return f"Sections through the centres of {items}; tints only distinguish grains. Scale bar: {length}."
    names = ("light grey", "dark grey", "orange", "blue", "pink", "green")
    pairs = zip(sections.phases, names, strict=False)
    shades = ", ".join(f"{phase.replace('_', ' ')} {shade}" for phase, shade in pairs)
    return f"Middle sections of {items}{f': {shades}' if shades else ''}. Scale bar: {length}."


def _phases(labels: np.ndarray) -> np.ndarray:
    return np.asarray(_PHASES[labels % len(_PHASES)], dtype=np.uint8)


def _grains(labels: np.ndarray) -> np.ndarray:
    """Return grains in tints, with dark lines between them, on white."""
    # Multiples of the golden section are far apart for labels that follow each other.
    place = (labels * 0.6180339887498949 % 1)[..., None]
    picture = np.where(labels[..., None] > 0, _TINTS[0] + place * (_TINTS[1] - _TINTS[0]), _WHITE)
    between = np.zeros(labels.shape, dtype=bool)
    between[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    between[:-1] |= labels[:-1] != labels[1:]
    picture[between] = _BLACK
    return np.asarray(np.rint(picture), dtype=np.uint8)


def _cropped(labels: np.ndarray) -> np.ndarray:
    """Return a section without its empty margins; a pixel of them is kept, for the lines around the grains."""
    rows, columns = (np.flatnonzero((labels > 0).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return labels
    return labels[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]


def _framed(picture: np.ndarray, height: int) -> np.ndarray:
    """Return a picture in the middle of a white frame."""
    above = (height - picture.shape[0]) // 2
    pads = ((above + _GAP, height - picture.shape[0] - above), (_GAP // 2, _GAP // 2), (0, 0))
    return np.pad(picture, pads, constant_values=255)
