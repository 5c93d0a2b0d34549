"""The report of a collection of particles: figures, tables, and the page that shows them."""

from pathlib import Path

import numpy as np

from nmcdist.datasets.particles import read_particle
from nmcdist.report import particle_figures as figures
from nmcdist.report import particle_tables as tables
from nmcdist.report.collection import Collection
from nmcdist.report.frames import FrameStudy, study_frames
from nmcdist.report.gallery import gallery
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.survey import Survey, items_of_sizes, survey
from nmcdist.report.tables import markdown

_SHOWN = (0.1, 0.3, 0.5, 0.7, 0.85)  # quantiles of d_max whose particles the gallery shows


def report_particles(store: Path, folder: Path) -> Path:
    """Write the report of a store of particles; arguments and errors as in :func:`nmcdist.report.build_report`.

    No more than a block of particles is in memory at a time, and of the grains only those of a particle that is
    drawn: their statistics stand in the store.
    """
    collection = Collection.of(store)
    make_folder(folder)
    seen = survey(collection, folder / "particles.csv")
    tables.write_statistics(collection, folder / "statistics.csv")
    tables.write_profiles(collection, folder / "profiles.csv")
    studies = study_frames()
    tables.write_frames(studies, folder / "frames.csv")
    made = [*_gallery(collection, seen, folder), *_figures(collection, seen, studies, folder)]
    return write_page(folder, _text(collection, seen, studies), made, _CAPTIONS)


_CAPTIONS = {
    "gallery.png": "Particles at five quantiles of the largest diameter, at one scale. Top: the octant towards the "
    "viewer is taken out; separate pieces of grains are shown. Bottom: the section through the centre, normal to z; "
    "grains that point to the centre are dark, grains across it light, and those without an orientation grey.",
    "shells.png": "Outer shells (the paper's Figure 10a). The paper prints histograms but no numbers; of sphericity it "
    "says that its model has none of 0.6 and below. The aspect ratio's form is lost in print; this one is assumed.",
    "sizes.png": "Sizes by number and by volume. Lines: the law of Z00 in the bundle, its volumes those of balls, "
    "before shells are rejected: those too small, and those without a positive radius, most of which are small.",
    "sections.png": "Grains in the planar section nearest to the centre of each particle (the paper's Figure 10b, "
    "which prints histograms but no numbers). The elongation's form is lost in print; this one is assumed. Sections of "
    "a pixel or of a square of pixels have elongation 0.",
    "cut-heights.png": "Orientation of grains in planar sections, by the distance of the plane from the centre (the "
    "paper's Figure 11): preferred near the centre, and fading to uniform away from it.",
    "grains.png": "Grains in space: distributions, and mean and standard deviation by distance from the centre, over "
    "all particles. Grains at the surface have fewer neighbours; 15.54 is the mean of the endless tessellation with "
    "D the identity and r constant.",
    "frames.png": "Visible grains in a plane for 8,000 seeds, r constant. The paper does not say how the planes of its "
    "Figure 6 were set: in the window that its text gives neither radial frames nor a constant frame reproduce "
    "366 : 252 : 212, nor its numbers themselves, so its setting differs from the text. Shown, not tuned.",
}


def _gallery(collection: Collection, seen: Survey, folder: Path) -> list[Path]:
    items = items_of_sizes(collection, _SHOWN, seen.histograms["d_max_nm"])
    if not items:
        return []
    particles = [read_particle(collection.store, item) for item in items]
    return [gallery(collection.recipe["name"], particles, folder / "gallery.png")]


def _figures(collection: Collection, seen: Survey, studies: list[FrameStudy], folder: Path) -> list[Path]:
    made = [
        figures.shells(collection, seen, folder / "shells.png"),
        figures.sizes(collection, seen, folder / "sizes.png"),
    ]
    if collection.is_measured:
        made.append(figures.sections(collection, folder / "sections.png"))
        made.append(figures.cut_heights(collection, folder / "cut-heights.png"))
    made.append(figures.grains(collection, folder / "grains.png"))
    return [*made, figures.frames(studies, folder / "frames.png")]


def _text(collection: Collection, seen: Survey, studies: list[FrameStudy]) -> list[str]:
    recipe, bundle = collection.recipe, collection.bundle
    measured = recipe["descriptors"]
    how = (
        "Grains were not measured: their sizes and places come from the lattice that decides which are kept."
        if measured is None
        else f"Grains were measured on voxels of {measured['voxel_size_nm']:g} nm, sections on pixels of "
        f"{measured['pixel_size_nm']:g} nm, each grain being one piece."
    )
    return [
        f"# {recipe['title']}",
        f"Dataset `{recipe['name']}` {recipe['version']}: {collection.count} particles, bundle `{recipe['bundle']}`, "
        f"seed {recipe['seed']}. {how}",
        f"The bundle: {bundle.title}. Calibrated on: {bundle.calibration.data}.",
        "## The run",
        markdown(["quantity", "this run", "paper"], tables.run_rows(collection, seen)),
        _assumed(collection),
        "Tables: [particles.csv](particles.csv), a row a particle; [statistics.csv](statistics.csv), a row for each "
        "column of all particles, grains and sections, quantiles by bins; [profiles.csv](profiles.csv), the same by "
        "distance from the centre; [frames.csv](frames.csv).",
        "## Visible grains and D",
        markdown(["D", "ours, radial frames", "sd", "ours, constant frame", "sd", "theory, constant frame",
                  "paper, Figure 6"], tables.frame_cells(studies)),
        _frames_note(studies),
    ]  # fmt: skip


def _assumed(collection: Collection) -> str:
    names = [name for name, record in collection.bundle.values.items() if record.provenance == "assumed"]
    if not names:
        return "Every parameter of the bundle is published or calibrated."
    return (
        f"Assumed, not the paper's: {', '.join(f'`{name}`' for name in names)}. What depends on them, the sizes of "
        "shells and grains among it, is a choice and no result of the paper."
    )


def _frames_note(studies: list[FrameStudy]) -> str:
    radial, constant = ([float(np.mean(getattr(s, name))) for s in studies] for name in ("radial", "constant"))
    theory = [s.expected for s in studies]

    def ratios(values: list[float]) -> str:
        return f"{values[0] / values[1]:.2f} : 1 : {values[2] / values[1]:.2f}"

    return (
        f"Ratios to D = (1, 1, 1): {ratios(radial)} with radial frames, {ratios(constant)} with a constant frame, "
        f"{ratios(theory)} by affine theory for a constant frame (3^(1/6) and 3^(-1/6)); the paper's "
        "366 : 252 : 212 is 1.45 : 1 : 0.84. Theory is for a plane without an "
        "edge, in a tessellation without one; in the window no seeds lie beyond the edge."
    )
