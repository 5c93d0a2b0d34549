"""Sentences of the report of a sweep, each worked out from the numbers that it stands beside, or not printed."""

import numpy as np

from nmcdist.models import theory
from nmcdist.report import published
from nmcdist.report.comparison import about_intervals, at_level, interval_text, variants
from nmcdist.report.fits import LinearFit, PowerLaw
from nmcdist.report.intervals import PERCENT, Estimate
from nmcdist.report.sweep import Sweep

_THIN = 0.2  # short over long half-axis of plates whose curvature is, but for some tenths, that of their rims


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
    where = " Volumes stand at the graphite fraction measured in them." if sweep.over_graphite else ""
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
        "steps of the squared voxel edge, and constrictivity with them: pale bars show how far it moves, from the mean "
        "of a level, when either radius moves by one step. Values are not joined: the steps are no trend.",
        "size-distributions.png": "Continuous size distributions at radii that are multiples of the voxel edge; lines "
        f"only guide the eye between these.{band}{which}",
        "coverage.png": "Centred two-point coverage, each volume with its own volume fraction V; lines: closed forms."
        f"{band}{which}",
        "slices.png": "A slice through the first volume of each level, normal to z, at half height."
        + (" V1 is that of the whole volume." if sweep.over_graphite else ""),
        "volume.png": "The first volume of "
        + ("the store" if not sweep.is_swept else f"level {sweep.level_name(sweep.reference)}")
        + ", the corner at the origin; carbon binder is cut away from the octant that faces the viewer.",
        "resolution.png": "M-factors of the same realisations drawn at other voxel sizes, each realisation by itself; "
        "too few for an interval.",
    }


_CONVENTIONS = (
    "The M-factor of the solid is given in two conventions: epsilon / tau_eff, with tau_eff the mean conductivity of "
    "the domain over the effective one, and sigma_eff / sigma_graphite."
)
_UNSTUDIED = " How far M-factors depend on the voxel size, `nmcdist report --resolution-study` tells."


def _has_intervals(sweep: Sweep) -> bool:
    return any(m.margin is not None for m in sweep.by_level(sweep.values("volume_fraction", "pore")))


def _about_level(sweep: Sweep) -> str:
    """Say at which level the table has what depends on it, and why there."""
    if len(sweep.levels) == 1:
        return ""
    what = "S, K, N and M stand" if sweep.has("m_factor_mean") else "S, K and N stand"
    name = "V1" if sweep.over_graphite else f"`{sweep.swept}`"
    why = (
        f"the middle one of {len(sweep.levels)}"
        if sweep.printed is None
        else f"the nearest of {len(sweep.levels)} to that of the paper's calibrated model, {name} = {sweep.printed:.4g}"
    )
    return (
        f"{what} in the table for one level,{at_level(sweep, sweep.reference).removeprefix(' at')}: {why}. "
        "Those of every level are in [levels.csv](levels.csv), those of every volume in [samples.csv](samples.csv)."
    )


def _about_paper(sweep: Sweep) -> str:
    if not sweep.is_published:
        what = "the bundle has other parameters" if sweep.over_graphite else f"here `{sweep.swept}` is varied"
        return f"No published values are shown: the paper varies the graphite content of its own model, and {what}."
    if sweep.calibrated is None:
        return "The paper's single values are of V1 = 0.1057, and no level is near it."
    exact = theory.graphite_densities(sweep.parameters[sweep.calibrated])
    return (
        f"For the printed parameters (Table 2) Miles' formulas give K = {exact.mean_curvature:.4g} nm⁻² and "
        f"N = {exact.euler_number:.4g} nm⁻³ for graphite; the paper's Table 1 prints {published.GRAPHITE_MODEL[2]:.5g} "
        f"and {published.GRAPHITE_MODEL[3]:.5g} for the same model. Differences from the paper are shown, not tuned "
        "away; it does not say at which voxel size its M-factors were computed."
    )


def _about_graphite(sweep: Sweep, shape: tuple[int, ...]) -> str:
    """Say how far the graphite in single volumes is from the model's, and how few plates a volume holds."""
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
    """Say how thin the rims of the plates are, where voxels are coarser."""
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
        f"The plates of graphite have half-axes of {short:.0f} and {long:.0f} nm on average, and so rims with a radius "
        f"of curvature of {rim:.2g} nm, which voxels of {sweep.voxel_size_nm:g} nm do not resolve. K, most of which is "
        f"of the rims, is measured as {' and '.join(ratios)}; N of graphite is subject to the same."
    )


def _about_adjacency(sweep: Sweep) -> str:
    if not sweep.has("euler_number_6"):
        return ""
    p = sweep.parameters[sweep.reference]
    thick = 2 * p.alpha_1 / p.gamma_per_nm / sweep.voxel_size_nm
    return (
        "Curvature K and Euler number N depend on which voxels count as joined, and both answers are given: "
        "of single plates 26-adjacency holds from a thickness of 3 voxels on, 6-adjacency from 6 voxels on; where "
        "grains overlap both lie low, 26-adjacency more so. "
        f"The plates of graphite are {thick:.1f} voxels thick in the middle, on average."
    )


def _about_fits(sweep: Sweep, linear: dict[str, LinearFit | None], power: PowerLaw | None) -> str:
    said = []
    if any(linear.values()):
        fractions = sweep.positions
        said.append(
            "The linear fits, Eq. (29), are over the graphite fractions measured in the volumes, "
            f"{fractions.min():.3f} to {fractions.max():.3f}."
        )
        if any(fit and fit.slope_margin for fit in linear.values()):
            said.append(f"Their {PERCENT} intervals (Student's t, n - 2 degrees of freedom) take the scatter about the "
                        "line to be the same everywhere.")  # fmt: skip
        if sweep.is_published:
            said.append("The paper's fits are over the fractions of the model.")
    elif sweep.over_graphite:
        said.append("No linear fit, Eq. (29): it needs two levels of graphite.")
    if power is None:
        said.append(
            "The power law, Eq. (28), is not fitted: it takes at least four volumes that percolate, and volumes "
            "different enough to tell its exponents apart."
        )
        return " ".join(said)
    said.append(
        f"The power law, Eq. (28), is fitted to M of solid and pore of {power.count} volumes together, least squares "
        "in M, exponents not below 0."
    )
    if power.margins:
        said.append(f"Its {PERCENT} intervals are by a jackknife over volumes.")
    for name in power.at_bound:
        said.append(f"Exponent {name} ends at its bound, 0: least squares would take it below.")
    for name in power.margins:
        if not power.is_determined(name):
            estimate = Estimate(getattr(power, name), power.margins[name], power.count, power.count)
            said.append(f"Exponent {name} is not determined: its interval, {interval_text(estimate)}, holds 0.")
    return " ".join(said)


def _about_percolation(sweep: Sweep) -> str:
    """Name the volumes without a path through a phase."""
    said = []
    for phase in ("pore", "solid"):
        closed = int((sweep.data["percolates"].sel(phase=phase).values == 0).all(axis=1).sum())
        if closed:
            said.append(f"{phase} in {closed} of {len(sweep.x)}")
    return f"Volumes whose phase joins no two faces have no tortuosity: {', '.join(said)}." if said else ""
