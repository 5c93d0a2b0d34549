"""The report of a calibration of grains: sections side by side, distances from the truth, and the cost."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nmcdist.calibration.grains.results import NUMBERS, Count, DistanceRow, Results, SectionNames, read_results
from nmcdist.calibration.grains.shown import SECTIONS, ShownSections
from nmcdist.extras import need
from nmcdist.report.grain_calibration import figures
from nmcdist.report.grain_calibration.verdict import baseline_name, descriptor_name, judge, verdict_text
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.tables import markdown, write_csv


def report_grain_calibration(folder: Path, out: Path) -> Path:
    """Write the report of a calibration.

    Parameters
    ----------
    folder : Path
        Result folder of :func:`nmcdist.calibration.grains.calibrate.calibrate_grains`.
    out : Path
        Folder for figures (PNG), tables (CSV) and the page.

    Returns
    -------
    Path
        The page ``report.md``.

    Raises
    ------
    StoreError
        If the folder lacks a file, or one is damaged.
    InputError
        If the folder of the report cannot be made.
    MissingPackageError
        If the packages that draw the figures are not installed.
    """
    need("report", "a report")
    folder, out = Path(folder), Path(out)
    results = read_results(folder / NUMBERS)
    shown = ShownSections.read(folder / SECTIONS, results.sections)
    make_folder(out)
    write_csv(out / "distances.csv", *_distances(results.distances))
    return write_page(out, list(_text(results, shown)), _figures(results, shown, out), _captions(results))


def headline(folder: Path) -> str:
    """Return the verdict on the calibration in a folder, in one line; StoreError if its results cannot be read."""
    return judge(read_results(Path(folder) / NUMBERS)).headline


def _figures(results: Results, shown: ShownSections, out: Path) -> list[Path]:
    ks = {row.descriptor: (row.ks, row.floor_ks) for row in results.rows("2D")}
    epochs, target = results.training, results.visible_per_pixel
    return [
        figures.sections(shown.measured, shown.generated, out / "sections.png"),
        figures.descriptors(shown.measured, shown.generated, ks, out / "descriptors.png"),
        figures.orientations(shown.kept, shown.dropped, shown.generated, out / "orientations.png"),
        figures.intensity(results.laws, results.chosen.law, out / "intensity.png"),
        figures.training(epochs, results.best.epoch, target, shown.pixel_size_nm, out / "training.png"),
    ]  # fmt: skip


def _captions(results: Results) -> dict[str, str]:
    training = " and of its rival, the discriminator" if results.recipe.method == "adversarial" else ""
    return {
        "sections.png": f"Sections of measured particles ({results.compared_with}; missing pixels filled from the fit) "
        "and newly drawn grains whose centres lie in the same outlines, at one scale. Grains that point to the "
        "centre are dark, tangential grains light, and grains without an orientation grey.",
        "descriptors.png": "Grains in sections (the paper's Figure 10b): one generated section for each measured one. "
        "The Kolmogorov-Smirnov distances are those of the table, for which more sections were generated. The "
        "paper's formula of the elongation is illegible; the one used here is assumed.",
        "orientations.png": "Orientation of the grains in each section (the paper's Figure 2d), by a kernel "
        "reflected at both ends. Measured: the training sections; dropped: sections that seem not to pass through the "
        "centre.",
        "intensity.png": "The fitted laws of the intensity: grains per area of generated sections over those of the "
        "training sections, by distance from the centre, with simultaneous 95 % intervals (none for two sections or "
        "fewer); and the seeds per volume.",
        "training.png": f"The training by epoch: the loss of the generator{training}; visible grains per square "
        "micrometre of generated and of measured windows; the intensity of the seeds, which follows them; and the "
        "distances of the assessed states on the training sections, of which the best was chosen.",
    }


def _text(results: Results, shown: ShownSections) -> Iterator[str]:
    recipe, names = results.recipe, results.sections
    yield f"# {recipe.title}"
    yield (
        f"Recipe `{recipe.name}` {recipe.version}, seed {recipe.seed}: "
        f"{'energy distances' if recipe.method == 'energy' else 'a discriminator'} of windows of {recipe.window} "
        f"pixels, {len(results.training)} epochs of {recipe.steps} steps; the state after epoch {results.best.epoch} "
        f"was chosen (mean distance {results.best.mean_ks:.3f}). Bundle `{results.bundle.name}`, sha256 "
        f"`{results.bundle.sha256}`, {1e9 * results.intensity_per_nm3:.3g} seeds per cubic micrometre."
    )
    yield from verdict_text(judge(results))
    yield "## Data and intensity"
    yield f"Trained on {len(names.kept)} sections with pixels of {shown.pixel_size_nm:g} nm. {_dropped(names)}"
    yield from _laws(results)
    yield f"## Distances in sections\n\n{_compared(results)}"
    yield from _tables(results.rows("2D"))
    yield from _by_distance(results.counts.two, "area", "measured ones")
    if results.rows("3D"):
        yield (
            "## Grains in space\n\nGrains of whole particles of the model, against those of the phantom "
            f"`{results.truth}`, of which the model saw only sections."
        )
        yield from _tables(results.rows("3D"))
        yield from _by_distance(results.counts.three, "volume", "true ones")
    yield from _repeats(results)
    yield "All distances: [distances.csv](distances.csv), one row per descriptor."
    yield (
        "## Fits\n\nTessellations fitted to the training sections: "
        f"{results.fits.matched:.2%} of the pixels matched on average."
    )
    yield markdown(
        ["section", "grains", "pixels", "matched", "boundary distance / nm", "area error", "grains lost"],
        ([_escaped(f.name), f"{f.grains}", f"{f.pixels}", f"{f.matched:.2%}", f"{f.boundary_distance_nm:.3g}",
          f"{f.area_error:.2%}", f"{f.lost_grains}"] for f in results.fits.sections),
    )  # fmt: skip
    yield "## Cost"
    cost = results.cost
    yield markdown(
        ["what", f"on {cost.device} ({cost.machine})"],
        [
            ["steps per second", f"{cost.steps_per_s:.3g}"],
            ["fits / s", f"{cost.fit_s:.3g}"],
            ["training, with assessments / s", f"{cost.train_s:.4g}"],
            ["baselines and distances / s", f"{cost.compare_s:.4g}"],
        ],
    )


def _dropped(names: SectionNames) -> str:
    if not names.dropped:
        return "None was dropped for not going through the centre."
    return f"Dropped for not going through the centre: {', '.join(f'`{name}`' for name in names.dropped)}."


def _compared(results: Results) -> str:
    names = results.sections
    if names.held_out:
        with_ = f"{len(names.held_out)} held-out sections"
    else:
        with_ = f"the {len(names.kept)} sections that it was trained on, so the distances are optimistic"
    of = "the truth" if results.truth else "the model, since the truth is unknown"
    return (
        f"The model is compared with {with_}. KS is the largest difference of the distribution functions "
        "(Kolmogorov-Smirnov), W1 the area between them (1-Wasserstein) in standard deviations of the measured values. "
        "± is half the width of its 95 % interval: a jackknife over sections (in space: particles), Student's t with "
        "one degree of freedom less than their number; none for two or fewer. "
        f"The noise floor is the mean distance between independent draws of {of}. The baselines know only the sizes "
        "of the grains in the same sections; *times* is their W1 over the model's."
    )


def _tables(rows: Sequence[DistanceRow]) -> Iterator[str]:
    """Yield the tables of distances, over all grains and within bins of radius."""
    if not rows:
        return
    yield _table(rows, "")
    radial = [row for row in rows if row.profile_ks is not None]
    if radial:
        yield "Against the distance from the centre: means of the same distances within five bins of it."
        yield _table(radial, "profile_")


def _laws(results: Results) -> Iterator[str]:
    """Yield the fitted laws of the seeds' intensity, the quality of their fits, and the choice."""
    yield (
        f"{results.chosen.why} A constant intensity of the seeds is the paper's law; an intensity that depends on the "
        "distance from the centre is linear between knots, each of which follows the visible grains near it (Eq. 13)."
    )
    rows = []
    for law in results.laws:
        knots = zip(law.knots_nm, law.per_nm3, strict=True)
        several = len(law.knots_nm) > 1
        seeds = ", ".join(f"{1e9 * v:.3g}" + (f" at {k / 1000:.2g} µm" if several else "") for k, v in knots)
        taken = "yes" if law.law == results.chosen.law else ""
        worst = max((abs(row.ratio - 1) for row in law.counts if row.ratio is not None), default=None)
        rows.append([law.law, taken, seeds, _rounded(law.mean_ks, 3), _rounded(worst, 2)])
    header = ["intensity", "chosen", "seeds per µm³", "mean KS in sections", "worst difference of grains per area"]
    yield markdown(header, rows)
    if results.chosen.criteria:
        listed = ", ".join(f"{value:.1f}" for value in results.chosen.criteria)
        yield f"Misfit of 1, 2, ... knots to the visible grains by distance, with the penalty for knots: {listed}."


def _repeats(results: Results) -> Iterator[str]:
    """Yield the differences between trainings with other seeds, if there are any."""
    if not results.repeats:
        return
    trainings = len(results.repeats[0].ks)
    why = "" if trainings > 2 else " Two trainings give no interval."
    yield (
        f"## Trainings with other seeds\n\nKS of {trainings} trainings on the same sections, which differ in their "
        f"random numbers only; ± is half the width of the 95 % interval of the mean (Student's t).{why}"
    )
    places = {"2D": "in sections", "3D": "in space"}
    yield markdown(
        ["descriptor", "where", "mean KS", "±", "lowest", "highest"],
        ([descriptor_name(row.descriptor), places[row.dimension], _rounded(row.mean, 3),
          _rounded(row.error, 3), _rounded(min(row.ks), 3), _rounded(max(row.ks), 3)] for row in results.repeats),
    )  # fmt: skip


def _by_distance(counts: Sequence[Count], per: str, reference: str) -> Iterator[str]:
    if not counts:
        return
    yield f"Grains per {per} by distance from the centre, generated over {reference}."
    yield markdown(
        ["distance / µm", "ratio", "±"],
        ([f"{row.from_nm / 1000:g} to {row.to_nm / 1000:g}", _rounded(row.ratio, 3), _rounded(row.error, 3)]
         for row in counts),
    )  # fmt: skip


def _table(rows: Sequence[DistanceRow], prefix: str) -> str:
    """Return the distances as Markdown: those of all grains or, with the prefix, those within bins of radius."""
    header = ["descriptor", "KS", "±", "noise floor", "W1", "±", "noise floor"]
    for name in rows[0].baselines:
        header += [f"{baseline_name(name)}: KS", "W1", "times"]
    lines = []
    for row in rows:
        ks, w1 = (getattr(row, prefix + name) for name in ("ks", "w1"))
        line = [descriptor_name(row.descriptor)]
        for value, name in ((ks, "ks"), (w1, "w1")):
            others = (getattr(row, f"{of}_{prefix}{name}") for of in ("error", "floor"))
            line += [_rounded(value, 3), *(_rounded(other, 3) for other in others)]
        for other in row.baselines.values():
            further = getattr(other, prefix + "w1")
            times = further / w1 if further is not None and w1 else None
            line += [_rounded(getattr(other, prefix + "ks"), 3), _rounded(further, 3), _rounded(times, 1)]
        lines.append(line)
    return markdown(header, lines)


def _rounded(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _escaped(name: str) -> str:
    return name.replace("|", "\\|")


def _distances(rows: Sequence[DistanceRow]) -> tuple[list[str], list[list[Any]]]:
    """Return header and rows of the table of all distances, as recorded by the calibration."""
    lines = [row.model_dump() for row in rows]
    header = list(dict.fromkeys(key for line in lines for key in line))
    return header, [[line.get(key) for key in header] for line in lines]
