"""The page on the labelling of a grey stack: every stage before and after, and how far to trust it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.cba.grey import LABELLING, PICTURES
from nmcdist.calibration.fibsem.stored import FULL
from nmcdist.errors import StoreError
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.style import LABELS, figure, grey_scale, save
from nmcdist.report.tables import markdown

_POOR = 0.9  # out-of-bag agreement below which the page warns


def report_labelling(folder: Path, out: Path) -> Path:
    """Write the page ``labelling.md`` on the stages of a labelled stack.

    Parameters
    ----------
    folder : Path
        Of the calibration.
    out : Path
        Folder for the figures and the page.

    Raises
    ------
    StoreError
        If the results are missing or damaged.
    """
    try:
        facts = json.loads((folder / LABELLING).read_text(encoding="utf-8"))
        with np.load(folder / PICTURES, allow_pickle=False) as found:
            pictures = {name: found[name] for name in found.files}
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder}: holds no labelled stack ({error})") from None
    make_folder(out)
    numbers = sorted({int(name.split("/")[0]) for name in pictures})
    made = [_picture(out / f"slice-{z}.png", pictures, z, facts) for z in numbers]
    captions = {
        path.name: f"Slice {z}: grey values, without ramp and drift, scribbles (or the phases), probability of solid "
        "and of graphite (bright is 1), graphite by the threshold, and the phases that are fitted."
        for path, z in zip(made, numbers, strict=True)
    }
    return write_page(out, list(_text(facts)), made, captions, "labelling.md")


def _text(facts: dict[str, Any]) -> Iterator[str]:
    yield f"# From grey values to phases: {Path(facts['image']).name}"
    ramp, drift = facts["ramp"], facts["drift"]
    yield " ".join(
        [
            "The ramp was not taken out." if ramp is None else _ramp(ramp["loss"], ramp["standard_error"]),
            "The drift was not corrected." if drift is None else _drift(drift),
            f"{facts['factors'][0]} x {facts['factors'][1]} x {facts['factors'][2]} voxels of the stack make one of "
            f"{facts['cubic_nm']:g} nm.",
        ]
    )
    yield from _of_segmenter(facts) if "segmenter" in facts else _of_forests(facts)
    shares = ", ".join(f"{name.replace('_', ' ')} {share:.2%}" for name, share in facts["shares"].items())
    solid, graphite = facts["least_probability_of_solid"], facts["least_probability_of_graphite"]
    yield (
        f"## Phases\n\n{shares}. Voxels are solid from a probability of {solid:.3f}, and graphite from one of "
        f"{graphite:.3f}."
    )


def _of_forests(facts: dict[str, Any]) -> Iterator[str]:
    for title, names, confusion in (
        ("Pore and solid", ("pore", "solid"), facts["confusion_of_phases"]),
        ("Graphite and the rest", ("graphite", "rest"), facts["confusion_of_graphite"]),
    ):
        total = sum(map(sum, confusion))
        right = sum(confusion[k][k] for k in range(len(confusion))) / total
        warning = " **That is low: look at the pictures before you trust the fit.**" if right < _POOR else ""
        yield f"## {title}"
        yield (
            f"Trees that had not seen a labelled pixel vote for its class in {right:.1%} of {total} pixels. This is "
            f"optimistic: the neighbours of a pixel, which look like it, were mostly seen in training.{warning}"
        )
        yield markdown(
            ["true \\ voted", *names], ([name, *map(str, row)] for name, row in zip(names, confusion, strict=True))
        )


def _of_segmenter(facts: dict[str, Any]) -> Iterator[str]:
    yield f"A segmenter (sha256 {facts['segmenter'][:16]}), which saw no label by hand, gave the probabilities."
    yield (
        f"Noise, blur and contrast of the image lie at a distance of {facts['distance']:.1f} from those of its "
        f"training, of which 90 % lie within {facts['distance_limit']:.1f}."
    )
    yield from (f"**Warning: {warning}.**" for warning in facts["warnings"])


def _ramp(loss: float, error: float | None) -> str:
    by = "" if error is None else f" (standard error {error:.1%}, which does not know of solid that fills one side)"
    return f"From the first to the last row, {loss:.1%} of the brightness was lost{by}; it was put back."


def _drift(drift: dict[str, Any]) -> str:
    if drift["given"]:
        return f"The given drift of {drift['rms_px']:.2f} pixels (root mean square) was taken out."
    y, x = drift["shear_px"]
    return (
        f"The estimated drift of {drift['rms_px']:.2f} pixels (root mean square) was taken out; two bands of scales "
        f"differ by {drift['disagreement_px']:.2f}. A shear of {y:+.3f} and {x:+.3f} pixels a slice along y and x, and "
        f"slow wandering of {drift['slow_px']:.2f} pixels, were left in: inclined plates look like both. If they are "
        "drift, give it with `--drift FILE`, from fiducials."
    )


def _picture(path: Path, pictures: dict[str, np.ndarray], z: int, facts: dict[str, Any]) -> Path:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    plane = {name.split("/")[1]: values for name, values in pictures.items() if name.startswith(f"{z}/")}
    nearest = {"interpolation": "nearest"}
    phases: dict[str, Any] = {"cmap": ListedColormap(list(LABELS)), "vmin": -0.5, "vmax": 2.5, **nearest}
    share = {"cmap": "magma", "vmin": 0, "vmax": FULL}
    solid = plane.get("solid-clean", plane["solid"] >= round(FULL * facts["least_probability_of_solid"])) > 0
    likely = plane["graphite-probability"] >= round(FULL * facts["least_probability_of_graphite"])
    by_hand = "scribbles" in plane
    upon = _scribbled(plane["scribbles"], facts) if by_hand else plane["labels"]
    with figure(2, 4, 18, 9.6) as (drawing, axes):
        panels: tuple[tuple[str, np.ndarray, dict[str, Any]], ...] = (
            ("grey", plane["grey"], grey_scale(plane["grey"])),
            ("corrected", plane["corrected"], grey_scale(plane["corrected"])),
            ("scribbles" if by_hand else "phases on it", plane["corrected"], grey_scale(plane["corrected"])),
            ("probability of solid", plane["solid"], share),
            ("solid", solid, {"cmap": "gray", **nearest}),
            ("probability of graphite", plane["graphite-probability"], share),
            ("graphite by the threshold", np.where(solid, np.where(likely, 2, 1), 0), phases),
            ("phases", plane["labels"], phases),
        )
        for axis, (title, values, how) in zip(axes.flat, panels, strict=True):
            axis.set_title(title, loc="left")
            axis.set_axis_off()
            axis.imshow(values, **how)
        rows, columns = plane["corrected"].shape
        axes[0, 2].imshow(upon, alpha=1.0 if by_hand else 0.4, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5), **phases)
        handles = [Patch(color=c, label=n) for c, n in zip(LABELS, ("pore", "carbon binder", "graphite"), strict=True)]
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)
        return save(drawing, path)


def _scribbled(given: np.ndarray, facts: dict[str, Any]) -> np.ndarray:
    """Return scribbles as numbers of phases; NaN where there are none."""
    found = np.full(given.shape, np.nan)
    for number, name in enumerate(("pore", "carbon_binder", "graphite")):
        found[given == facts["classes"][name]] = number
    return found
