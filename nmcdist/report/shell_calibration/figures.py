"""The figures of a calibration of shells: separation, choice of the neck ratio, laws (Figures 3, 4, 10a)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.report.style import CARBON_BINDER, GRAPHITE, PORE, SERIES, SOLID, figure, save

_LONGEST = 400  # voxels of a shown slice along an edge
_PANELS = (
    ("d_max_nm", "largest diameter $d_{max}$ / µm", 1000.0),
    ("compactness", "compactness $γ$", 1.0),
    ("aspect_ratio", "aspect ratio AR (shortest / longest extent)", 1.0),
    ("sphericity", "sphericity $Ψ$", 1.0),
)


def regions(shown: Mapping[str, np.ndarray], path: Path) -> Path:
    """Draw the middle slice: the image, the basins of the watershed, and the regions after merging."""
    panels = [("image", shown["slice"], True)]
    if "basins" in shown:
        panels.append((f"before merging ({_count(shown['basins'])} regions cut)", shown["basins"], False))
    panels.append((f"particles ({_count(shown['regions'])} cut)", shown["regions"], False))
    with figure(1, len(panels), 5.2 * len(panels), 5.6) as (drawing, axes):
        for panel, (title, values, is_grey) in zip(axes[0], panels, strict=True):
            _slice(panel, values, is_grey)
            panel.set_title(title)
        fitted = shown["fitted"][:_LONGEST, :_LONGEST]
        _outline(axes[0, -1], fitted, "black")
        return save(drawing, path)


def packing(shown: Mapping[str, np.ndarray], path: Path) -> Path:
    """Draw the middle slice of the packing: the known particles, and the regions found by separating it."""
    with figure(1, 2, 11, 5.8) as (drawing, axes):
        for panel, name, title in zip(axes[0], ("packing_true", "packing_found"), ("known", "found"), strict=True):
            _slice(panel, shown[name], False)
            panel.set_title(f"{title} ({_count(shown[name])} cut)")
        return save(drawing, path)


def choice(numbers: Mapping[str, Any], shown: Mapping[str, np.ndarray], path: Path) -> Path:
    """Draw the neck ratios of neighbouring regions, and the scores of separations of the packing by ratio."""
    separation = numbers["separation"]
    scores = [one for one in separation["rounds"][-1]["scores"] if one["ratio"] is not None]
    at = [one["ratio"] for one in scores]
    with figure(1, 3, 16, 4.8) as (drawing, axes):
        left, middle, right = axes[0]
        left.hist(np.clip(shown["necks"], 0, 1), np.linspace(0, 1, 41), color=SOLID, alpha=0.6)
        left.set(xlabel="neck ratio: saddle / smaller peak", ylabel="pairs of neighbouring basins", xlim=(0, 1))
        for name, label, (colour, marker) in (
            ("mean_iou", "mean IoU", SERIES[0]), ("share_over_08", "share with IoU > 0.8", SERIES[1]),
        ):  # fmt: skip
            middle.plot(at, [one[name] for one in scores], marker + "-", color=colour, label=label)
        middle.set(ylabel="agreement with the known particles", ylim=(0, 1.02))
        for name, label, (colour, marker) in (
            ("split", "known particles split", SERIES[0]), ("merged", "regions that merge particles", SERIES[1]),
        ):  # fmt: skip
            right.plot(at, [one[name] for one in scores], marker + "-", color=colour, label=label)
        right.plot(at, [abs(one["found"] / one["true"] - 1) for one in scores], "^:", color=SERIES[2][0],
                   label="error of the count")  # fmt: skip
        right.set(ylabel="share", ylim=(0, None))
        for tag, panel in zip("abc", axes[0], strict=True):
            if panel is not left:
                panel.set_xlabel("neck ratio above which regions are merged")
            if separation["ratio"] is not None:
                panel.axvline(separation["ratio"], color="black", linestyle=":",
                              label=f"taken ({separation['ratio']:g})")  # fmt: skip
            panel.legend(fontsize=10)
            panel.set_title(tag, loc="left", fontweight="bold")
        return save(drawing, path)


def harmonics(numbers: Mapping[str, Any], path: Path) -> Path:
    """Draw the spread of the coefficients by degree with the error of one, and the correction."""
    degrees = numbers["degrees"]
    at = [one["degree"] for one in degrees]
    with figure(1, 2, 12, 4.8) as (drawing, axes):
        left, right = axes[0]
        left.plot(at, [one["rms_voxels"] for one in degrees], "o-", color=SOLID, label="fitted")
        left.plot(at, [one["rms_voxels"] * one["factor"] for one in degrees], "s--", color=PORE, label="corrected")
        left.plot(at, [2 * one["noise_voxels"] for one in degrees], ":", color="black",
                  label="twice the error of a coefficient")  # fmt: skip
        left.set(yscale="log", ylabel="rms of $a_{lm}$ / voxels")
        right.errorbar(at, [one["factor"] for one in degrees], [2 * one["factor_error"] for one in degrees], fmt="o",
                       color=SOLID, capsize=4, label="known / fitted in the packing, ± 2 standard errors")  # fmt: skip
        judged = numbers["judged"]
        if judged is not None:
            right.errorbar([one + 0.2 for one in at], judged["factors"][1:], [2 * one for one in judged["errors"][1:]],
                           fmt="s", color=PORE, capsize=4, label="in another packing")  # fmt: skip
        right.axhline(1.0, color="black", linestyle=":")
        right.set(ylabel="correction of the scale")
        for tag, panel in zip("ab", (left, right), strict=True):
            panel.set_xlabel("degree $l$")
            panel.set_xticks(at)
            panel.legend(fontsize=10)
            panel.set_title(tag, loc="left", fontweight="bold")
        return save(drawing, path)


def laws(numbers: Mapping[str, Any], shown: Mapping[str, np.ndarray], path: Path) -> Path:
    """Draw the coefficients of every degree with their fitted densities, before the correction (Figure 4)."""
    from scipy.stats import lognorm, norm, t

    rows, weights = shown["coefficients_nm"] / 1000, shown["weights"]
    with figure(2, 5, 19, 7.4) as (drawing, axes):
        size = next(one for one in numbers["size"]["laws"] if one["family"] == "log-normal with location")["values"]
        for degree, panel in enumerate(axes.flat):
            values = rows[:, degree**2 : (degree + 1) ** 2]
            reach = np.quantile(np.abs(values), 0.998)
            edges = np.linspace(values.min() if degree == 0 else -reach, values.max() if degree == 0 else reach, 41)
            each = np.repeat(weights, values.shape[1])
            density = each / (each.sum() * (edges[1] - edges[0]))
            heights, *_ = panel.hist(values.reshape(-1), edges, weights=density, color=SOLID, alpha=0.5)
            x = np.linspace(edges[0], edges[-1], 300)
            if degree == 0:
                y = lognorm.pdf(x, size["sigma"], size["location"] / 1000, size["scale"] / 1000)
                label = "log-normal with location"
            else:
                law = numbers["degrees"][degree - 1]["laws"][0]
                scale = law["values"]["scale"] / 1000
                is_normal = law["family"] == "normal"
                y = norm.pdf(x, 0, scale) if is_normal else t.pdf(x, law["values"]["nu"], 0, scale)
                label = "normal" if is_normal else f"Student, $ν$ = {law['values']['nu']:.1f}"
            panel.plot(x, y, color=PORE, label=label)
            name = "00" if degree == 0 else f"{degree}m"
            panel.set(xlabel=f"$a_{{{name}}}$ / µm", ylim=(0, 1.3 * max(y.max(), heights.max())))
            panel.locator_params(nbins=5)
            panel.legend(fontsize=10, loc="upper center")
            panel.set_title("abcdefghij"[degree], loc="left", fontweight="bold")
            if degree % 5 == 0:
                panel.set_ylabel("density / µm$^{-1}$")
        return save(drawing, path)


def dependence(numbers: Mapping[str, Any], shown: Mapping[str, np.ndarray], path: Path) -> Path:
    """Draw the distance correlation of a_00 with every coefficient (Figure 3a), and form against size."""
    degrees, edcc = numbers["degrees"], numbers["edcc"]
    table = np.full((len(edcc), 2 * len(edcc) + 1), np.nan)
    for row, values in enumerate(edcc):
        middle, reach = len(edcc), len(values) // 2
        table[row, middle - reach : middle + reach + 1] = values
    at = [one["degree"] for one in degrees]
    with figure(1, 3, 17, 4.8) as (drawing, axes):
        left, middle_panel, right = axes[0]
        picture = left.imshow(table, cmap="viridis", vmin=0, vmax=max(0.2, np.nanmax(table)), aspect="auto",
                              extent=(-len(edcc) - 0.5, len(edcc) + 0.5, len(edcc) + 0.5, 0.5))  # fmt: skip
        left.grid(False)
        left.set(xlabel="$m$", ylabel="degree $l$", yticks=at, xticks=range(-len(edcc), len(edcc) + 1, 3))
        drawing.colorbar(picture, ax=left, label="EDCC of $a_{00}$ and $a_{lm}$")
        middle_panel.plot(at, [one["distance_correlation"] for one in degrees], "o-", color=SOLID, label="EDCC")
        middle_panel.plot(at, [one["distance_correlation_shuffled"] for one in degrees], "s--", color=CARBON_BINDER,
                          label="EDCC with shuffled sizes")  # fmt: skip
        middle_panel.plot(at, [one["spearman"] for one in degrees], "^-", color=PORE,
                          label="Spearman of $|a_{lm}|$")  # fmt: skip
        middle_panel.set(xlabel="degree $l$", xticks=at, ylabel="correlation with $a_{00}$, mean over $m$")
        middle_panel.legend(fontsize=10)
        rows = shown["coefficients_nm"] / 1000
        for degree, (colour, marker) in zip((2, 5), SERIES, strict=False):
            spread = np.sqrt((rows[:, degree**2 : (degree + 1) ** 2] ** 2).mean(axis=1))
            right.plot(rows[:, 0] / np.sqrt(4 * np.pi), spread, marker, markersize=3, alpha=0.4, color=colour,
                       label=f"$l$ = {degree}")  # fmt: skip
        right.set(xlabel="mean radius / µm", ylabel="rms of $a_{lm}$ of a particle / µm", yscale="log")
        right.legend(fontsize=10, markerscale=2)
        for tag, panel in zip("abc", axes[0], strict=True):
            panel.set_title(tag, loc="left", fontweight="bold")
        return save(drawing, path)


def forms(numbers: Mapping[str, Any], shown: Mapping[str, np.ndarray], path: Path) -> Path:
    """Draw d_max, compactness, aspect ratio and sphericity of measured and drawn shells (Figure 10a)."""
    ks = numbers["validation"]["ks"]
    with figure(2, 2, 11.5, 8.6) as (drawing, axes):
        for tag, panel, (name, label, unit) in zip("abcd", axes.flat, _PANELS, strict=True):
            measured, drawn = shown[f"measured_{name}"] / unit, shown[f"drawn_{name}"] / unit
            both = np.concatenate([measured, drawn])
            edges = np.linspace(np.quantile(both, 0.001), np.quantile(both, 0.999), 36)
            weights = shown["weights"] if len(shown["weights"]) == len(measured) else np.ones(len(measured))
            width = edges[1] - edges[0]
            shares = [np.histogram(measured, edges, weights=weights)[0] / (weights.sum() * width),
                      np.histogram(drawn, edges)[0] / (len(drawn) * width)]  # fmt: skip
            panel.stairs(shares[0], edges, fill=True, color=SOLID, alpha=0.45, label=f"measured ({len(measured)})")
            panel.stairs(shares[1], edges, color=PORE, linewidth=2, label=f"drawn ({len(drawn)}), KS {ks[name]:.3f}")
            panel.set(xlabel=label, ylabel="density / µm⁻¹" if unit > 1 else "density", ylim=(0, None))
            if name == "sphericity":
                panel.axvline(0.6, color=GRAPHITE, linestyle=":", label="none drawn below in the paper")
            panel.legend(fontsize=10)
            panel.set_title(tag, loc="left", fontweight="bold")
        return save(drawing, path)


def _slice(panel: Any, values: np.ndarray, is_grey: bool) -> None:
    values = values[:_LONGEST, :_LONGEST]
    panel.grid(False)
    panel.set_axis_off()
    if is_grey:
        panel.imshow(values, cmap="gray", interpolation="nearest")
        return
    # Neighbouring numbers get different colours.
    colours = np.random.Generator(np.random.Philox(1)).uniform(0.25, 1.0, (int(values.max()) + 1, 3))
    colours[0] = 1.0
    panel.imshow(colours[values], interpolation="nearest")


def _outline(panel: Any, mask: np.ndarray, colour: str) -> None:
    if mask.any() and not mask.all():
        panel.contour(mask, [0.5], colors=colour, linewidths=0.6)


def _count(labels: np.ndarray) -> int:
    return len(np.unique(labels[labels > 0]))
