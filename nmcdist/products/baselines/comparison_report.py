"""The page of a finished comparison: how far each generator is from the reference, in units of its own spread."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from nmcdist.bundle import Bundle, CbaParameters, PatternsParameters
from nmcdist.bundle.bodies import RadiusParameters
from nmcdist.calibration.baseline_measures import DIRECTIONAL_LAGS
from nmcdist.calibration.baselines import matched_on
from nmcdist.datasets.layout import VOLUME
from nmcdist.datasets.store import open_store, read_block
from nmcdist.models import theory
from nmcdist.products.baselines.comparison_recipe import REFERENCE, ComparisonRecipe
from nmcdist.products.baselines.matching import DRAWN_AS, matched
from nmcdist.report import generators as figures
from nmcdist.report.intervals import FEWEST
from nmcdist.report.pages import bundle_of, make_folder, write_page
from nmcdist.report.tables import markdown, write_csv, write_samples
from nmcdist.report.window import about_window

PAGE = "comparison.md"
_MOST_PIXELS = 256  # along an edge of a slice
_COARSE = 3.0  # voxels per radius, below which a page warns
_MISSED, _SURE = 0.01, 4.0  # of a matched volume fraction: difference, and in standard errors
_TWO_POINT = "two_point_error"


class Compared(NamedTuple):
    """A compared quantity: its variable and the phase, its unit and factor on the page."""

    text: str
    variable: str
    phase: str
    unit: str = ""
    factor: float = 1.0


QUANTITIES = (
    Compared("V, solid", "volume_fraction", "solid"),
    Compared("S", "surface_area", "solid", "µm⁻¹", 1e3),
    Compared("Euler number of the solid (26)", "euler_number_26", "solid", "µm⁻³", 1e9),
    Compared("Euler number of the solid (6)", "euler_number_6", "solid", "µm⁻³", 1e9),
    Compared("r_max, pore", "r_max_nm", "pore", "nm"),
    Compared("r_max, solid", "r_max_nm", "solid", "nm"),
    Compared("tortuosity, pore", "geodesic_tortuosity_mean", "pore"),
    Compared("tortuosity, solid", "geodesic_tortuosity_mean", "solid"),
    Compared("constrictivity, pore", "constrictivity_mean", "pore"),
    Compared("constrictivity, solid", "constrictivity_mean", "solid"),
    Compared("M, pore", "m_factor_mean", "pore"),
    Compared("M, solid", "m_factor_mean", "solid"),
)


@dataclass(frozen=True)
class Group:
    """A quantity of the volumes of one generator.

    Attributes
    ----------
    mean : float
        Of the finite values, NaN without any.
    sd : float or None
        Between volumes; None below three.
    count : int
        Number of finite values.
    """

    mean: float
    sd: float | None
    count: int

    @classmethod
    def of(cls, values: np.ndarray) -> "Group":
        """Return the group of some values."""
        known = values[np.isfinite(values)]
        sd = float(known.std(ddof=1)) if len(known) >= FEWEST else None
        return cls(float(known.mean()) if len(known) else math.nan, sd, len(known))

    @property
    def error(self) -> float | None:
        """Standard error of the mean."""
        return None if self.sd is None else self.sd / math.sqrt(self.count)


def difference(own: Group, reference: Group) -> tuple[float, float] | None:
    """Return how far a generator is from the reference, and the standard error, both in sd of the reference.

    None if one of them has fewer than three volumes, or the reference does not scatter.
    """
    if own.error is None or reference.error is None or not reference.sd:
        return None
    return (own.mean - reference.mean) / reference.sd, math.hypot(own.error, reference.error) / reference.sd


def report_comparison(store: Path, recipe: ComparisonRecipe, folder: Path) -> Path:
    """Write tables, figures and the page; see :func:`nmcdist.products.stores.build_report`."""
    opened = open_store(store)
    data, bundle = opened.drop_vars(VOLUME, errors="ignore").load(), bundle_of(store)
    make_folder(folder)
    groups = compared_groups(data, recipe, bundle.cba())
    write_samples(data, folder / "samples.csv")
    _write_table(groups, recipe, folder / "comparison.csv")
    made, captions = [], {}
    if VOLUME in opened:
        made.append(_slices(store, recipe, folder / "slices.png"))
        captions["slices.png"] = "The middle slice, normal to z, of the first volume of each; the solid is dark."
    made.append(figures.curves(_panels(data, recipe), folder / "curves.png"))
    captions["curves.png"] = (
        "Means over volumes; bands: one standard deviation of the volumes to either side. A size distribution is the "
        "share of a phase that balls of a radius cover."
    )
    return write_page(folder, _text(data, groups, recipe, bundle), made, captions, PAGE)


def compared_groups(
    data: xr.Dataset, recipe: ComparisonRecipe, parameters: CbaParameters
) -> dict[str, dict[str, Group]]:  # fmt: skip
    """Return each compared quantity by generator, and the error of the two-point coverage against theory."""
    names, found = np.array(data["generator"].values.tolist()), {}
    for each in QUANTITIES:
        if each.variable in data:
            dim = next(str(d) for d in data[each.variable].dims if d != "sample")
            found[each.text] = data[each.variable].sel({dim: each.phase}).values * each.factor
    curves, lags = data["two_point_coverage"].sel(phase="solid").values, _lags(data, recipe)
    target = _target(parameters, lags, recipe.volume.voxel_size_nm)
    found[_TWO_POINT] = np.sqrt(((curves[:, : lags + 1] - target) ** 2).mean(axis=1))
    return {text: {g: Group.of(values[names == g]) for g in recipe.names} for text, values in found.items()}


def _lags(data: xr.Dataset, recipe: ComparisonRecipe) -> int:
    """Return the longest lag in voxels that annealing is matched on and that is stored."""
    return min(DIRECTIONAL_LAGS, recipe.training // 2, data.sizes["lag_nm"] - 1)


def _target(parameters: CbaParameters, lags: int, voxel_size_nm: float) -> np.ndarray:
    """Return the coverage of the solid by theory, averaged over the lattice vectors of each lag, as it is measured."""
    axis = np.arange(-lags - 1, lags + 2) ** 2
    square, count = np.unique(axis[:, None, None] + axis[:, None] + axis, return_counts=True)
    lag = np.rint(np.sqrt(square)).astype(int)
    near = lag <= lags
    square, count, lag = square[near], count[near], lag[near]
    coverage = theory.two_point_coverage(parameters, np.sqrt(square) * voxel_size_nm)["solid"]
    return np.asarray(np.bincount(lag, count * coverage) / np.bincount(lag, count))


def _slices(store: Path, recipe: ComparisonRecipe, path: Path) -> Path:
    nz, ny, nx = recipe.volume.shape
    box = ((nz // 2, nz // 2 + 1), (0, min(ny, _MOST_PIXELS)), (0, min(nx, _MOST_PIXELS)))
    planes = {name: read_block(store, number * recipe.realisations, box)[0] for number, name in enumerate(recipe.names)}
    return figures.slices(planes, recipe.volume.voxel_size_nm, path)


def _panels(data: xr.Dataset, recipe: ComparisonRecipe) -> list[figures.Panel]:
    names = np.array(data["generator"].values.tolist())

    def panel(title: str, variable: str, phase: str, along: str, x: str, y: str) -> figures.Panel:
        values = data[variable].sel(phase=phase).values
        return figures.Panel(title, x, y, data[along].values, {g: values[names == g] for g in recipe.names})

    share = "share covered by balls of radius $r$"
    return [
        panel("two-point coverage, solid", "two_point_coverage", "solid", "lag_nm", "lag $h$ / nm", "$C(h)$"),
        panel("sizes of the pores", "pore_size_distribution", "pore", "radius_nm", "radius $r$ / nm", share),
        panel("sizes of the solid", "pore_size_distribution", "solid", "radius_nm", "radius $r$ / nm", share),
    ]


def _write_table(groups: dict[str, dict[str, Group]], recipe: ComparisonRecipe, path: Path) -> None:
    units = {each.text: each.unit for each in QUANTITIES}
    rows = []
    for text, by_generator in groups.items():
        for name, own in by_generator.items():
            apart = None if name == REFERENCE or text == _TWO_POINT else difference(own, by_generator[REFERENCE])
            numbers = [own.mean, own.sd, own.error, *(apart or (None, None))]
            rows.append([text, units.get(text, ""), name, "yes" if _is_matched(name, text) else "no", own.count,
                         *("" if v is None or math.isnan(v) else f"{v:.6g}" for v in numbers)])  # fmt: skip
    header = ["quantity", "unit", "generator", "matched", "volumes", "mean", "sd", "standard_error",
              "difference_in_sd_of_the_reference", "standard_error_of_the_difference"]  # fmt: skip
    write_csv(path, header, rows)


def _is_matched(name: str, text: str) -> bool:
    variable = next((each.variable for each in QUANTITIES if each.text == text), "two_point_coverage")
    return name != REFERENCE and variable in matched_on(name)


def _text(
    data: xr.Dataset, groups: dict[str, dict[str, Group]], recipe: ComparisonRecipe, bundle: Bundle
) -> list[str]:  # fmt: skip
    bundles: dict[str, Bundle] = {name: matched(name, bundle, recipe) for name in recipe.generators}
    edge = min(recipe.volume.shape) * recipe.volume.voxel_size_nm / 1000
    return [
        f"# {recipe.title}",
        f"Comparison `{recipe.name}` {recipe.version}: {recipe.realisations} volumes of "
        f"{' x '.join(map(str, recipe.volume.shape))} voxels of {recipe.volume.voxel_size_nm:g} nm ({edge:g} µm) of "
        f"the additive, bundle `{recipe.bundle}`, which is the reference, and of each generator matched to it, "
        f"seed {recipe.seed}. All but the pores is one solid, with one conductivity.",
        *about_window(data),
        "## Matched on, and compared",
        _table(groups, recipe),
        "Reference: mean and standard deviation between its volumes. Others: difference of the means, in units of that "
        "standard deviation, and the standard error of the difference; **bold** where the generator was matched. "
        f"In brackets: the mean alone, where there is no spread, because one of them has fewer than {FEWEST} volumes "
        "with a value, or those of the reference are equal.",
        _about_two_point(groups, recipe, _lags(data, recipe)),
        "## How each was matched",
        markdown(["generator", "space", "match"], [
            [name, "endless: any window can be drawn" if DRAWN_AS[name].divisible else "periodic: one box",
             bundles[name].calibration.method] for name in recipe.generators]),
        *_failures(groups, recipe, bundle, bundles),
        *_about_voxels(recipe, bundles),
        "Tables: [comparison.csv](comparison.csv), the numbers above with means and standard deviations; "
        "[samples.csv](samples.csv), one row per volume.",
    ]  # fmt: skip


def _table(groups: dict[str, dict[str, Group]], recipe: ComparisonRecipe) -> str:
    rows = []
    for each in QUANTITIES:
        if each.text not in groups:
            continue
        own, cells = groups[each.text], []
        reference = own[REFERENCE]
        for name in recipe.generators:
            apart = difference(own[name], reference)
            cell = f"({_value(own[name])})" if apart is None else f"{apart[0]:+.1f} ± {apart[1]:.1f}"
            cells.append(f"**{cell}**" if _is_matched(name, each.text) else cell)
        rows.append([each.text + (f" / {each.unit}" if each.unit else ""), _value(reference, reference.sd), *cells])
    return markdown(["quantity", REFERENCE, *recipe.generators], rows)


def _about_two_point(groups: dict[str, dict[str, Group]], recipe: ComparisonRecipe, lags: int) -> str:
    own = groups[_TWO_POINT]
    rows = [[name, _value(own[name], own[name].error), "yes" if _is_matched(name, _TWO_POINT) else "no"]
            for name in recipe.names]  # fmt: skip
    return (
        "Error of the two-point coverage of a volume: root mean square of its difference to theory, over lags up to "
        f"{lags} voxels; mean over volumes and standard error. That of the reference is its scatter.\n\n"
        + markdown(["generator", "error", "matched"], rows)
    )


def _value(group: Group, spread: float | None = None) -> str:
    if not group.count:
        return "none"
    return f"{group.mean:.4g}" + ("" if spread is None else f" ± {spread:.2g}")


def _failures(
    groups: dict[str, dict[str, Group]], recipe: ComparisonRecipe, bundle: Bundle, bundles: dict[str, Bundle]
) -> list[str]:  # fmt: skip
    """Return which generators missed the volume fraction that they were matched on; none if all met it."""
    by_theory, said = theory.volume_fractions(bundle.cba())["solid"], []
    for name in recipe.generators:
        is_image = isinstance(bundles[name].parameters, PatternsParameters)
        wanted = float(bundles[name].arrays["image"].mean()) if is_image else by_theory
        own = groups["V, solid"][name]
        off = abs(own.mean - wanted)
        if own.error is not None and off > max(_MISSED, _SURE * own.error):
            said.append(f"{name} has a volume fraction of {own.mean:.4g} ± {own.error:.1g} instead of {wanted:.4g}")
    return [f"**Not met.** {'; '.join(said)}."] if said else []


def _about_voxels(recipe: ComparisonRecipe, bundles: dict[str, Bundle]) -> list[str]:
    """Return a warning if bodies have few voxels."""
    radii = {name: own.parameters.radius_mean_nm / recipe.volume.voxel_size_nm for name, own in bundles.items()
             if isinstance(own.parameters, RadiusParameters)}  # fmt: skip
    coarse = [f"{name} {radius:.2g}" for name, radius in radii.items() if radius < _COARSE]
    if not coarse:
        return []
    return [
        f"**Coarse voxels.** Radii in voxels: {', '.join(coarse)}. Bodies of fewer than {_COARSE:g} voxels lose "
        "surface and necks on the grid, so S is matched in theory and differs as measured; compare at smaller voxels "
        "to tell shape from resolution."
    ]
