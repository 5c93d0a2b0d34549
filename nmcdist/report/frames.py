"""The comparison with the paper's Figure 6: visible grains in a plane, by the diagonal of D.

`python -m nmcdist.report.frames docs/images` draws the picture of the page on the particle model, and prints its
table.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.geometry.tessellation import label_lattice, radial_matrices
from nmcdist.models import streams
from nmcdist.report import published
from nmcdist.report.intervals import PERCENT, mean_of
from nmcdist.report.style import GRAPHITE, PORE, SOLID, figure, save
from nmcdist.report.tables import markdown

DIAGONALS = ((3.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 3.0, 3.0))
SEEDS = 8000
HALF_WINDOW = 128  # pixels: the paper's window is [-128, 128]^3
REALISATIONS = 4
SECTION_CONSTANT = 1.458  # cells of a planar section of a Poisson-Voronoi tessellation, by intensity^(2/3)
_SEED = 6


@dataclass(frozen=True)
class FrameStudy:
    """Visible grains for one diagonal of D.

    Attributes
    ----------
    diagonal : tuple of float
    radial, constant : tuple of int
        Visible grains in a plane through the centre, by realisation: with the frames of Eq. (12), and with one frame
        for all grains, in a plane that contains its first axis.
    picture : ndarray of int32
        The plane with radial frames, first realisation.
    """

    diagonal: tuple[float, float, float]
    radial: tuple[int, ...]
    constant: tuple[int, ...]
    picture: np.ndarray

    @property
    def expected(self) -> float:
        """Number of cells in the plane with a constant frame, without those cut by the window, by affine theory.

        The map x -> D^(1/2) x makes the cells Poisson-Voronoi with intensity mu / sqrt(det D), and enlarges the plane
        by the root of its two entries of D.
        """
        first, second, third = self.diagonal
        side = 2 * HALF_WINDOW
        intensity = SEEDS / side**3 / np.sqrt(first * second * third)
        return float(SECTION_CONSTANT * intensity ** (2 / 3) * np.sqrt(first * second) * side**2)


def study_frames() -> list[FrameStudy]:
    """Count the visible grains in the paper's window, for each of the paper's diagonals."""
    seeds = [_seeds(k) for k in range(REALISATIONS)]
    studies = []
    for diagonal in DIAGONALS:
        radial = [_plane(s, radial_matrices(s, np.tile(diagonal, (SEEDS, 1)), np.zeros(SEEDS)), 0) for s in seeds]
        constant = [_plane(s, np.tile(np.diag(diagonal), (SEEDS, 1, 1)), 2) for s in seeds]
        studies.append(FrameStudy(diagonal, _visible(radial), _visible(constant), radial[0]))
    return studies


def draw_frames(studies: list[FrameStudy], path: Path) -> Path:
    """Draw a plane with radial frames for each D, and visible grains beside theory and the paper (Figure 6)."""
    from matplotlib.colors import ListedColormap

    with figure(2, 2, 10.5, 10.5) as (drawing, axes):
        for tag, panel, study in zip("abc", axes.flat, studies, strict=False):
            panel.imshow(_boundaries(study.picture), cmap=ListedColormap(["#E8EDF2", "black"]), interpolation="nearest",
                         extent=(-HALF_WINDOW, HALF_WINDOW, -HALF_WINDOW, HALF_WINDOW))  # fmt: skip
            panel.grid(visible=False)
            panel.spines[:].set_visible(True)
            ticks = (-HALF_WINDOW, 0, HALF_WINDOW)
            panel.set(xlabel="x / pixel", ylabel="y / pixel", xticks=ticks, yticks=ticks)
            panel.set_title(f"D = {_name(study)}: {study.radial[0]} grains", fontsize=12)
            panel.set_title(tag, loc="left", fontweight="bold")
        panel = axes[1, 1]
        places = np.arange(len(studies))
        for shift, name, colour, marker in ((-0.2, "radial", SOLID, "o"), (0.0, "constant", GRAPHITE, "s")):
            means = [mean_of(ratio) for ratio in _ratios(studies, name)]
            panel.errorbar(places + shift, [m.value for m in means], [m.margin or 0.0 for m in means], color=colour,
                           marker=marker, markersize=7, linestyle="none", capsize=7, markeredgecolor="black",
                           label=f"ours, {name} frame{'s' if name == 'radial' else ''}")  # fmt: skip
        theory, paper = (np.array([of(s) for s in studies]) for of in (_expected, _printed))
        panel.plot(places, theory / theory[1], "_", color="black", markersize=26, markeredgewidth=2,
                   label="theory, constant frame")  # fmt: skip
        panel.plot(places + 0.2, paper / paper[1], "*", color=PORE, markersize=13, label="paper, Figure 6")
        panel.set(xticks=places, xticklabels=[_name(s) for s in studies], xlabel="diagonal of D", ylim=(0.7, 1.75),
                  ylabel="visible grains / those of D = (1, 1, 1)", xlim=(-0.5, 2.5))  # fmt: skip
        panel.set_title("d", loc="left", fontweight="bold")
        panel.legend(fontsize=11, loc="upper right")
        return save(drawing, path)


def frames_table(studies: list[FrameStudy]) -> str:
    """Return visible grains by D in Markdown: ours with intervals over the realisations, theory, the paper."""
    header = ["D", "radial frames", f"{PERCENT} interval", "constant frame", f"{PERCENT} interval", "n",
              "theory, constant frame", "paper, Figure 6"]  # fmt: skip
    rows = []
    for s in studies:
        counts = [mean_of(np.array(c, dtype=float)) for c in (s.radial, s.constant)]
        cells = [text for c in counts for text in (f"{c.value:.0f}", _bounds(c))]
        rows.append(
            [_name(s), *cells, counts[0].number, f"{s.expected:.0f}", str(published.VISIBLE_GRAINS[s.diagonal])]
        )
    return markdown(header, rows)


def _seeds(realisation: int) -> np.ndarray:
    uniforms = streams.generator(_SEED, streams.SEEDS, realisation).random((SEEDS, 3))
    return (2 * uniforms - 1) * HALF_WINDOW


def _visible(planes: list[np.ndarray]) -> tuple[int, ...]:
    return tuple(len(np.unique(labels)) for labels in planes)


def _plane(seeds: np.ndarray, matrices: np.ndarray, normal: int) -> np.ndarray:
    """Label the pixels of the plane through the centre normal to an axis."""
    rows, columns = np.delete(np.eye(3), normal, axis=0)
    origin = (0.5 - HALF_WINDOW) * (rows + columns)
    return label_lattice(
        seeds, matrices, np.zeros(SEEDS), (2 * HALF_WINDOW, 2 * HALF_WINDOW), np.stack([rows, columns]), origin
    )


def _boundaries(labels: np.ndarray) -> np.ndarray:
    """Mark the pixels whose right or lower neighbour belongs to another grain."""
    marked = np.zeros(labels.shape, dtype=np.uint8)
    marked[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    marked[:-1] |= labels[:-1] != labels[1:]
    return marked


def _name(study: FrameStudy) -> str:
    return "(" + ", ".join(f"{d:g}" for d in study.diagonal) + ")"


def _ratios(studies: list[FrameStudy], name: str) -> np.ndarray:
    """Return visible grains over those of D = (1, 1, 1), realisation by realisation."""
    counts = np.array([getattr(s, name) for s in studies], dtype=float)
    return np.asarray(counts / counts[1])


def _expected(study: FrameStudy) -> float:
    return study.expected


def _printed(study: FrameStudy) -> float:
    return float(published.VISIBLE_GRAINS[study.diagonal])


def _bounds(estimate: Any) -> str:
    return "–" if estimate.bounds is None else " to ".join(f"{end:.0f}" for end in estimate.bounds)


if __name__ == "__main__":
    found = study_frames()
    draw_frames(found, Path(sys.argv[1]) / "visible-grains.png")
    print(frames_table(found))
