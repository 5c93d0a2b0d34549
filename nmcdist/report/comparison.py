"""Comparison of theory, this run and, where it applies, the paper, for a sweep of volumes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.models import theory
from nmcdist.report import published
from nmcdist.report.fits import EXPONENTS, LinearFit, PowerLaw
from nmcdist.report.intervals import FEWEST, PERCENT, Estimate, mean_of
from nmcdist.report.sweep import Sweep, plain_unit
from nmcdist.report.tables import markdown, write_csv

HEADER = ["quantity", "unit", "theory", "this run", f"{PERCENT} interval", "n", "this run / theory", "paper"]
_NEAR = 0.02  # share of the largest fraction of Table 3 by which levels may exceed its range
_CLOSE = 5e-3  # relative, of an intensity: Table 2 prints one digit more than Table 3


@dataclass(frozen=True)
class Row:
    """One quantity: theory, this run and the paper; a note replaces the interval."""

    quantity: str
    unit: str
    theory: float | None
    run: Estimate
    paper: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The run over theory; None if there is no theory, or it is 0."""
        return self.run.value / self.theory if self.theory else None

    @property
    def cells(self) -> list[str]:
        """The row as text, in the order of `HEADER`."""
        return [
            self.quantity,
            "" if self.unit == "1" else plain_unit(self.unit),
            "" if self.theory is None else _number(self.theory),
            _number(self.run.value),
            self.note or interval_text(self.run),
            self.run.number,
            "" if self.ratio is None or not np.isfinite(self.ratio) else f"{self.ratio:.3g}",
            self.paper,
        ]


def interval_text(estimate: Estimate) -> str:
    """Return an interval as text; a dash if there is none."""
    if estimate.bounds is None:
        return "–"
    return " to ".join(map(_number, estimate.bounds))


def comparison(sweep: Sweep, linear: dict[str, LinearFit | None], power: PowerLaw | None) -> list[Row]:
    """Return the rows that compare theory, this run and the paper."""
    rows = [row for level in sweep.levels for row in _fraction_rows(sweep, level)]
    rows += _density_rows(sweep)
    if sweep.has("m_factor_mean"):
        rows += [*_m_factor_rows(sweep), *_fit_rows(sweep, linear, power)]
    return rows


def comparison_table(rows: Sequence[Row]) -> str:
    """Return the rows in Markdown, without the paper's column if it is empty."""
    columns = len(HEADER) - (not any(r.paper for r in rows))
    return markdown(HEADER[:columns], [r.cells[:columns] for r in rows])


def write_comparison(rows: Sequence[Row], path: Path) -> Path:
    """Write the comparison as CSV, with the ends of the intervals in separate columns."""
    header = ["quantity", "unit", "theory", "this run", "interval_low", "interval_high", "n", "note", "paper"]
    return write_csv(
        path,
        header,
        (
            [r.quantity, r.unit, "" if r.theory is None else f"{r.theory:.8g}", f"{r.run.value:.8g}",
             *(f"{end:.8g}" for end in r.run.bounds or ()), *[""] * (0 if r.run.bounds else 2), r.run.number, r.note,
             r.paper]
            for r in rows
        ),
    )  # fmt: skip


def _fraction_rows(sweep: Sweep, level: float) -> list[Row]:
    parameters = sweep.parameters[level]
    exact, at = theory.volume_fractions(parameters), at_level(sweep, level)
    lam = parameters.lambda_X_per_nm3
    printed = next((v for key, v in published.TABLE_3.items() if abs(key / lam - 1) < _CLOSE), None)
    papers = {} if printed is None or not sweep.is_published else {"graphite": f"{printed:.4f} (Table 3)"}
    if level == sweep.calibrated:
        papers["pore"] = f"{published.POROSITY_MEASURED} measured"
    names = {"graphite": "V1 (graphite)", "carbon_binder": "V (carbon binder)", "pore": "porosity"}
    return [
        Row(f"{name}{at}", "1", exact[phase], _mean(sweep, "volume_fraction", phase, level), papers.get(phase, ""))
        for phase, name in names.items()
    ]


def _density_rows(sweep: Sweep) -> list[Row]:
    """Return the rows of surface, curvature and Euler number at the reference level."""
    level = sweep.reference
    graphite, at = theory.graphite_densities(sweep.parameters[level]), at_level(sweep, level)
    papers = [""] * 3
    if level == sweep.calibrated:
        pairs = zip(published.GRAPHITE_MODEL[1:], published.GRAPHITE_MEASURED[1:], strict=True)
        papers = [f"{model:.5g} model, {measured:.5g} measured (Table 1)" for model, measured in pairs]
    wanted = [
        ("S solid", "nm^-1", theory.solid_surface(sweep.parameters[level]), "surface_area", "solid", ""),
        ("S graphite", "nm^-1", graphite.surface_area, "surface_area", "graphite", papers[0]),
        ("K graphite", "nm^-2", graphite.mean_curvature, "mean_curvature", "graphite", papers[1]),
        ("N graphite", "nm^-3", graphite.euler_number, "euler_number", "graphite", papers[2]),
    ]
    return [
        Row(f"{label}{suffix}{at}", unit, exact, _mean(sweep, name, phase, level), paper)
        for label, unit, exact, stem, phase, paper in wanted
        for name, suffix in ([(stem, "")] if stem == "surface_area" else variants(sweep, stem))
    ]


def variants(sweep: Sweep, stem: str) -> list[tuple[str, str]]:
    """Return the names of a descriptor in a store, and their suffixes about adjacency."""
    joined = {stem: " (mean of 6- and 26-adjacency)", f"{stem}_6": " (6-adjacency)", f"{stem}_26": " (26-adjacency)"}
    return [(name, suffix) for name, suffix in joined.items() if sweep.has(name)]


def _m_factor_rows(sweep: Sweep) -> list[Row]:
    level = sweep.reference
    at = f"{at_level(sweep, level)}, {sweep.voxel_size_nm:g} nm voxels"
    papers = dict.fromkeys(("solid", "pore"), "")
    if level == sweep.calibrated:
        papers = {
            phase: f"{published.M_FACTOR_MODEL[phase]} model, {published.M_FACTOR_MEASURED[phase]} measured"
            for phase in papers
        }
    rows = [
        Row(f"M {phase}, epsilon / tau_eff{at}", "1", None, _mean(sweep, "m_factor_mean", phase, level), paper)
        for phase, paper in papers.items()
    ]
    sigma = sweep.data["effective_conductivity"].sel(conduction="solid").mean("axis").values
    run = mean_of(sigma[sweep.samples_at(level)])
    return [*rows, Row(f"M solid, sigma_eff / sigma_graphite{at}", "1", None, run)]


def _fit_rows(sweep: Sweep, linear: dict[str, LinearFit | None], power: PowerLaw | None) -> list[Row]:
    rows = []
    for phase in ("solid", "pore"):
        fit, paper = linear.get(phase), published.LINEAR[phase] if _in_range(sweep) else None
        if fit:
            for name, margin in (("slope", fit.slope_margin), ("intercept", fit.intercept_margin)):
                value = getattr(fit, name)
                rows.append(
                    Row(f"M {phase} against V1, Eq. (29): {name}", "1", None,
                        Estimate(value, margin, fit.count, fit.count), f"{getattr(paper, name)}" if paper else "")
                )  # fmt: skip
    if power:
        rows += [_exponent_row(power, name, _in_range(sweep)) for name in EXPONENTS]
    return rows


def _exponent_row(power: PowerLaw, name: str, is_published: bool) -> Row:
    estimate = Estimate(getattr(power, name), power.margins.get(name), power.count, power.count)
    note = ""
    if name in power.at_bound:
        note = "at its bound 0, no interval"
    elif estimate.margin is not None and not power.is_determined(name):
        note = f"{interval_text(estimate)}: not determined"
    elif estimate.margin is None:
        note = "– : too few volumes to say"
    paper = f"{getattr(published.POWER_LAW, name)}" if is_published else ""
    return Row(f"exponent {name}, Eq. (28)", "1", None, estimate, paper, note)


def _in_range(sweep: Sweep) -> bool:
    """Return whether the sweep is the paper's and stays within the graphite fractions of its fits."""
    fractions, printed = sweep.levels, published.TABLE_3.values()
    spare = _NEAR * max(printed)
    inside = fractions.min() >= min(printed) - spare and fractions.max() <= max(printed) + spare
    return sweep.is_published and len(fractions) > 1 and bool(inside)


def _mean(sweep: Sweep, name: str, phase: str, level: float) -> Estimate:
    return mean_of(sweep.values(name, phase)[sweep.samples_at(level)])


def at_level(sweep: Sweep, level: float) -> str:
    """Return the level of a quantity as text, empty without a sweep."""
    if not sweep.is_swept:
        return ""
    if sweep.by_intensity:
        return f" at lambda_X = {sweep.parameters[level].lambda_X_per_nm3:.3g} nm⁻³"
    return f" at {'V1' if sweep.over_graphite else sweep.swept} = {sweep.level_name(level)}"


def _number(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "none"


def about_intervals(sweep: Sweep) -> str:
    """Describe the intervals of the table, and where they are missing."""
    counts = [len(sweep.samples_at(level)) for level in sweep.levels]
    text = f"Intervals: {PERCENT}, Student's t, over n independent volumes"
    if max(counts) < FEWEST:
        return f"No intervals of means: {volumes_text(max(counts))} per level, at least {FEWEST} are needed."
    return text + (f"; none below {FEWEST}." if min(counts) < FEWEST else ".")


def volumes_text(count: int) -> str:
    """Return a number of volumes as text."""
    return "1 volume" if count == 1 else f"{count} volumes"
