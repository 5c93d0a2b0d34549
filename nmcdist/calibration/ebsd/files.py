"""Reads an EBSD map of any of the usual formats; what they are is told by extension and content."""

from collections.abc import Callable
from pathlib import Path

from nmcdist.calibration.ebsd.ang import read_ang
from nmcdist.calibration.ebsd.crc import read_crc
from nmcdist.calibration.ebsd.ctf import read_ctf
from nmcdist.calibration.ebsd.hdf5 import read_hdf5
from nmcdist.calibration.ebsd.scan import Scan
from nmcdist.calibration.ebsd.text import one_line
from nmcdist.errors import ImageError

_READERS: dict[str, Callable[[Path, int], Scan]] = {
    ".ang": read_ang,
    ".ctf": read_ctf,
    ".crc": read_crc,
    ".cpr": read_crc,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".h5oina": read_hdf5,
}


def read(path: str | Path, index: int = 0) -> Scan:
    """Read an EBSD map.

    Formats: .ang (EDAX, EMsoft; square and hexagonal grids), .ctf (Oxford and others; decimal points or commas),
    the pair .cpr and .crc (Oxford; either path), HDF5 of EDAX (.h5) and of Oxford (.h5oina).

    A point is unindexed where its phase is 0 (Oxford; EDAX if the map has several phases), where EDAX writes
    angles of 4 pi or a confidence index of -1, and where EDAX's HDF5 says so itself (dataset Valid).

    Steps are those of the header; where it rounds them, by up to 1 %, so that a wide map would be off its own grid,
    they are those of the positions.

    Parameters
    ----------
    path : str or Path
    index : int
        Which map of a file that holds several: scan of an HDF5 file, section of a .ctf volume.

    Returns
    -------
    Scan

    Raises
    ------
    ImageError
        If the file is missing, of no such format, or contradicts itself; one line with the file, the line or
        field, what was found and what was expected.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ImageError(f"{path}: extension is {path.suffix!r}, expected one of {', '.join(_READERS)}")
    try:
        if not path.exists():
            raise ImageError(f"{path}: there is no such file, expected an EBSD map")
        if not path.is_file():
            raise ImageError(f"{path}: is not a file, expected an EBSD map")
        return reader(path, index)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read, {one_line(error)}") from error
