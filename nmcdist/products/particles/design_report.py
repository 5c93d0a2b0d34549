"""The report of particles at the points of a design: a table and a figure by point."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmcdist.datasets.store import open_store
from nmcdist.products.particles.recipe import ParticleRecipe
from nmcdist.report.collection import Collection
from nmcdist.report.comparison import interval_text
from nmcdist.report.design import means_by_parameter
from nmcdist.report.intervals import PERCENT, Estimate, mean_of, ratio_of
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.survey import survey
from nmcdist.report.tables import markdown, with_unit, write_csv

_SHELLS = {"shell_d_max_nm": "largest diameter in nm", "shell_sphericity": "sphericity"}
_GRAINS = {
    "equivalent_diameter_nm": "grain diameter in nm", "elongation": "elongation", "angle_to_radius": "angle in rad"
}  # fmt: skip


def report_particle_design(store: Path, recipe: ParticleRecipe, folder: Path) -> Path:
    """Write the report of a store whose particles are at the points of a design: means by point, with intervals."""
    collection = Collection.of(store, recipe.name, recipe.descriptors)
    make_folder(folder)
    survey(collection, folder / "particles.csv")
    with open_store(store) as data:
        points = [data[name].values[:: recipe.particles.count] for name in recipe.varied]
        names = [with_unit(name, str(data[name].attrs["units"])) for name in recipe.varied]
    means = {text: _of_particles(collection, recipe, name) for name, text in _SHELLS.items()}
    grains = [name for name in _GRAINS if name in collection.columns("grain")]
    means |= {_GRAINS[name]: _of_grains(collection, recipe, name) for name in grains}
    rows = [
        [str(k), *(f"{values[k]:.6g}" for values in points), *(_shown(mean[k]) for mean in means.values())]
        for k in range(recipe.points)
    ]
    _write_points(folder / "points.csv", names, points, means)
    parts = [
        f"# {recipe.title}",
        f"Dataset `{recipe.name}` {recipe.version}: {recipe.points} points with {recipe.particles.count} particles "
        f"each, bundle `{recipe.bundle}`, seed {recipe.seed}.",
        "## Points",
        markdown(["point", *names, *means], rows),
        f"Means with {PERCENT} intervals: over particles by Student's t; over grains by leaving out one batch at a "
        f"time, since grains of one particle are not independent; none from fewer than three.{_about_sharing(recipe)}",
        "Tables: [points.csv](points.csv), one row per point; [particles.csv](particles.csv), one row per particle.",
    ]
    made = means_by_parameter(dict(zip(names, points, strict=True)), means, folder / "points.png")
    return write_page(folder, parts, [made], {"points.png": f"Means of the points with {PERCENT} intervals."})


def _about_sharing(recipe: ParticleRecipe) -> str:
    if recipe.design is None or not recipe.design.is_coupled:
        return ""
    return " Points share their random numbers, so differences between them are better known than the intervals say."


def _of_particles(collection: Collection, recipe: ParticleRecipe, name: str) -> list[Estimate]:
    values = np.concatenate([block[name] for _, block in collection.blocks([name])])
    return [mean_of(own) for own in values.reshape(recipe.points, -1)]


def _of_grains(collection: Collection, recipe: ParticleRecipe, name: str) -> list[Estimate]:
    batches = collection.by_batch["grain", name].reshape(recipe.points, -1, 2)
    return [ratio_of(own[:, 1], own[:, 0]) for own in batches]


def _shown(mean: Estimate) -> str:
    return f"{mean.value:.4g}" + (f" ({interval_text(mean)})" if mean.bounds else "")


def _write_points(
    path: Path, names: Sequence[str], points: Sequence[np.ndarray], means: dict[str, list[Estimate]]
) -> None:
    header = ["point", *names, *(f"{text}{end}" for text in means for end in ("", ", low", ", high"))]
    rows = (
        [
            k,
            *(f"{values[k]:.10g}" for values in points),
            *(f"{x:.10g}" for mean in means.values() for x in (mean[k].value, *(mean[k].bounds or (np.nan, np.nan)))),
        ]
        for k in range(len(points[0]))
    )
    write_csv(path, header, rows)
