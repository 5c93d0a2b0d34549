"""The page on an image that a net segmented: slices before and after, how far to trust it, and how it was judged."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.stored import FULL
from nmcdist.calibration.segmenter.judging import UNKNOWN
from nmcdist.calibration.segmenter.pictures import read_pictures
from nmcdist.calibration.segmenter.segment import read_results
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.style import LABELS, SERIES, figure, grey_scale, save
from nmcdist.report.tables import markdown

_RIGHT, _UNKNOWN, _FIRST, _NOT_FIRST, _OTHER = "#e8e8e8", "#ffffff", "#D55E00", "#0072B2", "#7A5C00"
_FLATTEST = 0.3  # height over width of a slice that is shown as large as its panel
_UNITS = {"surface": " (1/um)", "median": " (nm)", "permeability": " (nm^2)"}


def report_segmented(folder: Path) -> Path:
    """Write the page ``report/report.md`` of a finished segmentation.

    Parameters
    ----------
    folder : Path
        Of the segmentation.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    StoreError
        If the results are missing or damaged.
    """
    results, pictures, out = read_results(folder), read_pictures(folder), folder / "report"
    make_folder(out)
    made, captions = [], {}
    for z, plane in pictures.items():
        path = _slice(out / f"slice-{z}.png", plane, results["classes"])
        made.append(path)
        captions[path.name] = _caption(z, plane)
    if results["judged"] is not None:
        path = _reliability(out / "reliability.png", results["judged"]["reliability"], results["classes"])
        made.append(path)
        captions[path.name] = (
            "Of the pixels to which the net gave a probability of a class, the share that is of the class: on the "
            "line, it says what is so. Below: how many pixels each point stands for."
        )
    return write_page(out, list(_text(results)), made, captions)


def _caption(z: int, plane: dict[str, np.ndarray]) -> str:
    shown = (
        f"The middle of slice {z}: grey values, without ramp and drift on one scale, the classes found, and the "
        "probability of the class"
    )
    return f"{shown}; the classes that are known, and where these differ." if "truth" in plane else f"{shown}."


def _text(results: dict[str, Any]) -> Iterator[str]:
    bundle = results["bundle"]
    yield f"# Segmentation of {Path(results['image']).name}"
    learned = f", and learned scribbles in slices {_listed(results['scribbled_slices'])}"
    yield (
        f"The segmenter {bundle['name']} (sha256 {bundle['sha256'][:16]}) was trained on drawn images"
        f"{learned if results['scribbled_slices'] else ''}."
    )
    yield (
        f"Noise, blur and contrast of the image lie at a distance of {results['distance']:.1f} from those of the "
        f"training, of which 90 % lie within {results['distance_limit']:.1f}."
    )
    yield from (f"**Warning: {warning}.**" for warning in results["warnings"])
    judged = results["judged"]
    yield "## Shares"
    yield _shares(results, judged)
    if judged is not None:
        yield from _of_truth(judged, results["classes"])


def _shares(results: dict[str, Any], judged: dict[str, Any] | None) -> str:
    if judged is not None and "corrected" not in judged:  # the truth is known all over
        true = [sum(row) / judged["pixels"] for row in judged["confusion"]]
        pairs = zip(results["shares"].items(), true, strict=True)
        return markdown(
            ["class", "share found", "true share"], ([_said(n), f"{s:.2%}", f"{t:.2%}"] for (n, s), t in pairs)
        )
    corrected = (judged or {}).get("corrected")
    if corrected is None:
        return markdown(["class", "share found"], ([_said(n), f"{s:.2%}"] for n, s in results["shares"].items()))
    rows = (
        [_said(name), f"{share:.2%}", f"{corrected[name]['share']:.2%}",
         f"{corrected[name]['low']:.2%} to {corrected[name]['high']:.2%}"]
        for name, share in results["shares"].items()
    )  # fmt: skip
    return markdown(["class", "share found", "corrected by the confusion", "95 %"], rows)


def _of_truth(judged: dict[str, Any], classes: Sequence[str]) -> Iterator[str]:
    first, size = _said(classes[0]), " x ".join(map(str, judged["block_voxels"]))
    if "corrected" in judged:
        yield (
            "The correction takes back the mistakes that the labelled pixels show: it holds if the others are as easy. "
            f"The interval comes from {judged['blocks']} blocks of {size} voxels with labels."
            if judged["corrected"]
            else f"The shares are not corrected by the confusion: {judged['not_corrected']}."
        )
    yield f"## Agreement in {judged['pixels']:,} pixels of known class"
    yield (
        f"{judged['accuracy']:.2%} have their class; whether it is {first} or not is right in "
        f"{judged['accuracy_of_first']:.2%}. Stated probabilities and shares differ by "
        f"{judged['calibration_error']:.3f} on average (classwise calibration error)."
    )
    rows = zip(classes, judged["confusion"], strict=True)
    scores = [("intersection over union", judged["iou"]), ("Dice", judged["dice"])]
    yield markdown(
        ["true \\ found", *map(_said, classes)],
        [[_said(name), *(f"{count:,}" for count in row)] for name, row in rows]
        + [[what, *("-" if values[n] is None else f"{values[n]:.3f}" for n in classes)] for what, values in scores],
    )
    if judged.get("properties"):
        yield from _of_properties(judged)


def _of_properties(judged: dict[str, Any]) -> Iterator[str]:
    about = judged["properties_of"]
    spans = ", ".join(f"{low} to {high}" for low, high in zip(about["from"], about["to"], strict=True))
    size = " x ".join(f"{edge:g}" for edge in about["voxel_nm"])
    yield "## Properties"
    yield (
        f"Of the voxels {spans} along z, y, x, in voxels of {size} nm; "
        "the permeability is that of at most 96 of these along each edge."
    )
    yield markdown(
        ["property", "found", "true", "error"],
        (
            [_said(name) + _UNITS.get(name.split(" ")[0], ""),
             *("-" if value is None else format(value, how) for value, how in (
                 (each["found"], ".4g"), (each["true"], ".4g"), (each["error"], "+.1%")
             ))]
            for name, each in judged["properties"].items()
        ),
    )  # fmt: skip


def _said(name: str) -> str:
    return name.replace("_", " ")


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _slice(path: Path, plane: dict[str, np.ndarray], classes: Sequence[str]) -> Path:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    columns, is_known = (3, True) if "truth" in plane else (2, False)
    colours = LABELS[: len(classes)]
    phases: dict[str, Any] = {
        "cmap": ListedColormap(list(colours)), "vmin": -0.5, "vmax": len(classes) - 0.5, "interpolation": "nearest",
    }  # fmt: skip
    handles = [Patch(color=colour, label=_said(name)) for colour, name in zip(colours, classes, strict=True)]
    rows, across = plane["grey"].shape
    height = 1.6 + 8.8 * min(max(rows / across, _FLATTEST), 1 / _FLATTEST)
    with figure(2, columns, 4.6 * columns, height) as (drawing, axes):
        for axis in axes.flat:
            axis.set_axis_off()
        _show(axes[0, 0], "grey", plane["grey"], grey_scale(plane["grey"]))
        _show(axes[0, 1], "corrected", plane["corrected"], grey_scale(plane["corrected"]))
        _show(axes[1, 0], "found", plane["labels"], phases)
        drawn = _show(axes[1, 1], "probability of the class", plane["probability"] / FULL,
                      {"cmap": "magma", "vmin": 1 / len(classes), "vmax": 1})  # fmt: skip
        drawing.colorbar(drawn, ax=axes[1, 1], shrink=0.8)
        if is_known:
            true = np.ma.masked_equal(plane["truth"], UNKNOWN)
            _show(axes[0, 2], "known", true, phases)
            kinds, colours_of, names = _differences(plane, classes)
            _show(axes[1, 2], "differences", kinds, phases | {"cmap": ListedColormap(colours_of),
                                                              "vmax": len(colours_of) - 0.5})  # fmt: skip
            wrong = [Patch(color=colour, label=name) for colour, name in zip(colours_of[2:], names, strict=True)]
            handles = [each for pair in zip(handles, wrong, strict=True) for each in pair]  # a column each
        drawing.legend(handles=handles, loc="outside lower center", ncols=len(classes))
        return save(drawing, path)


def _show(axis: Any, title: str, values: np.ndarray, how: dict[str, Any]) -> Any:
    axis.set_title(title, loc="left", fontsize=15)
    return axis.imshow(values, **how)


def _differences(plane: dict[str, np.ndarray], classes: Sequence[str]) -> tuple[np.ndarray, list[str], list[str]]:
    """Return what is wrong in each pixel, and the colours and names of that, after those of unknown and of right."""
    found, true = plane["labels"], plane["truth"]
    first, wrong = _said(classes[0]), found != true
    kinds = np.select([true == UNKNOWN, ~wrong, found == 0, true == 0], [0, 1, 2, 3], 4)
    colours = [_UNKNOWN, _RIGHT, _FIRST, _NOT_FIRST]
    names = [f"wrongly {first}", f"wrongly not {first}"]
    if len(classes) == 2:
        return kinds, colours, names
    return kinds, [*colours, _OTHER], [*names, "other classes mixed up"]


def _reliability(path: Path, bins: Sequence[Sequence[dict[str, float]]], classes: Sequence[str]) -> Path:
    with figure(2, 1, 7.5, 9) as (drawing, axes):
        upper, lower = axes[:, 0]
        upper.plot([0, 1], [0, 1], color="#888888", linewidth=1, label="what is stated is so")
        for (colour, marker), name, own in zip(SERIES, classes, bins, strict=False):
            stated = [each["probability"] for each in own]
            upper.plot(stated, [each["share"] for each in own], color=colour, marker=marker, label=_said(name))
            lower.plot(stated, [each["pixels"] for each in own], color=colour, marker=marker)
        upper.set_ylabel("share of the pixels that are of the class")
        upper.legend()
        lower.set_xlim(upper.get_xlim())
        lower.set_yscale("log")
        lower.set_ylabel("pixels")
        lower.set_xlabel("stated probability of the class")
        return save(drawing, path)
