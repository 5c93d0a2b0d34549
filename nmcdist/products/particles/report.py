"""The report of a collection of particles: figures, tables, and the page that shows them."""

from pathlib import Path

import numpy as np

from nmcdist.datasets.particles import read_orientations, read_particle
from nmcdist.products.particles.recipe import ParticleRecipe
from nmcdist.report import particle_figures as figures
from nmcdist.report import particle_tables as tables
from nmcdist.report.collection import Collection, Column
from nmcdist.report.distributions import Quantum, on_values
from nmcdist.report.gallery import gallery
from nmcdist.report.intervals import FEWEST, PERCENT
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.pole_figure import orientation_maps
from nmcdist.report.survey import Survey, items_of_sizes, survey
from nmcdist.report.tables import markdown

_SHOWN = (0.1, 0.3, 0.5, 0.7, 0.85)  # quantiles of d_max of the particles in the gallery
_FEW = 3  # voxels or pixels; up to this number, few elongations are possible


def report_particles(store: Path, recipe: ParticleRecipe, folder: Path) -> Path:
    """Write the report of a store of particles; see :func:`nmcdist.products.stores.build_report`.

    The store contains the statistics of all grains, so at most one block of particles is in memory at a time, and the
    grains of one drawn particle.
    """
    collection = Collection.of(store, recipe.name, recipe.descriptors)
    make_folder(folder)
    seen = survey(collection, folder / "particles.csv")
    tables.write_statistics(collection, folder / "statistics.csv")
    tables.write_profiles(collection, folder / "profiles.csv")
    made = [*_gallery(collection, seen, folder), *_figures(collection, seen, folder)]
    return write_page(folder, _text(recipe, collection, seen), made, _captions(collection))


_GALLERY = """Particles at five quantiles of the largest diameter (fewer in a small dataset), at one scale. Top: the \
octant towards the viewer is cut away; separate pieces of grains are shown. Bottom: the section through the centre, \
normal to z; grains that point to the centre are dark, tangential grains light, and grains without an orientation \
pale grey."""

_ORIENTATIONS = """Crystal orientations in the sections through the centre, normal to z: the colour gives the crystal \
direction that points along z, by the key of the inverse pole figure of hexagonal crystals (Laue class 6/mmm). Grains \
with the c axis along z are red. The crystals are trigonal (Laue class -3m), but a key of that class has colours that \
jump where the c axis lies in the section; with this one, grains that differ by a turn of 60 degrees about c have the \
same colour."""

_SHELLS = """Outer shells (the paper's Figure 10a, which prints histograms but no numbers). The paper's formula of the \
aspect ratio is illegible in print; the one used here is assumed."""

_SIZES = """Sizes by number and by volume. Lines: the law of Z00 in the bundle, with the volumes of balls, before \
shells are rejected that are too small or lack a positive radius."""

_GRAINS = """Grains in space, over all particles. Left: distributions. Right: mean by distance from the centre, and \
the standard deviation of the grains at that distance, which is not an error of the mean. Elongation is 1 - second / \
longest axis. Dotted: no preferred direction, and the mean number of neighbours in the infinite tessellation with D \
the identity and r constant; grains at the surface have neighbours on one side only. (a) Bins are even on a \
logarithmic scale and end half-way between two sizes that grains can have, so their widths differ."""


def _captions(collection: Collection) -> dict[str, str]:
    captions = {
        "gallery.png": _GALLERY,
        "orientations.png": _ORIENTATIONS,
        "shells.png": _SHELLS,
        "sizes.png": _SIZES,
        "grains.png": _about_grains(collection),
    }
    if collection.is_measured:
        captions |= {"sections.png": _about_sections(collection), "cut-heights.png": _about_heights(collection)}
    return captions


def _about_grains(collection: Collection) -> str:
    """Explain the spikes of small grains, with the share of such grains."""
    if not collection.is_measured:
        return _GRAINS
    few = _share_below(collection.column("grain", "volume_nm3"), collection.grain_quantum_nm3, _FEW)
    if not few:
        return _GRAINS
    return (
        f"{_GRAINS} (b) The {few:.2g} % of the grains with three voxels or fewer can show as spikes, having "
        "few values: 0 for one voxel, 0.5 for two in a row, 0.67 for three in a row and 0.32 for three around a corner."
    )


def _share_below(column: Column, unit: float, most: int) -> float:
    """Return the percentage of a column's values that are at most a few units."""
    edges, counts = on_values(column.histogram, Quantum.multiples(unit))
    return float(100 * counts[edges[1:] < (most + 0.6) * unit].sum() / max(column.histogram.total, 1))


def _about_sections(collection: Collection) -> str:
    """Explain the spikes of small sections, with the share of such sections."""
    area = collection.column("section", "area_nm2", int(np.argmin(collection.cut_heights)))
    small, few = (_share_below(area, collection.pixel_nm**2, most) for most in (figures.FEWEST_PIXELS - 1, _FEW))
    return (
        "Grains in the planar section nearest to the centre of each particle (the paper's Figure 10b, which prints "
        "histograms but no numbers). The paper's formula of the elongation is illegible; the one used here is assumed. "
        f"(a) leaves out the {small:.1f} % of the sections with fewer than {figures.FEWEST_PIXELS} pixels, whose "
        f"possible sizes lie far apart. (b) The {few:.1f} % of three pixels or fewer show as spikes, since they can "
        "have few values: 0 for one pixel and for squares, 0.5 for two pixels in a row, 0.67 for three. (c), (d) Bins "
        "stand out where a few pixels allow only a few angles or lengths."
    )


def _about_heights(collection: Collection) -> str:
    """Describe how the mean orientation changes with the height of the cut."""
    heights = np.array(collection.cut_heights)
    means = [collection.mean("section", "angle_to_radius", cut).value for cut in range(len(heights))]
    said = "Orientation in planar sections, by the distance of the plane from the centre (the paper's Figure 11)."
    known = np.isfinite(means)
    if known.sum() > 1:
        first, last = np.flatnonzero(known)[[heights[known].argmin(), heights[known].argmax()]]
        said += (
            f" The mean is {means[first]:.3f} rad at {heights[first]:g} of the mean radius and {means[last]:.3f} rad "
            f"at {heights[last]:g}; without a preferred direction it is π/4 = {np.pi / 4:.3f} rad."
        )
    return said


def _gallery(collection: Collection, seen: Survey, folder: Path) -> list[Path]:
    items = items_of_sizes(collection, _SHOWN, seen.histograms["d_max_nm"])
    if not items:
        return []
    particles = [read_particle(collection.store, item) for item in items]
    made = [gallery(collection.name, particles, folder / "gallery.png")]
    if orientations := [turns for item in items if (turns := read_orientations(collection.store, item))]:
        made.append(orientation_maps(collection.name, particles, orientations, folder / "orientations.png"))
    return made


def _figures(collection: Collection, seen: Survey, folder: Path) -> list[Path]:
    made = [
        figures.shells(collection, seen, folder / "shells.png"),
        figures.sizes(collection, seen, folder / "sizes.png"),
    ]
    if collection.is_measured:
        made.append(figures.sections(collection, folder / "sections.png"))
        made.append(figures.cut_heights(collection, folder / "cut-heights.png"))
    return [*made, figures.grains(collection, folder / "grains.png")]


def _text(recipe: ParticleRecipe, collection: Collection, seen: Survey) -> list[str]:
    return [
        f"# {recipe.title}",
        f"Dataset `{recipe.name}` {recipe.version}: {collection.count} particles, bundle `{recipe.bundle}`, "
        f"seed {recipe.seed}. {_how(collection, seen)}",
        _origin(collection),
        "## The run",
        markdown(tables.RUN_HEADER, tables.run_rows(collection, seen)),
        f"Intervals of medians: {PERCENT}, from the ranks of the particles, valid for any distribution; none below 6 "
        "particles.",
        "## Means over grains",
        markdown(tables.MEAN_HEADER, tables.mean_rows(collection)),
        _about_means(collection, seen),
        "Tables: [particles.csv](particles.csv), one row per particle; [statistics.csv](statistics.csv), one row per "
        "column of all particles, grains and sections, with the bins that contain the quantiles; "
        "[profiles.csv](profiles.csv), the same by distance from the centre.",
    ]


def _how(collection: Collection, seen: Survey) -> str:
    """Describe the measurement of grains, and the treatment of grains in several pieces."""
    measured = collection.measured
    if measured is None:
        return "Grains were not measured: their sizes and positions come from the lattice that decides which are kept."
    said = (
        f"Grains were measured on voxels of {measured.voxel_size_nm:g} nm, sections on pixels of "
        f"{measured.pixel_size_nm:g} nm, where grains in several pieces stay as they are."
    )
    grains, split = seen.totals.get("grains", 0), seen.totals.get("grains_with_pieces", 0)
    if not grains:
        return said
    volume = collection.column("grain", "volume_nm3").moments
    voxels = volume["count"] * volume["mean"] / measured.voxel_size_nm**3
    return (
        f"{said} On these voxels {split} of {grains} grains ({100 * split / grains:.1f} %) fell into several pieces; "
        f"before measuring, all but the largest piece went to a neighbour, "
        f"{100 * seen.totals['voxels_merged'] / voxels:.2f} % of the voxels, so that each measured grain is one piece."
    )


def _origin(collection: Collection) -> str:
    """Describe the origin of the bundle's values."""
    bundle, kinds = collection.bundle, dict[str, list[str]]()
    for name, record in bundle.values.items():
        kinds.setdefault(record.provenance, []).append(f"`{name}`")
    said = [f"{kind}: {', '.join(names)}" for kind, names in sorted(kinds.items())]
    arrays = {record.provenance for record in bundle.array_records.values()}
    if arrays:
        said.append(f"weights of the net: {', '.join(sorted(arrays))}")
    text = (
        f"The bundle: {bundle.title}. Calibrated on: {bundle.calibration.data}. Method: {bundle.calibration.method}. "
        f"Values by source: {'; '.join(said)}."
    )
    if "assumed" in kinds:
        text += " Results that depend on assumed values are a choice, not a result of the paper."
    return text


def _about_means(collection: Collection, seen: Survey) -> str:
    """Describe the intervals, and the weight of a single particle."""
    grains = seen.totals["kept_grains"]
    batches = len(next(iter(collection.by_batch.values()), ()))
    said = [
        f"Intervals: {PERCENT}, by leaving out one batch at a time (Student's t, n = {batches} batches), since grains "
        "of one particle are not independent."
        if batches >= FEWEST
        else f"No intervals: grains of one particle are not independent, and the dataset has "
        f"{batches} {'batch' if batches == 1 else 'batches'} of particles; at least {FEWEST} are needed.",
    ]
    if grains:
        said.append(
            f"Each grain has the same weight: one particle alone holds {100 * seen.most_grains / grains:.0f} % of all "
            "grains."
        )
    return " ".join(said)
