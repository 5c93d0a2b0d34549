"""A writer of PNG files for pictures of 8-bit RGB or RGBA; the same pixels give the same bytes everywhere."""

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {3: 2, 4: 6}  # by the number of channels


def png(picture: np.ndarray, level: int = 9) -> bytes:
    """Return a picture as the bytes of a PNG file.

    Parameters
    ----------
    picture : ndarray of uint8, shape (rows, columns, 3) or (rows, columns, 4)
        Red, green and blue, and perhaps opacity.
    level : int
        How hard to compress, 1 to 9.
    """
    rows, columns, channels = picture.shape
    lines = np.zeros((rows, 1 + channels * columns), dtype=np.uint8)  # each begins with the number of its filter, none
    lines[:, 1:] = picture.reshape(rows, channels * columns)
    header = struct.pack(">IIBBBBB", columns, rows, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), level)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
