"""Sentences of the report of a sweep, each included only if the numbers support it."""

import numpy as np

from nmcdist.models import theory
from nmcdist.report import published
from nmcdist.report.comparison import about_intervals, at_level, interval_text, variants
from nmcdist.report.fits import LinearFit, PowerLaw
from nmcdist.report.intervals import PERCENT, Estimate
from nmcdist.report.sweep import NEAR_CALIBRATED, Sweep

_THIN = 0.2  # short over long half-axis below which nearly all curvature is in the rims


def notes(
    sweep: Sweep,
    shape: tuple[int, ...],
    linear: dict[str, LinearFit | None],
    power: PowerLaw | None,
    *,
    is_studied: bool,
) -> list[str]:
    """Return the paragraphs below the comparison."""
    said = [
        _about_level(sweep),
        about_intervals(sweep),
        _about_paper(sweep),
        _about_graphite(sweep, shape),
        _about_rims(sweep),
    ]
    said.append(_about_adjacency(sweep))
    if sweep.has("m_factor_mean"):
        said += [_CONVENTIONS + ("" if is_studied else _UNSTUDIED), _about_fits(sweep, linear, power)]
    if sweep.has("percolates"):
        said.append(_about_percolation(sweep))
    return [text for text in said if text]


def captions(sweep: Sweep) -> dict[str, str]:
    """Return the captions of the figures, by file."""
    single = len(sweep.x) == len(sweep.levels)
    points = "Markers: one volume each." if single else "Open markers: one volume each; full markers: means of a level."
    bars = f" Bars with caps: {PERCENT} intervals of the mean (Student's t)." if _has_intervals(sweep) else ""
    where = " Volumes are placed at their measured graphite fraction." if sweep.over_graphite else ""
    band = f" Bands: {PERCENT} intervals of the mean." if _has_intervals(sweep) else ""
    levels = sweep.levels
    which = (
        f" Shown: the lowest, a middle and the highest of {len(levels)} levels; all are in [curves.csv](curves.csv)."
        if len(sweep.shown_levels) < len(levels)
        else ""
    )
    paper = " Stars and dotted lines: the paper's values." if sweep.is_published else ""
    return {
        "structure-property.png": f"Morphology and transport. {points}{bars}{where}{paper} (b) Squared radii come in "
        "steps of the squared voxel edge, and so does constrictivity: pale bars show how far it moves, from the mean "
        "of a level, when either radius moves by one step. Values are not joined, since the steps are not a trend.",
        "size-distributions.png": "Continuous size distributions at radii that are multiples of the voxel edge; lines "
        f"only guide the eye between them.{band}{which}",
        "coverage.png": "Centred two-point coverage, each volume with its own volume fraction V; lines: closed forms."
        f"{band}{which}",
        "slices.png": "A slice through the first volume of each level, normal to z, at half height."
        + (" V1 is that of the whole volume." if sweep.over_graphite else ""),
        "volume.png": "The first volume of "
        + ("the store" if not sweep.is_swept else f"level {sweep.level_name(sweep.reference)}")
        + ", corner at the origin; carbon binder is cut away from the octant that faces the viewer.",
        "resolution.png": "M-factors of the same realisations drawn at other voxel sizes, one line per realisation; "
        "too few for an interval.",
    }


_CONVENTIONS = (
    "The M-factor of the solid is given in two conventions: epsilon / tau_eff, with tau_eff the mean conductivity of "
    "the domain over the effective one, and sigma_eff / sigma_graphite."
)
_UNSTUDIED = " Run `nmcdist report --resolution-study` to see how M-factors depend on the voxel size."


def _has_intervals(sweep: Sweep) -> bool:
    return any(m.margin is not None for m in sweep.by_level(sweep.values("volume_fraction", "pore")))


def _about_level(sweep: Sweep) -> str:
    """Name the level of the values in the table, and the reason for the choice."""
    if len(sweep.levels) == 1:
        return ""
    what = "S, K and N (surface area, integral of mean curvature and Euler number per volume)"
    what += " and M-factors" if sweep.has("m_factor_mean") else ""
    name = "V1" if sweep.over_graphite else f"`{sweep.swept}`"
    why = (
        f"the middle one of {len(sweep.levels)}"
        if sweep.printed is None
        else f"the nearest of {len(sweep.levels)} levels to the paper's calibrated model, {name} = {sweep.printed:.4g}"
    )
    return (
        f"The table shows {what} of one level,{at_level(sweep, sweep.reference).removeprefix(' at')}: {why}. "
        "All levels are in [levels.csv](levels.csv), all volumes in [samples.csv](samples.csv)."
    )


def _about_paper(sweep: Sweep) -> str:
    if not sweep.is_published:
        what = "the bundle has other parameters" if sweep.over_graphite else f"here `{sweep.swept}` is varied"
        return f"No published values are shown: the paper varies the graphite content of its own model, and {what}."
    if sweep.calibrated is None:
        return f"The paper's single values are for V1 = 0.1057; no level is within {100 * NEAR_CALIBRATED:.0f} % of it."
    exact = theory.graphite_densities(sweep.parameters[sweep.calibrated])
    return (
        f"For the printed parameters (Table 2) Miles' formulas give K = {exact.mean_curvature:.4g} nm⁻² and "
        f"N = {exact.euler_number:.4g} nm⁻³ for graphite; the paper's Table 1 prints {published.GRAPHITE_MODEL[2]:.5g} "
        f"and {published.GRAPHITE_MODEL[3]:.5g} for the same model. Differences from the paper are shown, not tuned "
        "away; the paper does not give the voxel size of its M-factors."
    )


def _about_graphite(sweep: Sweep, shape: tuple[int, ...]) -> str:
    """Describe the deviation of graphite in single volumes from the model, and the few plates per volume."""
    exact = np.array([sweep.graphite_by_theory(level) for level in sweep.x])
    off = sweep.values("volume_fraction", "graphite") / exact - 1
    worst = int(np.abs(off).argmax())
    volume = np.prod(np.array(shape, dtype=float)) * sweep.voxel_size_nm**3
    germs = sweep.parameters[float(sweep.x[worst])].lambda_X_per_nm3 * volume
    return (
        f"The graphite fraction measured in a volume differs from the model's by up to {100 * abs(off[worst]):.0f} % "
        f"(item {worst}: {exact[worst] * (1 + off[worst]):.4f} instead of {exact[worst]:.4f}); a volume of that level "
        f"holds {germs:.3g} germs of graphite on average."
    )


def _about_rims(sweep: Sweep) -> str:
    """Describe the thickness of the plates' rims, if voxels are coarser."""
    p = sweep.parameters[sweep.reference]
    short, long = p.alpha_1 / p.gamma_per_nm, p.alpha_2 / p.gamma_per_nm
    rim = short**2 / long
    if not rim < sweep.voxel_size_nm or not short < _THIN * long:
        return ""
    exact = theory.graphite_densities(p).mean_curvature
    ratios = [
        f"{np.nanmean(sweep.values(name, 'graphite')[sweep.samples_at(sweep.reference)]) / exact:.2f} times "
        f"theory{suffix}"
        for name, suffix in variants(sweep, "mean_curvature")
    ]
    return (
        f"The graphite plates have half-axes of {short:.0f} and {long:.0f} nm on average. Their rims have a radius of "
        f"curvature of {rim:.2g} nm, which voxels of {sweep.voxel_size_nm:g} nm do not resolve. K comes mostly from "
        f"the rims; it is measured as {' and '.join(ratios)}. N of graphite is affected in the same way."
    )


def _about_adjacency(sweep: Sweep) -> str:
    if not sweep.has("euler_number_6"):
        return ""
    p = sweep.parameters[sweep.reference]
    thick = 2 * p.alpha_1 / p.gamma_per_nm / sweep.voxel_size_nm
    return (
        "Curvature K and Euler number N depend on which voxels count as joined; both values are given. "
        "For single plates, 26-adjacency is right from a thickness of 3 voxels on, 6-adjacency from 6 voxels on; where "
        "grains overlap, both are low, 26-adjacency more so. "
        f"The graphite plates are {thick:.1f} voxels thick in the middle, on average."
    )


def _about_fits(sweep: Sweep, linear: dict[str, LinearFit | None], power: PowerLaw | None) -> str:
    said = []
    if any(linear.values()):
        fractions = sweep.positions
        said.append(
            "The linear fits, Eq. (29), use the graphite fractions measured in the volumes, "
            f"{fractions.min():.3f} to {fractions.max():.3f}."
        )
        if any(fit and fit.slope_margin for fit in linear.values()):
            said.append(f"Their {PERCENT} intervals (Student's t, n - 2 degrees of freedom) assume the same scatter "
                        "about the line everywhere.")  # fmt: skip
        if sweep.is_published:
            said.append("The paper's fits use the fractions of the model.")
    elif sweep.over_graphite:
        said.append("No linear fit, Eq. (29): it needs two levels of graphite.")
    if power is None:
        said.append(
            "The power law, Eq. (28), is not fitted: it needs at least four volumes that percolate, and volumes "
            "different enough to separate its exponents."
        )
        return " ".join(said)
    said.append(
        f"The power law, Eq. (28), is fitted to M of solid and pore of {power.count} volumes together, by least "
        "squares in M, with exponents not below 0."
    )
    if power.margins:
        said.append(f"Its {PERCENT} intervals come from a jackknife over volumes.")
    for name in power.at_bound:
        said.append(f"Exponent {name} is at its bound, 0: least squares would give a negative value.")
    for name in power.margins:
        if not power.is_determined(name):
            estimate = Estimate(getattr(power, name), power.margins[name], power.count, power.count)
            said.append(f"Exponent {name} is not determined: its interval, {interval_text(estimate)}, contains 0.")
    return " ".join(said)


def _about_percolation(sweep: Sweep) -> str:
    """Name the volumes without a path through a phase."""
    said = []
    for phase in ("pore", "solid"):
        closed = int((sweep.data["percolates"].sel(phase=phase).values == 0).all(axis=1).sum())
        if closed:
            said.append(f"{phase} in {closed} of {len(sweep.x)}")
    return f"Volumes without a path through a phase have no tortuosity: {', '.join(said)}." if said else ""
