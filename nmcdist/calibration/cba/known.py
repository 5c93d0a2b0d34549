"""Where the standard errors of a plan come from: the reference, a calibration, or a bootstrap made for it."""

from pathlib import Path

import numpy as np

from nmcdist.bundle import load_bundle
from nmcdist.calibration.cba.bootstrap import bootstrap
from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.fit import UNITS
from nmcdist.calibration.cba.lags import lattice_lags
from nmcdist.calibration.cba.plan import NAMES, Known
from nmcdist.calibration.cba.reference import REFERENCE_BUNDLE, REFERENCE_EDGE_NM, REFERENCE_SD
from nmcdist.calibration.cba.results import RESULTS, read_results
from nmcdist.errors import InputError


def known_errors(bundle: str, voxel_size_nm: float, replicates: int, seed: int) -> Known:
    """Return standard errors for a bundle by name or path, or for the folder of a calibration.

    Raises
    ------
    InputError
        If the calibration was made without bootstrap.
    BundleError
        If there is no such bundle.
    """
    if (Path(bundle) / RESULTS).is_file():
        return _of_calibration(Path(bundle))
    parameters = load_bundle(bundle).cba()
    cube = [(REFERENCE_EDGE_NM,) * 3]
    if bundle == REFERENCE_BUNDLE:
        origin = f"recorded for {bundle}, 96 cubes of {REFERENCE_EDGE_NM / 1e3:g} um at 20 nm"
        return Known(REFERENCE_SD, cube, parameters.eta_per_nm, origin)
    n = round(REFERENCE_EDGE_NM / voxel_size_nm)
    size, none = (voxel_size_nm,) * 3, np.zeros(0, dtype=np.int64)
    like = Counts(lattice_lags(size, (n, n, n)), size, ((n, n, n),), none, none, none)
    boot = bootstrap(parameters, like, replicates, seed, radii_nm=None)
    found = dict(zip(UNITS, boot.sd.tolist(), strict=True))
    origin = f"{len(boot.errors)} realisations of {bundle} in cubes of {REFERENCE_EDGE_NM / 1e3:g} um"
    return Known({name: found[name] for name in NAMES}, cube, parameters.eta_per_nm, origin)


def _of_calibration(folder: Path) -> Known:
    results = read_results(folder)
    errors = {name: results.quantities[name].standard_error for name in NAMES}
    if results.correlations is None:
        raise InputError(f"{folder}: was calibrated without bootstrap, expected standard errors of all parameters")
    z, y, x = results.voxel_size_nm
    edges = [(a * z, b * y, c * x) for a, b, c in results.shapes]
    known = {name: error for name, error in errors.items() if error is not None}
    origin = f"calibration {folder}, {results.bootstrap['replicates']} replicates of {results.volume_um3:.3g} um^3"
    return Known(known, edges, results.quantities["eta"].value, origin)
