"""The tables of a sweep: every scalar by sample, and theory, this run and the paper side by side."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.bundle import CbaParameters
from nmcdist.models import theory
from nmcdist.report import published
from nmcdist.report.fits import LinearFit, PowerLaw
from nmcdist.report.resolution import Resolution
from nmcdist.report.sweep import Sweep

_SCALARS = (
    "volume_fraction", "surface_area", "mean_curvature_6", "mean_curvature_26", "euler_number_6", "euler_number_26",
    "r_max_nm", "constrictivity_mean", "geodesic_tortuosity_mean", "m_factor_mean",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One quantity: what theory says, what this run gave (mean and standard error), what the paper prints."""

    quantity: str
    theory: float | None
    run: float | None
    error: float | None
    paper: str

    @property
    def cells(self) -> list[str]:
        """The row as text."""
        run = "" if self.run is None else _number(self.run)
        if self.error is not None and np.isfinite(self.error):
            run += f" ± {self.error:.1g}"
        return [self.quantity, "" if self.theory is None else _number(self.theory), run, self.paper]


def comparison(
    sweep: Sweep,
    parameters: dict[float, CbaParameters],
    linear: dict[str, LinearFit | None],
    power: PowerLaw | None,
) -> list[Row]:
    """Return the rows that set theory, this run and the paper beside each other."""
    rows = [*_graphite_rows(sweep, parameters), *_calibrated_rows(sweep, parameters)]
    if sweep.has("m_factor_mean"):
        rows += [*_m_factor_rows(sweep), *_fit_rows(linear, power)]
    return rows


def write_comparison(rows: Sequence[Row], path: Path) -> Path:
    """Write the comparison as CSV."""
    return write_csv(path, ["quantity", "theory", "this run (mean ± standard error)", "paper"], (r.cells for r in rows))


def write_samples(sweep: Sweep, path: Path) -> Path:
    """Write every scalar descriptor, a row a sample, as CSV."""
    data = sweep.data
    columns: dict[str, np.ndarray] = {"sample": np.arange(data.sizes["sample"])}
    for name, coordinate in data.coords.items():
        if coordinate.dims == ("sample",) and name != "sample":
            columns[str(name)] = coordinate.values
    for name, variable in data.data_vars.items():
        if "lag_nm" in variable.dims or "radius_nm" in variable.dims or variable.dims[0] != "sample":
            continue
        flat = variable.stack(column=variable.dims[1:]) if variable.ndim > 1 else variable.expand_dims("column", -1)
        labels = flat["column"].values if variable.ndim > 1 else [""]
        for i, label in enumerate(labels):
            suffix = "_".join(label) if isinstance(label, tuple) else str(label)
            columns[f"{name}_{suffix}".rstrip("_")] = flat.values[:, i]
    return write_csv(path, list(columns), zip(*columns.values(), strict=True))


def write_levels(sweep: Sweep, path: Path) -> Path:
    """Write mean, minimum and maximum of the scalar descriptors at every level, as CSV."""
    names = [n for n in _SCALARS if sweep.has(n)]
    rows = []
    for name in names:
        dim = next(d for d in sweep.data[name].dims if d != "sample")
        for phase in sweep.data[dim].values:
            stats = sweep.by_level(sweep.values(name, phase))
            rows += [
                [name, phase, *(f"{v:.8g}" for v in (level, *values))]
                for level, *values in zip(sweep.levels, *stats, strict=True)
            ]
    return write_csv(path, ["descriptor", "phase", sweep.swept, "mean", "minimum", "maximum"], rows)


def write_resolution(studies: Sequence[Resolution], path: Path) -> Path:
    """Write the M-factors at several voxel sizes as CSV."""
    header = ["item", "voxel_size_nm", "graphite_fraction", "m_factor_pore", "m_factor_solid",
              "sigma_eff_over_sigma_graphite"]  # fmt: skip
    return write_csv(
        path,
        header,
        (
            [s.item, s.voxel_size_nm, f"{s.graphite_fraction:.6g}", f"{s.m_factor['pore']:.6g}",
             f"{s.m_factor['solid']:.6g}", f"{s.effective_conductivity['solid']:.6g}"]
            for s in studies
        ),
    )  # fmt: skip


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a table as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _graphite_rows(sweep: Sweep, parameters: dict[float, CbaParameters]) -> list[Row]:
    rows = []
    for level in sweep.levels:
        lam = parameters[level].lambda_X_per_nm3
        printed = next((v for key, v in published.TABLE_3.items() if abs(key / lam - 1) < 5e-3), None)
        mean, error = _at_level(sweep, "volume_fraction", "graphite", level)
        exact = theory.graphite_fraction(parameters[level])
        paper = "" if printed is None else f"{printed:.4f} (Table 3)"
        rows.append(Row(f"V1 at lambda_X = {lam:.3g} nm^-3", exact, mean, error, paper))
    return rows


def _calibrated_rows(sweep: Sweep, parameters: dict[float, CbaParameters]) -> list[Row]:
    level = sweep.nearest_level(published.CALIBRATED_GRAPHITE)
    p = parameters[level]
    graphite = theory.graphite_densities(p)
    fractions = theory.volume_fractions(p)
    at = f"at V1 = {graphite.volume_fraction:.4f}"

    def row(label: str, exact: float | None, name: str, phase: str, paper: str = "") -> Row:
        return Row(f"{label} {at}", exact, *_at_level(sweep, name, phase, level), paper)

    measured, model = published.GRAPHITE_MEASURED, published.GRAPHITE_MODEL
    tables = [f"{b:.5g} model, {a:.5g} measured (Table 1)" for a, b in zip(measured, model, strict=True)]
    return [
        row(
            "porosity",
            fractions["pore"],
            "volume_fraction",
            "pore",
            f"{published.POROSITY_MEASURED} measured",
        ),
        row("V carbon binder", fractions["carbon_binder"], "volume_fraction", "carbon_binder"),
        row("S solid / nm^-1", theory.solid_surface(p), "surface_area", "solid"),
        row("S graphite / nm^-1", graphite.surface_area, "surface_area", "graphite", tables[1]),
        *(
            row(f"{label}, {n}-adjacency", exact, f"{name}_{n}", "graphite", paper)
            for label, exact, name, paper in (
                ("K graphite / nm^-2", graphite.mean_curvature, "mean_curvature", tables[2]),
                ("N graphite / nm^-3", graphite.euler_number, "euler_number", tables[3]),
            )
            for n in (6, 26)
        ),
    ]


def _m_factor_rows(sweep: Sweep) -> list[Row]:
    level = sweep.nearest_level(published.CALIBRATED_GRAPHITE)
    at = f"at V1 = {sweep.data['graphite_fraction'].values[sweep.samples_at(level)[0]]:.4f}, {sweep.voxel_size_nm:g} nm"
    model, measured = published.M_FACTOR_MODEL, published.M_FACTOR_MEASURED
    rows = [
        Row(f"M {phase}, epsilon / tau_eff, {at}", None, *_at_level(sweep, "m_factor_mean", phase, level),
            f"{model[phase]} model, {measured[phase]} measured")
        for phase in ("solid", "pore")
    ]  # fmt: skip
    sigma = sweep.data["effective_conductivity"].sel(conduction="solid").mean("axis").values
    mean, error = _moments(sigma[sweep.samples_at(level)])
    return [*rows, Row(f"M solid, sigma_eff / sigma_graphite, {at}", None, mean, error, "")]


def _fit_rows(linear: dict[str, LinearFit | None], power: PowerLaw | None) -> list[Row]:
    rows = []
    for phase in ("solid", "pore"):
        fit, paper = linear.get(phase), published.LINEAR[phase]
        if fit:
            rows += [
                Row(f"slope of M {phase} against V1, Eq. (29)", None, fit.slope, None, f"{paper.slope}"),
                Row(f"intercept of M {phase}, Eq. (29)", None, fit.intercept, None, f"{paper.intercept}"),
            ]
    if power:
        rows += [
            Row(f"power law exponent {name}, Eq. (28)", None, getattr(power, name), None,
                f"{getattr(published.POWER_LAW, name)}")
            for name in "abc"
        ]  # fmt: skip
    return rows


def _at_level(sweep: Sweep, name: str, phase: str, level: float) -> tuple[float | None, float | None]:
    if not sweep.has(name):
        return None, None
    return _moments(sweep.values(name, phase)[sweep.samples_at(level)])


def _moments(values: np.ndarray) -> tuple[float, float | None]:
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return float(values.mean()), error


def _number(value: float) -> str:
    return f"{value:.4g}"
