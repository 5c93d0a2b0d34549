"""The picture of a release: sections through its first items at one scale, with a scale bar."""

from pathlib import Path

import numpy as np

from nmcdist.pictures import BLACK, WHITE, cropped, grain_picture, phase_picture
from nmcdist.png import png
from nmcdist.products.kind import Sections
from nmcdist.products.registry import kind_of_store, recipe_of_store

_ITEMS = 4
_PIXELS = 1600  # width of the picture, at most
_GAP = 24
_BAR = 8  # height of the scale bar
_LENGTHS_NM = (50000, 20000, 10000, 5000, 2000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1)


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
    pictures = [
        grain_picture(cropped(labels)) if sections.outside else phase_picture(labels) for labels in sections.labels
    ]
    factor = max(1, _PIXELS // sum(picture.shape[1] + _GAP for picture in pictures))
    pictures = [picture.repeat(factor, axis=0).repeat(factor, axis=1) for picture in pictures]
    height = max(picture.shape[0] for picture in pictures)
    row = np.concatenate([_framed(picture, height) for picture in pictures], axis=1)
    pixel_nm = sections.pixel_nm / factor
    bar_nm = next((n for n in _LENGTHS_NM if n / pixel_nm <= row.shape[1] / 5), _LENGTHS_NM[-1])
    foot = np.broadcast_to(WHITE, (3 * _BAR + _GAP, row.shape[1], 3)).astype(np.uint8)
    foot[_BAR : 2 * _BAR, _GAP : _GAP + max(1, round(bar_nm / pixel_nm))] = BLACK
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


def _framed(picture: np.ndarray, height: int) -> np.ndarray:
    """Return a picture in the middle of a white frame."""
    above = (height - picture.shape[0]) // 2
    pads = ((above + _GAP, height - picture.shape[0] - above), (_GAP // 2, _GAP // 2), (0, 0))
    return np.pad(picture, pads, constant_values=255)
