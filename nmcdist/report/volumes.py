"""The report of a sweep of volumes: figures, tables, and the page that shows them."""

from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, CbaParameters
from nmcdist.datasets.store import open_store, read_block
from nmcdist.errors import StoreError
from nmcdist.models import theory
from nmcdist.report import figures, published, tables
from nmcdist.report.fits import LinearFit, PowerLaw, fit_linear, fit_power_law
from nmcdist.report.pages import make_folder, origin_of, write_page
from nmcdist.report.render import render_volume
from nmcdist.report.resolution import Resolution, resolve
from nmcdist.report.sweep import Sweep


def report_volumes(store: Path, folder: Path, voxel_sizes_nm: tuple[float, ...]) -> Path:
    """Write the report of a store of volumes; arguments and errors as in :func:`nmcdist.report.build_report`."""
    data = open_store(store)
    if "volume_fraction" not in data:
        raise StoreError(f"{store}: holds no descriptors; `nmcdist describe {store}` computes them")
    bundle, recipe = origin_of(store)
    make_folder(folder)
    sweep = _load(data, recipe)
    parameters = _parameters(sweep, bundle, recipe)
    linear, power = _fits(sweep)
    made = _figures(sweep, parameters, linear, power, folder)
    if "volume" in data:
        made += _pictures(sweep, store, data["volume"].shape[1:], folder)
    studies = _resolution(sweep, bundle, recipe, parameters, voxel_sizes_nm)
    if studies:
        made.append(figures.resolution(studies, folder / "resolution.png"))
        tables.write_resolution(studies, folder / "resolution.csv")
    rows = tables.comparison(sweep, parameters, linear, power)
    tables.write_comparison(rows, folder / "comparison.csv")
    tables.write_samples(sweep, folder / "samples.csv")
    tables.write_levels(sweep, folder / "levels.csv")
    return write_page(folder, _text(sweep, recipe, rows, studies), made, _CAPTIONS)


_CAPTIONS = {
    "structure-property.png": "Morphology and transport against the swept parameter. Bars: minimum and maximum over "
    "realisations. Dotted: theory (a), the paper's linear fit (d); stars: the paper's values.",
    "size-distributions.png": "Continuous size distributions.",
    "coverage.png": "Centred two-point coverage of the solid and of graphite; dotted: closed forms.",
    "slices.png": "A slice through one realisation of every level.",
    "volume.png": "One realisation of the calibrated level; the carbon binder is cut away from one octant.",
    "resolution.png": "M-factors of the same realisations drawn at other voxel sizes, mean over the axes.",
}


def _load(data, recipe: dict) -> Sweep:
    swept = next(iter(recipe["sweep"]), "graphite_fraction")
    if swept == "lambda_X_per_nm3":
        swept = "graphite_fraction"
    small = data.drop_vars("volume", errors="ignore").load()
    return Sweep(small, float(recipe["volume"]["voxel_size_nm"]), recipe["name"], swept)


def _parameters(sweep: Sweep, bundle: Bundle, recipe: dict) -> dict[float, CbaParameters]:
    names = {"lambda_X_per_nm3", *recipe["sweep"]} - {"graphite_fraction"}
    return {
        level: bundle.with_parameters(
            **{name: float(sweep.data[name].values[sweep.samples_at(level)[0]]) for name in names}
        ).parameters
        for level in sweep.levels
    }


def _fits(sweep: Sweep) -> tuple[dict[str, LinearFit | None], PowerLaw | None]:
    if not sweep.has("m_factor_mean"):
        return {}, None
    names = ("volume_fraction", "constrictivity_mean", "geodesic_tortuosity_mean", "m_factor_mean")
    both = [np.concatenate([sweep.values(n, phase) for phase in ("solid", "pore")]) for n in names]
    graphite = sweep.data["graphite_fraction"].values
    linear = {phase: fit_linear(graphite, sweep.values("m_factor_mean", phase)) for phase in ("solid", "pore")}
    return linear, fit_power_law(*both)


def _figures(sweep, parameters, linear, power, folder: Path) -> list[Path]:
    made = []
    if sweep.has("constrictivity_mean"):
        # What the carbon binder takes of the space outside graphite does not change along a graphite sweep.
        fractions = theory.volume_fractions(next(iter(parameters.values())))
        outside = fractions["carbon_binder"] / (1 - fractions["graphite"])
        sweep.data.attrs["carbon_binder_outside_graphite"] = outside
        made.append(figures.structure_property(sweep, linear, power, folder / "structure-property.png"))
        made.append(figures.size_distributions(sweep, folder / "size-distributions.png"))
    made.append(figures.coverage(sweep, parameters, folder / "coverage.png"))
    return made


def _pictures(sweep: Sweep, store: Path, shape: tuple[int, ...], folder: Path) -> list[Path]:
    nz, ny, nx = shape
    planes = {}
    for level in sweep.levels:
        box = ((nz // 2, nz // 2 + 1), (0, min(ny, 512)), (0, min(nx, 512)))
        planes[level] = read_block(store, int(sweep.samples_at(level)[0]), box)[0]
    made = [figures.slices(sweep, planes, folder / "slices.png")]
    shown = int(sweep.samples_at(sweep.nearest_level(published.CALIBRATED_GRAPHITE))[0])
    cube = tuple((0, min(n, 200)) for n in shape)
    labels = read_block(store, shown, cube)  # type: ignore[arg-type]
    return [*made, render_volume(labels, sweep.voxel_size_nm, folder / "volume.png")]


def _resolution(sweep, bundle: Bundle, recipe: dict, parameters, voxel_sizes_nm) -> list[Resolution]:
    if not sweep.has("m_factor_mean"):
        return []
    level = sweep.nearest_level(published.CALIBRATED_GRAPHITE)
    changed = bundle.with_parameters(**parameters[level].model_dump())
    fraction = theory.graphite_fraction(parameters[level])
    # The same box for every voxel size, within what a solve at the finest takes in a minute.
    edges = np.minimum(np.array(recipe["volume"]["shape"]) * sweep.voxel_size_nm, 6400.0)
    return [
        resolve(changed, fraction, edges, size, int(recipe["seed"]), int(item))
        for item in sweep.samples_at(level)[:2]
        for size in voxel_sizes_nm
    ]


def _text(sweep: Sweep, recipe: dict, rows, studies: list[Resolution]) -> list[str]:
    header = ["quantity", "theory", "this run (mean ± standard error)", "paper"]
    parts = [
        f"# {recipe['title']}",
        f"Dataset `{recipe['name']}` {recipe['version']}: {sweep.data.sizes['sample']} volumes of "
        f"{' x '.join(map(str, recipe['volume']['shape']))} voxels of {sweep.voxel_size_nm:g} nm, "
        f"bundle `{recipe['bundle']}`, seed {recipe['seed']}.",
        "## Theory, this run and the paper",
        tables.markdown(header, [row.cells for row in rows]),
        _NOTES,
    ]
    if studies:
        parts += ["## M-factor and voxel size", _RESOLUTION_NOTE, _resolution_table(studies)]
    return parts


_NOTES = """The printed model values of K and N (Table 1) are not what Miles' formulas give for the printed \
parameters (Table 2); both are shown. Voxel estimates of surface and curvature lie below theory where the structure \
is finer than the voxels. The M-factor of the solid depends on the voxel size and on the convention: \
epsilon / tau_eff, with tau_eff the mean conductivity of the domain over the effective one, and sigma_eff / \
sigma_graphite are both given. Radii, and with them the constrictivity, come in steps: \
those of the distances between voxel centres. Differences from the paper are shown, not tuned away."""

_RESOLUTION_NOTE = """A realisation is one function on space: these are the same structures, sampled at the centres \
of other voxels. The paper's M-factors are 0.0357 (solid) and 0.2429 (pore)."""


def _resolution_table(studies: list[Resolution]) -> str:
    rows = [
        [str(s.item), f"{s.voxel_size_nm:g}", f"{s.m_factor['pore']:.4f}", f"{s.m_factor['solid']:.4f}",
         f"{s.effective_conductivity['solid']:.4f}"]
        for s in studies
    ]  # fmt: skip
    return tables.markdown(
        ["item", "voxel / nm", "M pore", "M solid, epsilon / tau_eff", "sigma_eff / sigma_graphite"], rows
    )
