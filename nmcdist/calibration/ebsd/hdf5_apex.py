"""The layout of EBSD maps in .edaxh5 files of EDAX APEX: one record per point, with a matrix instead of angles."""

import numpy as np
from scipy.spatial.transform import Rotation

from nmcdist.calibration.ebsd.grid import MICROMETRE_NM, Grid, Points, assemble
from nmcdist.calibration.ebsd.hdf5_group import Group
from nmcdist.calibration.ebsd.hdf5_layouts import edax_phase
from nmcdist.calibration.ebsd.indexing import Signs, edax_numbering, number_phases
from nmcdist.calibration.ebsd.layout import lay_out
from nmcdist.calibration.ebsd.scan import Scan
from nmcdist.calibration.ebsd.vendors import edax_grid_kind
from nmcdist.errors import ImageError

RECORDS = "ANG/DATA/DATA"

_NOT_A_ROTATION = 1e-3  # tolerance of the entries of a matrix times its transpose; matrices are in single precision


def read_apex(group: Group, notes: list[str]) -> Scan:
    """Read a map of EDAX APEX; its sizes are stored beside the group EBSD.

    A matrix is Bunge's g, from the axes of the map to those of the crystal, row by row (MTEX, loadEBSD_h5; compared
    with the angles of the same map as .ang). Points number phases from 0, the header from 1; -1 is unindexed
    (pynxtools, hfive_apex).
    """
    sample = Group(group.path, group.node.parent).group("Sample")
    columns, rows = sample.whole("Number Of Columns"), sample.whole("Number Of Rows")
    kind = edax_grid_kind(sample.text("Grid Type"), sample.where("Grid Type"))
    grid = Grid(kind, rows, columns, columns, sample.positive("Step Y"), sample.positive("Step X"))
    records = group.records(RECORDS, grid.checked(sample.where()).size)
    phases = {number: edax_phase(node) for number, node in group.numbered("ANG/HEADER/Phase").items()}

    def where(i: int, what: str) -> str:
        return f"{group.where(RECORDS)}: {what} of point {i + 1}"

    euler = _angles(group, records)
    nothing = np.full(grid.size, np.nan)
    confidence, quality = (_column(group, records, name, nothing) for name in ("CI", "IQ"))
    ids = _column(group, records, "Phase")
    signs = Signs(euler, confidence < 0, confidence, quality)
    phase = number_phases(np.where(ids < 0, ids, ids + 1), edax_numbering(phases), signs, where, notes)
    grid, cells = lay_out(grid, grid.size, None, where, notes)
    points = Points(euler, phase, confidence, "confidence index")
    return assemble(group.path.name, grid, cells, points, tuple(phases.values()), where, MICROMETRE_NM, notes)


def _angles(group: Group, records: np.ndarray) -> np.ndarray:
    """Return the Bunge angles of each point, NaN where its matrix is 0 or NaN."""
    matrices = _column(group, records, "Orientations", each=9).reshape(-1, 3, 3)
    there = np.isfinite(matrices).all(axis=(1, 2)) & matrices.any(axis=(1, 2))
    to_map = np.swapaxes(matrices[there], 1, 2)
    product = np.einsum("nij,nkj->nik", to_map, to_map)
    off = np.abs(product - np.eye(3)).max(axis=(1, 2), initial=0.0) > _NOT_A_ROTATION
    if (bad := np.flatnonzero(off | (np.linalg.det(to_map) < 0))).size:
        i = int(np.flatnonzero(there)[bad[0]])
        raise ImageError(f"{group.where(RECORDS)}: Orientations of point {i + 1} are not a rotation matrix")
    euler = np.full((len(records), 3), np.nan)
    if there.any():
        euler[there] = Rotation.from_matrix(to_map).as_euler("ZXZ", suppress_warnings=True)
    return euler


def _column(
    group: Group, records: np.ndarray, name: str, missing: np.ndarray | None = None, each: int = 1
) -> np.ndarray:
    """Return a field of all records as numbers, `each` per record, or `missing` if the field does not exist."""
    fields = records.dtype.names or ()
    if name not in fields and missing is not None:
        return missing
    if name not in fields or records[name].dtype.kind not in "iuf" or records[name].size != each * len(records):
        raise ImageError(f"{group.where(RECORDS)} has no field {name} of {each} numbers, expected one")
    return records[name].reshape(len(records) * each).astype(np.float64)
