"""The page on a segmentation: before and after, where the forest was unsure, and how far to trust it."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.style import figure, grey_scale, save
from nmcdist.report.tables import markdown

_SHOWN = 768  # pixels along an edge of a picture


def report_segmentation(
    folder: Path, results: dict[str, Any], z: int, grey: np.ndarray, scribbles: np.ndarray | None, labels: np.ndarray,
    confidence: np.ndarray,
) -> Path:  # fmt: skip
    """Write ``report.md`` with a picture of one slice.

    Parameters
    ----------
    folder : Path
    results : dict
        As of the segmentation.
    z : int
        Number of the slice.
    grey, labels, confidence : ndarray, shape (ny, nx)
        The image, its classes, and the probability of the most probable class.
    scribbles : ndarray or None
        Labels by hand in this slice.

    Returns
    -------
    Path
        The page.
    """
    make_folder(folder)
    picture = _picture(folder / "before-and-after.png", results, z, grey, scribbles, labels, confidence)
    captions = {picture.name: f"Slice {z}: the image, the scribbles, the classes, and the probability of the class."}
    return write_page(folder, [_text(results)], [picture], captions)


def _text(results: dict[str, Any]) -> str:
    lines = [f"# Segmentation of {Path(results['image']).name}", *_training(results)]
    lines.append(
        "Shares: " + ", ".join(f"class {c}: {share:.1%}" for c, share in results["class_shares"].items()) + "."
    )
    found = results["agreement"]
    if found is not None:
        error = found["standard_error"]
        lines.append(
            f"Agreement with the reference: {found['share']:.1%}"
            + (f" +- {error:.1%} (one standard error, from an 8 x 8 grid of fields)" if error is not None else "")
            + "; Dice: "
            + ", ".join(f"class {c}: {value:.3f}" for c, value in found["dice"].items())
            + "."
        )
    return "\n\n".join(lines)


def _training(results: dict[str, Any]) -> list[str]:
    if "confusion_out_of_bag" not in results:
        return [f"{results['trees']} trees of a forest that was trained before, on another image."]
    classes, confusion = results["classes"], results["confusion_out_of_bag"]
    best = sorted(results["importance"].items(), key=lambda pair: -pair[1])[:5]
    return [
        f"{results['trees']} trees, scribbles in slices {', '.join(map(str, results['labelled_slices']))}.",
        f"Out-of-bag votes agree with the scribbles in {results['share_out_of_bag']:.1%} of the pixels. This is "
        "optimistic: the neighbours of a pixel, which look like it, were mostly seen in training.",
        markdown(["true \\ voted", *map(str, classes)],
                 ([str(c), *map(str, row)] for c, row in zip(classes, confusion, strict=True))),
        "Most used features: " + ", ".join(f"{name} ({value:.0%})" for name, value in best) + ".",
    ]  # fmt: skip


def _picture(
    path: Path, results: dict[str, Any], z: int, grey: np.ndarray, scribbles: np.ndarray | None, labels: np.ndarray,
    confidence: np.ndarray,
) -> Path:  # fmt: skip
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    step = max(1, -(-max(grey.shape) // _SHOWN))
    thin = (slice(None, None, step),) * 2
    colours = colormaps["cividis"](np.linspace(0, 1, len(results["classes"])))
    numbers = np.searchsorted(results["classes"], labels[thin])
    with figure(1, 4, 18, 5.2) as (drawing, axes):
        for panel, title in zip(axes[0], ("image", "scribbles", "classes", "probability of the class"), strict=True):
            panel.set_title(title, loc="left")
            panel.set_axis_off()
        for panel in axes[0, :2]:
            panel.imshow(grey[thin], **grey_scale(grey))
        if scribbles is not None:
            marked = np.ma.masked_equal(scribbles[thin], 0)
            axes[0, 1].imshow(np.ma.masked_array(np.searchsorted(results["classes"], marked.data), marked.mask),
                              cmap=ListedColormap(colours), vmin=-0.5, vmax=len(colours) - 0.5, alpha=0.8)  # fmt: skip
        axes[0, 2].imshow(numbers, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(colours) - 0.5)
        drawing.colorbar(axes[0, 3].imshow(confidence[thin], cmap="magma", vmin=0.5, vmax=1), ax=axes[0, 3])
        handles = [Patch(color=c, label=f"class {n}") for c, n in zip(colours, results["classes"], strict=True)]
        drawing.legend(handles=handles, loc="outside lower center", ncols=8)
        return save(drawing, path)
