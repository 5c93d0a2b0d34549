"""The report of a calibration of shells: whether to trust it at a glance, then every stage."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.shell.results import read_calibrated
from nmcdist.extras import need
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.shell_calibration import figures
from nmcdist.report.tables import markdown, write_csv

_AIMS = {"share_over_08": 0.85, "count": 0.05, "split": 0.08, "merged": 0.08}

_CAPTIONS = {
    "regions.png": "The middle slice: image, basins of the watershed, and regions after merging. Black lines enclose "
    "the particles that were fitted; others are cut by the border, or too small.",
    "packing.png": "The middle slice of the packing: known star shapes in the places of the particles, and the "
    "regions that the same separation finds in it.",
    "neck-ratio.png": "(a) Neck ratios of neighbouring basins. (b, c) Separations of the packing with each ratio, "
    "against the known particles.",
    "harmonics.png": "(a) Spread of the coefficients by degree. Degrees below twice the noise of the voxels are not "
    "in the law. (b) What separation, contacts and voxels change, measured on the packing, and on a second one that "
    "did not give the correction: where both differ, so may the truth.",
    "laws.png": "The coefficients of each degree with the fitted densities, before the correction (the paper's Figure "
    "4). Particles are weighted for those that the border cuts.",
    "dependence.png": "(a) Empirical distance correlation of size and form (the paper's Figure 3a). (b) Its mean over "
    "m, beside the value for shuffled sizes, which is not 0 in a finite sample, and rank correlations. (c) Form "
    "against size. The model takes them as independent.",
    "forms.png": "Measured shells and shells drawn from the fitted bundle (the paper's Figure 10a). The drawn "
    "coefficients are divided by the correction, so that both are seen as the fit sees them.",
}


def report_shell_calibration(folder: Path, out: Path) -> Path:
    """Write the report of a calibration.

    Parameters
    ----------
    folder : Path
        Result folder of :func:`nmcdist.calibration.shell.calibrate.calibrate_shells`.
    out : Path
        Folder for figures (PNG, SVG), tables (CSV) and the page.

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
    numbers, shown = read_calibrated(folder)
    make_folder(out)
    write_csv(out / "laws.csv", *_laws(numbers))
    pictures = [figures.regions(shown, out / "regions.png")]
    if numbers["separation"] is not None:
        pictures += [figures.choice(numbers, shown, out / "neck-ratio.png"),
                     figures.packing(shown, out / "packing.png")]  # fmt: skip
    pictures += [
        figures.harmonics(numbers, out / "harmonics.png"), figures.laws(numbers, shown, out / "laws.png"),
        figures.dependence(numbers, shown, out / "dependence.png"), figures.forms(numbers, shown, out / "forms.png"),
    ]  # fmt: skip
    return write_page(out, list(_text(numbers)), pictures, _CAPTIONS)


def headline(folder: Path) -> str:
    """Return the verdict on the calibration in a folder, in one line; StoreError if its results cannot be read."""
    return _headline(read_calibrated(Path(folder))[0])


def _headline(numbers: Mapping[str, Any]) -> str:
    particles = f"{numbers['particles']['count']} particles, {numbers['resolved']}"
    missed = [*_missed(numbers), *numbers["warnings"]]
    return f"{particles}; " + (f"beware: {'; '.join(missed)}" if missed else "every aim is met")


def _missed(numbers: Mapping[str, Any]) -> Iterator[str]:
    """Yield the aims that the calibration misses: of the separation, and of the drawn shells."""
    if numbers["separation"] is not None:
        score = _score(numbers)
        if score["share_over_08"] < _AIMS["share_over_08"]:
            yield f"IoU is above 0.8 for {score['share_over_08']:.0%} of the known particles (aim 85 %)"
        count = abs(score["found"] / score["true"] - 1)
        if count > _AIMS["count"]:
            yield f"the count of particles is off by {count:.0%} (aim 5 %)"
        for name in ("split", "merged"):
            if score[name] > _AIMS[name]:
                yield f"{score[name]:.0%} of the particles are {name} (aim 8 %)"
    checked = numbers["validation"]
    far = [name for name, ks in checked["ks"].items() if ks > checked["critical_ks"]]
    if far:
        yield (
            f"drawn and measured shells differ in {', '.join(far)} by more than chance "
            f"(KS above {checked['critical_ks']:.3f})"
        )


def _score(numbers: Mapping[str, Any]) -> Mapping[str, Any]:
    separation = numbers["separation"]
    return next(one for one in separation["rounds"][-1]["scores"] if one["ratio"] == separation["ratio"])


def _found_by(image: Mapping[str, Any]) -> str:
    digest = image.get("segmenter")
    return "" if digest is None else f", which a segmenter (sha256 {digest[:16]}) found"


def _text(numbers: Mapping[str, Any]) -> Iterator[str]:
    image, particles = numbers["image"], numbers["particles"]
    size = " x ".join(f"{length:g}" for length in image["voxel_size_nm"])
    yield f"# Outer shells of {Path(image['path']).name}"
    yield f"**{_headline(numbers)}**"
    yield (
        f"Image of {' x '.join(map(str, image['shape']))} voxels of {size} nm; {image['phase_share']:.1%} are "
        f"particles{_found_by(image)}. Bundle `{numbers['bundle']['name']}`, sha256 `{numbers['bundle']['sha256']}`, "
        f"with the grains of `{numbers['bundle']['base']}`, which this image does not show. The law is that of this "
        "image's particles."
    )
    yield from _separation(numbers)
    share = particles["visible_share"]
    between = particles["contact_share_of_faces_in_packing"]
    packed = "" if between is None else f" ({between:.1%} in the packing)"
    diameters = ", ".join(f"{value:.3g} ({name})" for name, value in particles["diameter_um"].items())
    yield (
        f"## Particles\n\nDiameters of balls of the same volume / µm: {diameters}. The star point sees "
        f"{share['mean']:.2%} of a particle's voxels (5 % of the particles: below {share['5%']:.2%}). "
        f"{particles['contact_share_of_faces']:.1%} of the faces{packed} and "
        f"{particles['contact_share_of_directions']:.1%} of the directions are contacts with other particles, where "
        f"the watershed drew a plane; they are {'left out of' if numbers['settings']['contacts'] == 'mask' else 'in'} "
        f"the fits. The fits miss the radii by {particles['residual_voxels']:.2f} voxels (rms)."
    )
    yield "## Laws\n\nStandard errors are those of scores summed over particles, which need not be independent inside."
    yield markdown(*_laws(numbers))
    yield (
        "*Gain of the ratio* is the difference of Akaike's criteria of a law of a_lm and of one of a_lm / a_00: "
        "positive if the ratio describes the particles better. The model of the bundle has the law of a_lm."
    )
    yield markdown(
        ["law of a_00", "parameters / nm", "AIC above the best"],
        ([law["family"], _values(law), f"{law['aic'] - numbers['size']['laws'][0]['aic']:.1f}"]
         for law in numbers["size"]["laws"]),
    )  # fmt: skip
    checked = numbers["validation"]
    yield (
        f"## Drawn against measured shells\n\n{checked['drawn']} drawn shells ({checked['rejections']} rejected on "
        f"the way). KS above {checked['critical_ks']:.3f} is more than chance (5 %). "
        "The last column shuffles each measured coefficient among the particles: that distance is the price of "
        "independent coefficients, and no choice of laws removes it."
    )
    yield markdown(
        ["descriptor", "KS", "KS of drawn shells without the view of the fit", "KS of shuffled coefficients"],
        (
            [name, f"{ks:.3f}", f"{checked['ks_uncorrected'][name]:.3f}", f"{checked['ks_independent'][name]:.3f}"]
            for name, ks in checked["ks"].items()
        ),
    )
    cost = ", ".join(f"{name.removesuffix('_cpu_s').replace('_', ' ')} {value:.1f}"
                     for name, value in numbers["cost"].items())  # fmt: skip
    yield f"CPU seconds: {cost}."


def _separation(numbers: Mapping[str, Any]) -> Iterator[str]:
    separation = numbers["separation"]
    if separation is None:
        yield "The image has labels; nothing was separated, and the law is not corrected."
        return
    rule = "the paper's rule" if separation["ratio"] is None else f"neck ratio {separation['ratio']:g}"
    tied = ", ".join("the paper's rule" if ratio is None else f"{ratio:g}" for ratio in separation["tied"])
    rounds = len(separation["rounds"])
    yield (
        f"## Separation\n\n{separation['basins']} basins, merged by {rule} to {separation['regions']} regions. Known "
        "shapes were put in the places of the particles and separated again "
        f"({rounds} round{'s' * (rounds > 1)}). The packing does not tell these rules apart (mean IoU within a "
        f"standard error): {tied}."
    )
    header = ["rule", "known", "found", "mean IoU", "IoU > 0.8", "split", "merged"]
    yield markdown(header, (
        ["paper" if one["ratio"] is None else f"{one['ratio']:g}", f"{one['true']}", f"{one['found']}",
         f"{one['mean_iou']:.3f} ± {one['error_iou']:.3f}", f"{one['share_over_08']:.1%}", f"{one['split']:.1%}",
         f"{one['merged']:.1%}"]
        for one in separation["rounds"][-1]["scores"]
    ))  # fmt: skip


def _laws(numbers: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    header = ["l", "rms / voxels", "correction", "in the law", "family", "parameters / nm", "AIC above the other",
              "gain of the ratio", "Spearman", "EDCC", "EDCC shuffled"]  # fmt: skip
    rows = []
    for one in numbers["degrees"]:
        laws = one["laws"]
        other = f"{laws[0]['aic'] - laws[1]['aic']:.0f}" if len(laws) > 1 else "the normal law is the limit"
        rows.append([
            f"{one['degree']}", f"{one['rms_voxels']:.3f}", f"{one['factor']:.3f} ± {one['factor_error']:.3f}",
            "yes" if one["is_resolved"] else "no", laws[0]["family"], _values(laws[0]), other,
            f"{one['ratio_gain']:.0f}", f"{one['spearman']:.2f}", f"{one['distance_correlation']:.3f}",
            f"{one['distance_correlation_shuffled']:.3f}",
        ])  # fmt: skip
    return header, rows


def _values(law: Mapping[str, Any]) -> str:
    """Return the parameters of a law with their standard errors."""
    parts = []
    for name, value in law["values"].items():
        error = law["errors"][name]
        digits = 0 if error is None or not error else max(0, 1 - int(np.floor(np.log10(error))))
        said = "not identified" if error is None else f"± {error:.{digits}f}"
        parts.append(f"{name} {value:.{digits}f} {said}" if error is not None else f"{name} {value:.4g} {said}")
    return ", ".join(parts)
