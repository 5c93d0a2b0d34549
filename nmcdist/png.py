"""A writer of PNG files for pictures of 8-bit RGB; the same pixels give the same bytes everywhere."""

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2


def png(picture: np.ndarray) -> bytes:
    """Return a picture as the bytes of a PNG file.

    Parameters
    ----------
    picture : ndarray of uint8, shape (rows, columns, 3)
    """
    rows, columns, _ = picture.shape
    lines = np.zeros((rows, 1 + 3 * columns), dtype=np.uint8)  # each begins with the number of its filter, none
    lines[:, 1:] = picture.reshape(rows, 3 * columns)
    header = struct.pack(">IIBBBBB", columns, rows, 8, _RGB, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
