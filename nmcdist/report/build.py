"""Build the whole report of a store: figures, tables, and one page that shows them."""

import json
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, CbaParameters
from nmcdist.datasets.store import open_store, read_block
from nmcdist.errors import InputError, StoreError
from nmcdist.models import theory
from nmcdist.report import figures, published, tables
from nmcdist.report.fits import LinearFit, PowerLaw, fit_linear, fit_power_law
from nmcdist.report.render import render_volume
from nmcdist.report.resolution import Resolution, resolve
from nmcdist.report.sweep import Sweep


def build_report(
    store: str | Path,
    out_dir: str | Path | None = None,
    voxel_sizes_nm: tuple[float, ...] = (80.0, 40.0, 20.0),
) -> Path:
    """Write figures (PNG) and tables (CSV, Markdown) of a finished store.

    Parameters
    ----------
    store : str or Path
        A finished store with descriptors.
    out_dir : str or Path, optional
        Folder for the report; default: ``NAME-report`` beside the store.
    voxel_sizes_nm : tuple of float
        Voxel sizes at which the realisations of the level nearest to the calibrated one are drawn again and
        solved, to show what resolution does to the M-factors. Empty: leave that study out.

    Returns
    -------
    Path
        The page ``report.md``.

    Raises
    ------
    StoreError
        If there is no such store, or it holds no descriptors.
    """
    store = Path(store)
    data = open_store(store)
    if "volume_fraction" not in data:
        raise StoreError(f"{store}: holds no descriptors; `nmcdist describe {store}` computes them")
    bundle, recipe = _origin(data.attrs, store)
    folder = Path(out_dir) if out_dir else store.with_name(store.stem + "-report")
    _make(folder)
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
    page = folder / "report.md"
    page.write_text(_page(sweep, recipe, rows, studies, made), encoding="utf-8")
    return page


_CAPTIONS = {
    "structure-property.png": "Morphology and transport against the swept parameter. Bars: minimum and maximum over "
    "realisations. Dotted: theory (a), the paper's linear fit (d); stars: the paper's values.",
    "size-distributions.png": "Continuous size distributions.",
    "coverage.png": "Centred two-point coverage of the solid and of graphite; dotted: closed forms.",
    "slices.png": "A slice through one realisation of every level.",
    "volume.png": "One realisation of the calibrated level; the carbon binder is cut away from one octant.",
    "resolution.png": "M-factors of the same realisations drawn at other voxel sizes, mean over the axes.",
}


def _origin(attrs: dict, store: Path) -> tuple[Bundle, dict]:
    try:
        return Bundle.model_validate(_plain(attrs["bundle"])), _plain(attrs["recipe"])
    except (KeyError, ValueError) as error:
        raise StoreError(f"{store}: its attributes do not say how it was made ({error})") from None


def _plain(value: object) -> dict:
    content = json.loads(value) if isinstance(value, str) else value
    if not isinstance(content, dict):
        raise ValueError(f"found {type(content).__name__}, expected a mapping")
    return {k: v for k, v in content.items() if k != "content_hash"}


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}), expected a folder for the report") from None


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


def _page(sweep: Sweep, recipe: dict, rows, studies: list[Resolution], made: list[Path]) -> str:
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
    for path in made:
        parts += [
            f"## {path.stem.replace('-', ' ').capitalize()}",
            f"![{path.stem}]({path.name})",
            _CAPTIONS[path.name],
        ]
    return "\n\n".join(parts) + "\n"


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
