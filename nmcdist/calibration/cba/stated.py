"""How fitted quantities are stated: value, standard error, interval, and whether the image fixes them; as a bundle."""

import math
from collections.abc import Mapping
from datetime import date

from nmcdist.bundle import Bundle, CbaParameters
from nmcdist.bundle.schema import Calibration
from nmcdist.calibration.cba.bootstrap import Bootstrap
from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.fit import ABSOLUTE, FIELD_OF, OF_GRAPHITE, UNITS, Fit, quantities
from nmcdist.calibration.cba.results import Quantity

_WIDEST = math.log(4.0)  # of an interval of a parameter that counts as identified
_NORMAL = 1.959963984540054


def stated(fit: Fit, final: CbaParameters, boot: Bootstrap | None) -> dict[str, Quantity]:
    """Return each quantity with its standard error, or why it has none.

    Parameters
    ----------
    fit : Fit
    final : CbaParameters
        After the correction.
    boot : Bootstrap or None
    """
    found = {}
    for number, (name, value) in enumerate(quantities(final).items()):
        error, factor, note = None, 1.0, ""
        if boot is not None:
            error, factor = float(boot.standard_error[number]), boot.factor
            note = f"standard error by parametric bootstrap, {len(boot.errors)} replicates"
            if fit.binder.misfit and name not in OF_GRAPHITE:
                error = math.hypot(error, fit.binder.misfit_errors[FIELD_OF[name]])
                note += f", and of the curve, {fit.binder.misfit:.0%} at each lag"
            if boot.larger is not None:
                note += f" of {boot.larger.share:.2%} of the volume, scaled"
        elif name in OF_GRAPHITE:
            note = "no standard error without bootstrap: plates are larger than the blocks of the image"
        else:
            error, factor = fit.binder.errors[FIELD_OF[name]], _NORMAL
            note = "standard error from the blocks of the image"
        found[name] = _quantity(name, value, error, factor, note)
    found["alpha_1"] = Quantity(
        value=final.alpha_1, unit="1", relative=True, standard_error=None, interval=None, identified=False,
        note="kept at the given value: the image does not fix it",
    )  # fmt: skip
    return found


def fitted_bundle(
    final: CbaParameters, errors: Mapping[str, Quantity], counts: Counts, boot: Bootstrap | None, name: str,
    licence: str,
) -> Bundle:  # fmt: skip
    """Return the bundle of the final parameters; their standard errors are in the text of their sources."""
    calibration = Calibration(
        data=_about(counts),
        method="C_B(h) of the carbon binder by generalised least squares; V, S, K and variogram of graphite; "
        + ("not corrected by simulation" if boot is None else f"corrected by {len(boot.errors)} replicates"),
        date=date.today().isoformat(),
    )
    bundle = Bundle.of(
        name, "Additive phase, fitted to three-phase labels", final, licence=licence, provenance="fitted",
        calibration=calibration,
    )  # fmt: skip
    quantity_of = {field: key for key, field in FIELD_OF.items()} | {"alpha_1": "alpha_1"}
    records = {
        field: record.model_copy(update={
            "source": _source(errors[quantity_of[field]]),
            "provenance": "assumed" if field == "alpha_1" else "fitted",
        })
        for field, record in bundle.values.items()
    }  # fmt: skip
    return bundle.model_copy(update={"values": records})


def paper_bundle(parameters: CbaParameters, counts: Counts, name: str, licence: str) -> Bundle:
    """Return the bundle of the paper's route, whose parameters have no standard errors."""
    calibration = Calibration(
        data=_about(counts),
        method="Cutout, Eqs. (17) to (21) and (25), and theta from a grid, as in Sec. 3.2 of the CBA paper",
        date=date.today().isoformat(),
    )  # fmt: skip
    text = "Additive phase, fitted to three-phase labels by the route of the CBA paper"
    bundle = Bundle.of(name, text, parameters, licence=licence, provenance="fitted", calibration=calibration)
    records = {field: record.model_copy(update={"source": "route of the CBA paper: no standard error"})
               for field, record in bundle.values.items()}  # fmt: skip
    return bundle.model_copy(update={"values": records})


def _about(counts: Counts) -> str:
    return (
        f"Three-phase labels, {counts.volume_nm3 * 1e-9:.4g} um^3 in {len(counts.shapes)} images, voxels of "
        f"{counts.voxel_size_nm} nm"
    )


def _quantity(name: str, value: float, error: float | None, factor: float, note: str) -> Quantity:
    relative, interval, identified = name not in ABSOLUTE, None, False
    if error is not None:
        half = factor * error
        interval = (value * math.exp(-half), value * math.exp(half)) if relative else (value - half, value + half)
        identified = 2 * half < (_WIDEST if relative else 1.0)
        note = note if identified else f"not identified: its interval is too wide; {note}"
    return Quantity(
        value=value, unit=UNITS[name], relative=relative, standard_error=error, interval=interval,
        identified=identified, note=note,
    )  # fmt: skip


def _source(found: Quantity) -> str:
    if found.standard_error is None:
        return found.note
    error = f"{found.standard_error:.2%}" if found.relative else f"{found.standard_error:.3g}"
    assert found.interval is not None
    return f"{found.note}: {error}; 95 % interval {found.interval[0]:.4g} to {found.interval[1]:.4g}"
