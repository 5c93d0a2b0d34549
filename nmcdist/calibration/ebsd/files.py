"""Reads an EBSD map of any common format, by extension and content."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nmcdist.calibration.ebsd.ang import read_ang
from nmcdist.calibration.ebsd.crc import read_crc
from nmcdist.calibration.ebsd.ctf import read_ctf
from nmcdist.calibration.ebsd.hdf5 import read_hdf5
from nmcdist.calibration.ebsd.scan import Scan
from nmcdist.errors import ImageError
from nmcdist.inputs import local_path, ordinary_file
from nmcdist.wording import one_line

_LOG = logging.getLogger(__name__)

_READERS: dict[str, Callable[[Path, int | None], Scan]] = {
    ".ang": read_ang,
    ".ctf": read_ctf,
    ".crc": read_crc,
    ".cpr": read_crc,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".h5oina": read_hdf5,
    ".oh5": read_hdf5,
    ".edaxh5": read_hdf5,
    ".h5ebsd": read_hdf5,
}

EXTENSIONS = tuple(_READERS)


def read(path: str | Path, index: int | None = None) -> Scan:
    """Read an EBSD map.

    Formats: .ang (EDAX, EMsoft, MTEX, orix, NanoMEGAS; square and hexagonal grids), .ctf (Oxford and others; decimal
    points or commas), the pair .cpr and .crc (Oxford; either path), and HDF5: of EDAX (.h5, .oh5, .edaxh5), of
    Oxford (.h5oina), of Bruker, and H5EBSD of DREAM.3D (.h5ebsd), in groups at any depth.

    A point is unindexed if its phase is -1, NaN, or 0 (in EDAX's formats, 0 is the phase of a map that has one phase
    and no other number). It is also unindexed if EDAX writes angles of 4 pi or a confidence index of -1, if EDAX's
    HDF5 marks it (dataset Valid), if all angles are NaN, or if all angles and the confidence, the image quality or
    the angular deviation are 0, but not everywhere in the map.

    Steps come from the header. If it rounds them, by up to 1 %, so that a wide map would be off its grid, they come
    from the positions.

    `Scan.notes` lists assumptions where the file is incomplete; each note is logged as a warning.

    Parameters
    ----------
    path : str or Path
    index : int, optional
        Number of the map in a file with several maps: scan of an HDF5 file, section of a .ctf volume. Default: the
        first.

    Returns
    -------
    Scan

    Raises
    ------
    ImageError
        If the file is missing, not an ordinary file, of another format, too large, or contradicts itself; one line
        with the file, the line or field, what was found and what was expected.
    """
    scan = read_quietly(path, index)
    for note in scan.notes:
        _LOG.warning("%s: %s", path, note)
    return scan


def read_quietly(path: str | Path, index: int | None = None) -> Scan:
    """Read an EBSD map like :func:`read`, without logging."""
    path = local_path(path, ImageError)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ImageError(f"{path}: extension is {path.suffix!r}, expected one of {', '.join(_READERS)}")
    try:
        # Numbers may have any size; those that overflow are off the grid and refused there.
        with np.errstate(over="ignore", invalid="ignore"):
            return reader(ordinary_file(path, ImageError), index)
    except ImageError as error:
        message = " ".join(str(error).splitlines())  # names in a file may hold line ends
        raise (error if message == str(error) else ImageError(message)) from None
    except MemoryError:
        raise ImageError(f"{path}: the map needs more memory than is available") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read, {one_line(error)}") from error
