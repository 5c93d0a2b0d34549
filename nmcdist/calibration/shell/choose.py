"""The neck ratio, chosen by re-populating the image with known shapes and separating these again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nmcdist.calibration.shell.basins import LOW_H
from nmcdist.calibration.shell.blocks import Arrays, in_memory
from nmcdist.calibration.shell.harmonics import random_rotations
from nmcdist.calibration.shell.keeper import within
from nmcdist.calibration.shell.packing import Overlap, Score, best_matches, overlap, packed, score
from nmcdist.calibration.shell.rays import Surface
from nmcdist.calibration.shell.regions import Regions
from nmcdist.calibration.shell.separate import Ratio, Separated, Spacing, Watershed
from nmcdist.calibration.shell.stars import ball_coefficient, fit_shapes
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError
from nmcdist.geometry import sphere

RATIOS = (0.98, 0.95, 0.925, 0.90, 0.875, 0.85, 0.80, 0.75, 0.70, 0.60)
FIRST_RATIO = 0.90
MOST_ROUNDS = 5
_ORDER = 9


@dataclass(frozen=True)
class Round:
    """One round: the ratio whose separation was re-populated (None: the paper's rule), and the scores of each rule."""

    ratio: Ratio
    scores: tuple[Score, ...]

    @property
    def tied(self) -> tuple[Score, ...]:
        """The scores whose mean intersection over union is within one standard error of the largest."""
        top = max(self.scores, key=lambda one: one.mean_iou)
        return tuple(one for one in self.scores if one.mean_iou >= top.mean_iou - top.error_iou)

    @property
    def best(self) -> Score:
        """The tied score with the fewest split and merged particles."""
        return min(self.tied, key=lambda one: one.split + one.merged)


@dataclass(frozen=True, eq=False)
class Packing:
    """A packing of known shapes, and the regions that separating it found.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (n, 100)
        Of the known shapes in their places, in voxels.
    centres : ndarray of float64, shape (n, 3)
        Their star points in voxel indices.
    true, found : Separated
    match : ndarray of int64, shape (n,)
        Found label that fits each known shape best, 0 for none.
    iou : ndarray of float64, shape (n,)
        Its intersection over union.
    """

    coefficients: np.ndarray
    centres: np.ndarray
    true: Separated
    found: Separated
    match: np.ndarray
    iou: np.ndarray


@dataclass(frozen=True, eq=False)
class Choice:
    """The chosen rule and how it was found.

    Attributes
    ----------
    ratio : float or None
        None: the paper's rule.
    rounds : tuple of Round
    is_settled : bool
        Whether the last round chose the ratio that its packing was made with.
    packing : Packing
        Of the last round, separated by the chosen rule.
    """

    ratio: Ratio
    rounds: tuple[Round, ...]
    is_settled: bool
    packing: Packing = field(repr=False)

    @property
    def score(self) -> Score:
        """The score of the chosen rule in the last round."""
        return next(one for one in self.rounds[-1].scores if one.ratio == self.ratio)


def choose_ratio(
    image: Watershed, *, first: float = FIRST_RATIO, ratios: Sequence[float] = RATIOS, least_voxels: int = 200,
    h: float = LOW_H, arrays: Arrays = in_memory,
) -> Choice:  # fmt: skip
    """Choose the neck ratio: separate, re-populate, separate with each ratio, take the one of largest mean IoU.

    This is repeated until a round chooses a ratio that was re-populated before, five times at most.

    Parameters
    ----------
    image : Watershed
    first : float
        Ratio of the first round.
    ratios : sequence of float
    least_voxels : int
        Smaller particles do not count.
    h : float
        Of the watershed of the packing.
    arrays : callable
        Makes the arrays of the packing.

    Returns
    -------
    Choice

    Raises
    ------
    ImageError
        If there is no whole particle.
    """
    rounds: list[Round] = []
    ratio = first
    while True:
        packing = _Packed.of(image, ratio, least_voxels, h, arrays)
        rounds.append(Round(ratio, packing.scores(ratios)))
        best = rounds[-1].best.ratio
        assert best is not None
        if best in (one.ratio for one in rounds) or len(rounds) == MOST_ROUNDS:
            return Choice(best, tuple(rounds), best == ratio, packing.separated(best))
        ratio = best


def judge_rule(
    image: Watershed, ratio: Ratio, *, least_voxels: int = 200, h: float = LOW_H, arrays: Arrays = in_memory
) -> Choice:
    """Judge a given rule by one packing, beside the other ratios; ImageError if there is no whole particle."""
    packing = _Packed.of(image, ratio, least_voxels, h, arrays)
    rules = list(dict.fromkeys([ratio, *RATIOS]))
    one = Round(ratio, packing.scores(rules))
    return Choice(ratio, (one,), one.best.ratio == ratio, packing.separated(ratio))


def repacked(
    image: Watershed, ratio: Ratio, seed: int, *, least_voxels: int = 200, h: float = LOW_H, arrays: Arrays = in_memory
) -> Packing:
    """Return a packing whose known shapes are turned at random, separated by a rule; ImageError as `choose_ratio`."""
    return _Packed.of(image, ratio, least_voxels, h, arrays, seed).separated(ratio)


def known_shapes(
    image: Separated, spacing: Spacing, least_voxels: int, seed: int | None = None, spread: Spread = map,
    surface: Surface | None = None,
) -> np.ndarray:  # fmt: skip
    """Return coefficients of star shapes of all regions around their centres, shape (n, 100), in voxels.

    Regions that are small, cut to a third by contacts, or without their centre, get a ball of their volume. With a
    seed, shapes are turned at random. In a grey image, they are those of the surface between voxels.
    """
    regions = image.regions
    chosen = np.flatnonzero(regions.voxels >= least_voxels)
    shapes = np.zeros((len(regions.voxels), (_ORDER + 1) ** 2))
    shapes[:, 0] = ball_coefficient(regions.voxels)
    count = len(chosen)
    ways = np.broadcast_to(np.eye(3), (count, 3, 3)) if seed is None else random_rotations(count, seed)
    fitted = fit_shapes(image, chosen, ways, spacing, _ORDER, spread=spread, sees=False, surface=surface)
    rows = fitted.coefficients
    is_sound = fitted.is_star & (fitted.free_share > 1 / 3)
    is_sound[is_sound] = sphere.star_bounds_of_many(rows[is_sound])[:, 0] > 0 if is_sound.any() else False
    shapes[chosen[is_sound]] = rows[is_sound]
    return shapes


@dataclass(frozen=True, eq=False)
class _Packed:
    """A packing with its watershed and what its basins share with the known particles."""

    shapes: np.ndarray
    centres: np.ndarray
    true: Separated
    least_voxels: int
    watershed: Watershed
    basins: Regions
    shared: Overlap

    @classmethod
    def of(
        cls, image: Watershed, ratio: Ratio, least_voxels: int, h: float, arrays: Arrays, seed: int | None = None
    ) -> "_Packed":
        regions, spacing, (spread, own) = image.separated(ratio), image.spacing, within(image.spread, arrays, "packed")
        if not regions.kept(least_voxels).any():
            raise ImageError(
                f"image: found no particle of at least {least_voxels} voxels that its border does not cut; "
                "expected a larger image or smaller voxels"
            )
        shapes = known_shapes(regions, spacing, least_voxels, seed, spread)
        centres = regions.regions.centre
        labels = packed(regions.shape, shapes, centres, spacing, spread=spread, arrays=own)
        watershed = Watershed.of(labels, spacing, h, spread=spread, arrays=own)
        basins = watershed.separated(1.0).regions
        true = Separated.of(labels, len(shapes), spacing, spread)
        shared = overlap(labels, watershed.basins.labels, spread)
        return cls(shapes, centres, true, least_voxels, watershed, basins, shared)

    def scores(self, rules: Sequence[Ratio]) -> tuple[Score, ...]:
        return tuple(self._score(rule) for rule in rules)

    def separated(self, rule: Ratio) -> Packing:
        found = self.watershed.separated(rule)
        shared = self.shared.joined(self.watershed.mapping(rule))
        iou, match = best_matches(shared, self.true.regions.voxels, found.regions.voxels)
        return Packing(self.shapes, self.centres, self.true, found, match, iou)

    def _score(self, rule: Ratio) -> Score:
        mapping = self.watershed.mapping(rule)
        of = mapping[1:]
        voxels = np.bincount(of, self.basins.voxels, minlength=mapping.max() + 1)[1:].astype(np.int64)
        cut = np.bincount(of, ~self.basins.is_whole, minlength=mapping.max() + 1)[1:]
        kept = (cut == 0) & (voxels >= self.least_voxels)
        true_kept = self.true.kept(self.least_voxels)
        return score(rule, self.shared.joined(mapping), self.true.regions.voxels, true_kept, voxels, kept)
