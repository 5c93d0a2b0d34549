"""The report of a sweep of volumes: figures, tables, and the page that shows them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from nmcdist.bundle import Bundle, CbaParameters
from nmcdist.datasets.store import open_store, read_block
from nmcdist.errors import InputError, StoreError
from nmcdist.models import theory
from nmcdist.products.volumes.additive_recipe import AdditiveRecipe
from nmcdist.report import comparison, figures, tables
from nmcdist.report.design import first_fidelity, report_design
from nmcdist.report.effects import about_effects
from nmcdist.report.fidelity import ABOUT, coupled, fidelity_table
from nmcdist.report.fits import LinearFit, PowerLaw, fit_linear, fit_power_law
from nmcdist.report.notes import captions, notes
from nmcdist.report.pages import bundle_of, make_folder, write_page
from nmcdist.report.render import render_volume
from nmcdist.report.resolution import Resolution, resolve
from nmcdist.report.sweep import GRAPHITE, Sweep
from nmcdist.report.window import about_window

_LONGEST_EDGE_NM = 6400.0  # of the box in a resolution study, which takes a minute at 20 nm
_STUDIED = 2  # realisations
_LONGEST_SLICE, _LONGEST_CUBE = 512, 200  # largest numbers of drawn voxels


def report_volumes(
    store: Path, recipe: AdditiveRecipe, folder: Path, voxel_sizes_nm: tuple[float, ...],
    progress: Callable[[str], None],
) -> Path:  # fmt: skip
    """Write the report of a store of volumes; see :func:`nmcdist.products.stores.build_report`."""
    data = open_store(store)
    if "volume_fraction" not in data:
        raise StoreError(f"{store}: holds no descriptors; `nmcdist describe {store}` computes them")
    if voxel_sizes_nm and "m_factor_mean" not in data:
        raise InputError(f"{store}: holds no M-factors, which a resolution study needs")
    bundle = bundle_of(store)
    make_folder(folder)
    small = data.drop_vars("volume", errors="ignore").load()
    if recipe.design is not None:
        if voxel_sizes_nm:
            raise InputError(f"{store}: has a design, which has no resolution study; its recipe takes `fidelities`")
        return report_design(small, recipe.title, _intro(recipe), recipe.varied, folder)
    sweep = _load(first_fidelity(small), bundle, recipe)
    linear, power = _fits(sweep)
    made = _figures(sweep, linear, power, folder)
    if "volume" in data:
        made += _pictures(sweep, store, data["volume"].shape[1:], folder)
    studies = _resolution(sweep, bundle, recipe, voxel_sizes_nm, progress)
    if studies:
        is_published = sweep.calibrated is not None
        made.append(figures.resolution(studies, folder / "resolution.png", is_published=is_published))
        tables.write_resolution(studies, folder / "resolution.csv")
    rows = comparison.comparison(sweep, linear, power)
    comparison.write_comparison(rows, folder / "comparison.csv")
    tables.write_samples(small, folder / "samples.csv")
    tables.write_levels(sweep, folder / "levels.csv")
    tables.write_curves(sweep, folder / "curves.csv")
    said = [*notes(sweep, recipe.volume.shape, linear, power, is_studied=bool(studies)), *about_window(sweep.data)]
    text = [*_text(sweep, recipe, rows, said, studies), *about_effects(sweep.data)]
    if recipe.fidelities:
        text += ["## Voxel sizes", ABOUT, fidelity_table(coupled(small))]
    return write_page(folder, text, made, captions(sweep))


def _load(data: xr.Dataset, bundle: Bundle, recipe: AdditiveRecipe) -> Sweep:
    swept = recipe.swept or GRAPHITE
    coordinate = GRAPHITE if swept == "lambda_X_per_nm3" else swept
    return Sweep(
        data,
        recipe.volume.voxel_size_nm,
        recipe.name,
        _parameters(data, coordinate, bundle, recipe),
        coordinate,
        is_swept=bool(recipe.sweep),
        by_intensity=swept == "lambda_X_per_nm3",
    )


def _parameters(
    data: xr.Dataset, coordinate: str, bundle: Bundle, recipe: AdditiveRecipe
) -> dict[float, CbaParameters]:
    sets = {"lambda_Y_per_nm3"} if "large_pore_fraction" in recipe.sweep else set[str]()
    names = {"lambda_X_per_nm3", *recipe.sweep, *sets} - {GRAPHITE, "large_pore_fraction"}
    levels, first = np.unique(data[coordinate].values, return_index=True)
    return {
        float(level): bundle.with_parameters(**{name: float(data[name].values[sample]) for name in names}).cba()
        for level, sample in zip(levels, first, strict=True)
    }


def _fits(sweep: Sweep) -> tuple[dict[str, LinearFit | None], PowerLaw | None]:
    if not sweep.has("m_factor_mean"):
        return {}, None
    linear = {}
    if sweep.over_graphite and len(sweep.levels) > 1:
        linear = {phase: fit_linear(sweep.positions, sweep.values("m_factor_mean", phase)) for phase in figures.PHASES}
    names = ("volume_fraction", "constrictivity_mean", "geodesic_tortuosity_mean", "m_factor_mean")
    by_volume = [np.stack([sweep.values(n, phase) for phase in figures.PHASES], axis=1) for n in names]
    return linear, fit_power_law(*by_volume)


def _figures(sweep: Sweep, linear: dict[str, LinearFit | None], power: PowerLaw | None, folder: Path) -> list[Path]:
    made = []
    if sweep.has("constrictivity_mean"):
        made.append(figures.structure_property(sweep, linear, power, folder / "structure-property.png"))
    if sweep.has("pore_size_distribution"):
        made.append(figures.size_distributions(sweep, folder / "size-distributions.png"))
    if sweep.has("two_point_coverage"):
        made.append(figures.coverage(sweep, folder / "coverage.png"))
    return made


def _pictures(sweep: Sweep, store: Path, shape: tuple[int, ...], folder: Path) -> list[Path]:
    nz, ny, nx = shape
    planes = {}
    for level in sweep.levels:
        box = ((nz // 2, nz // 2 + 1), (0, min(ny, _LONGEST_SLICE)), (0, min(nx, _LONGEST_SLICE)))
        planes[float(level)] = read_block(store, int(sweep.samples_at(level)[0]), box)[0]
    made = [figures.slices(sweep, planes, folder / "slices.png")]
    shown = int(sweep.samples_at(sweep.reference)[0])
    cube = tuple((0, min(n, _LONGEST_CUBE)) for n in shape)
    labels = read_block(store, shown, cube)  # type: ignore[arg-type]
    return [*made, render_volume(labels, sweep.voxel_size_nm, folder / "volume.png")]


def _resolution(
    sweep: Sweep,
    bundle: Bundle,
    recipe: AdditiveRecipe,
    voxel_sizes_nm: tuple[float, ...],
    progress: Callable[[str], None],
) -> list[Resolution]:
    level = sweep.reference
    changed = bundle.with_parameters(**sweep.parameters[level].model_dump())
    fraction = theory.graphite_fraction(sweep.parameters[level])
    # All voxel sizes use the same box.
    edges = np.minimum(np.array(recipe.volume.shape) * sweep.voxel_size_nm, _LONGEST_EDGE_NM)
    wanted = [(int(item), size) for size in voxel_sizes_nm for item in sweep.samples_at(level)[:_STUDIED]]
    studies = []
    for number, (item, size) in enumerate(wanted, 1):
        progress(f"resolution study {number} of {len(wanted)}: item {item}, voxels of {size:g} nm")
        studies.append(resolve(changed, fraction, edges, size, recipe.seed, item, recipe.stream_of(item)))
    return sorted(studies, key=lambda s: (s.item, -s.voxel_size_nm))


def _text(
    sweep: Sweep, recipe: AdditiveRecipe, rows: list[comparison.Row], said: list[str], studies: list[Resolution]
) -> list[str]:
    parts = [
        f"# {recipe.title}",
        _intro(recipe),
        "## Theory, this run and the paper" if sweep.is_published else "## Theory and this run",
        comparison.comparison_table(rows),
        *said,
        "Tables: [comparison.csv](comparison.csv), the table above; [samples.csv](samples.csv), one row per volume; "
        "[levels.csv](levels.csv), mean, interval and extremes by level; [curves.csv](curves.csv), the curves of every "
        "level.",
    ]
    if studies:
        parts += ["## M-factor and voxel size", _about_resolution(studies), _resolution_table(studies)]
    return parts


def _intro(recipe: AdditiveRecipe) -> str:
    return (
        f"Dataset `{recipe.name}` {recipe.version}: {comparison.volumes_text(recipe.first_fidelity_samples)} of "
        f"{' x '.join(map(str, recipe.volume.shape))} voxels of {recipe.volume.voxel_size_nm:g} nm, "
        f"bundle `{recipe.bundle}`, seed {recipe.seed}."
    )


def _about_resolution(studies: list[Resolution]) -> str:
    said = (
        "A realisation is one function on space: these are the same structures, sampled at the centres of other "
        "voxels. M-factors are means over the three axes."
    )
    for item in sorted({s.item for s in studies}):
        own = sorted((s for s in studies if s.item == item), key=lambda s: s.voxel_size_nm)
        fine, coarse = own[0], own[-1]
        if fine is not coarse and all(fine.m_factor.values()):
            said += (
                f" Item {item}: at {coarse.voxel_size_nm:g} nm M of the solid is "
                f"{coarse.m_factor['solid'] / fine.m_factor['solid']:.3g} times, that of the pores "
                f"{coarse.m_factor['pore'] / fine.m_factor['pore']:.3g} times its value at {fine.voxel_size_nm:g} nm."
            )
    return said


def _resolution_table(studies: list[Resolution]) -> str:
    rows = [
        [str(s.item), f"{s.voxel_size_nm:g}", f"{s.m_factor['pore']:.4f}", f"{s.m_factor['solid']:.4f}",
         f"{s.effective_conductivity['solid']:.4f}"]
        for s in studies
    ]  # fmt: skip
    return tables.markdown(
        ["item", "voxel / nm", "M pore", "M solid, epsilon / tau_eff", "M solid, sigma_eff / sigma_graphite"], rows
    )
