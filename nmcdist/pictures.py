"""Small pictures of sections in 8-bit RGB: phases in fixed colours, grains in tints with dark lines between them."""

import numpy as np

# Phases in the order of their labels, of the Okabe-Ito palette: light, dark and coloured on a white page.
_PHASES = np.array([(222, 226, 230), (60, 72, 84), (230, 159, 0), (0, 114, 178), (204, 121, 167), (0, 158, 115)])
WHITE, BLACK = np.array([255, 255, 255]), np.array([20, 20, 20])
# Tints of neighbouring labels are far apart in lightness: the ends of a scale from light yellow to dark blue.
_TINTS = np.array([(237, 248, 177), (34, 94, 168)])


def phase_picture(labels: np.ndarray) -> np.ndarray:
    """Return phases as RGB, shape (rows, columns, 3)."""
    return np.asarray(_PHASES[labels % len(_PHASES)], dtype=np.uint8)


def grain_picture(labels: np.ndarray) -> np.ndarray:
    """Return grains as RGB, shape (rows, columns, 3): tints, with dark lines between them, on white for label 0."""
    # Multiples of the golden section are far apart for labels that follow each other.
    place = (labels * 0.6180339887498949 % 1)[..., None]
    picture = np.where(labels[..., None] > 0, _TINTS[0] + place * (_TINTS[1] - _TINTS[0]), WHITE)
    between = np.zeros(labels.shape, dtype=bool)
    between[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    between[:-1] |= labels[:-1] != labels[1:]
    picture[between] = BLACK
    return np.asarray(np.rint(picture), dtype=np.uint8)


def section_picture(labels: np.ndarray) -> np.ndarray:
    """Return a section of a particle as RGB, without its margins, rows upwards."""
    return grain_picture(cropped(labels))[::-1]


def cropped(labels: np.ndarray) -> np.ndarray:
    """Return a section without its empty margins; a pixel of them is kept, for the lines around the grains."""
    rows, columns = (np.flatnonzero((labels > 0).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return labels
    return labels[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]
