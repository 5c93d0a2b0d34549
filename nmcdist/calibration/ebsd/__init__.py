"""Grains from EBSD maps: `read` a map of any common format, `segment` it by misorientation."""

from nmcdist.calibration.ebsd.files import EXTENSIONS, read, read_quietly
from nmcdist.calibration.ebsd.grains import misorientations, segment
from nmcdist.calibration.ebsd.scan import Phase, Scan, symmetry_rotations

__all__ = ["EXTENSIONS", "Phase", "Scan", "misorientations", "read", "read_quietly", "segment", "symmetry_rotations"]
