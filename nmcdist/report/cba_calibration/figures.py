"""The figures of a calibration of the additive: fitted curves with residuals, ellipses, and curves by plane."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.cba.curves import PLANES
from nmcdist.calibration.cba.results import Curve, Results
from nmcdist.report.cba_calibration.adequacy import MARKS, draw_envelope, floats
from nmcdist.report.style import CARBON_BINDER, GRAPHITE, SERIES, figure, save

_PAIRS = (("mean_a", "mean_c"), ("lambda_X", "mean_c"), ("mu", "eta"), ("theta", "lambda_Y"))


def fits(results: Results, path: Path) -> Path:
    """Draw C_B and the variogram of graphite, measured and fitted, with residuals below."""
    with figure(2, 2, 11, 8) as (drawing, axes):
        binder, graphite = results.curves["binder"], results.curves["graphite"]
        for column, (curve, colour, label) in enumerate((
            (binder, CARBON_BINDER, r"$C_B(h)$ of carbon binder"), (graphite, GRAPHITE, r"$V - C(h)$ of graphite"),
        )):  # fmt: skip
            at, measured, fitted = _arrays(curve)
            top, below = axes[0, column], axes[1, column]
            top.plot(at, measured, color=colour, label="image", **MARKS)
            top.plot(at, fitted, color="black", linewidth=1.2, label="fit")
            top.set(xlabel="lag $h$ / nm", ylabel=label)
            top.legend()
            below.axhline(0, color="black", linewidth=1)
            below.set_xlabel("lag $h$ / nm")
            if curve.error is not None:
                below.errorbar(at, 1e3 * (measured - fitted), 1e3 * np.array(curve.error), color=colour, **MARKS)
                below.set_ylabel(r"image $-$ fit / $10^{-3}$")
            else:
                below.plot(at, 100 * (measured / fitted - 1), color=colour, **MARKS)
                below.set_ylabel(r"image over fit $-$ 1 / %")
        return save(drawing, path)


def ellipses(results: Results, path: Path) -> Path:
    """Draw the joint 95 % regions of pairs of parameters."""
    from scipy.stats import f

    assert results.correlations is not None
    number = results.bootstrap["replicates"]
    reach = np.sqrt(2 * (number - 1) / (number - 2) * f.ppf(0.95, 2, number - 2))  # Hotelling's region
    with figure(2, 2, 10, 9) as (drawing, axes):
        for panel, (first, second) in zip(axes.flat, _PAIRS, strict=True):
            x, y = (results.quantities[name] for name in (first, second))
            assert x.standard_error is not None and y.standard_error is not None
            i, j = results.order.index(first), results.order.index(second)
            r = results.correlations[i][j]
            angle = np.linspace(0, 2 * np.pi, 200)
            u = reach * np.cos(angle)
            v = reach * (r * np.cos(angle) + np.sqrt(max(0.0, 1 - r * r)) * np.sin(angle))
            panel.plot(_moved(x, u), _moved(y, v), color=SERIES[0][0])
            panel.plot([x.value], [y.value], color=SERIES[1][0], **MARKS)
            panel.set(xlabel=f"{first} / {x.unit}", ylabel=f"{second} / {y.unit}")
            panel.locator_params(axis="x", nbins=5)
            panel.set_title(f"correlation {r:.2f}", loc="left", fontsize=12)
        return save(drawing, path)


def planes(results: Results, path: Path) -> Path:
    """Draw C_B and the variogram in the planes of the image over the envelope of the replicates."""
    with figure(2, len(PLANES), 13, 8) as (drawing, axes):
        for row, (what, colour) in enumerate((("binder", CARBON_BINDER), ("graphite", GRAPHITE))):
            for panel, plane in zip(axes[row], PLANES, strict=True):
                curve = results.curves[f"{what} {plane}"]
                at = np.array(curve.at_nm)
                draw_envelope(panel, curve)
                panel.plot(at, floats(curve.measured), color=colour, label="image", **MARKS)
                panel.set_xlabel("lag $h$ / nm")
                panel.set_title(plane, loc="left", fontweight="bold")
            axes[row, 0].set_ylabel(r"$C_B(h)$" if what == "binder" else r"$V - C(h)$ of graphite")
        axes[0, 0].legend()
        return save(drawing, path)


def _arrays(curve: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array(curve.at_nm), floats(curve.measured), np.array(curve.fitted)


def _moved(quantity: Any, steps: np.ndarray) -> np.ndarray:
    """Return values at numbers of standard errors from a quantity."""
    moved = steps * quantity.standard_error
    return np.asarray(quantity.value * np.exp(moved) if quantity.relative else quantity.value + moved)
