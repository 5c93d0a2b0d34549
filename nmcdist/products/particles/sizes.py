"""The sizes of a recipe's particles, from their shells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.geometry import sphere
from nmcdist.models.particle import ParticleModel
from nmcdist.products.kind import Effort
from nmcdist.products.particles.recipe import ParticleRecipe

CHUNK_ROWS = 16384
_STORED_MARGIN = 5.2  # spacings: largest distance of stored seeds beyond the shell; measured: 2.8 to 5.1
_BLOCK = 4096  # shells drawn at a time
ESTIMATED_FROM = 4096  # shells
_FEWEST = 64  # of them at each point
_MOST_ROWS = 2.0**36  # per particle: too many for any memory, but few enough to be counted in 64 bits


@dataclass(frozen=True)
class Sizes:
    """Bounds on the sizes of a recipe's particles, from their shells.

    Attributes
    ----------
    drawn : int
        Number of shells drawn: all, or the first ones.
    radii_nm : ndarray of float64, shape (drawn,)
        Distance from the centre that bounds each of these particles.
    largest_nm : float
        Distance from the centre that bounds the largest particle of the recipe.
    most_rows : ndarray of int64
        Upper bound on the rows of each batch, or of the largest one.
    likely_rows : int
        Expected rows of all batches.
    """

    drawn: int
    radii_nm: np.ndarray
    largest_nm: float
    most_rows: np.ndarray
    likely_rows: int

    @property
    def capacity(self) -> int:
        """Rows of a file: whole chunks, enough for every batch."""
        return math.ceil(int(self.most_rows.max()) / CHUNK_ROWS) * CHUNK_ROWS


def sizes_of(recipe: ParticleRecipe, bundle: Bundle, effort: Effort = "whole") -> Sizes:
    """Return bounds on the sizes of the particles of a recipe without a design: see :func:`sizes_at_points`."""
    return sizes_at_points(recipe, [bundle], effort)[0]


def sizes_at_points(recipe: ParticleRecipe, levels: Sequence[Bundle], effort: Effort = "whole") -> list[Sizes]:
    """Return bounds on the sizes of a recipe's particles at each point of its design.

    Parameters
    ----------
    recipe : ParticleRecipe
    levels : sequence of Bundle
        The bundle at each point.
    effort : {"whole", "estimate", "least"}
        "whole" draws every shell, as needed for a store's layout; a million take minutes. The others draw the first
        `ESTIMATED_FROM` shells, shared among the points. "estimate" returns sizes that no particle exceeds with a
        probability of about 95 %, by :meth:`ShellModel.largest_of`, at each point; "least" returns a lower bound on
        the needs of a run.

    Raises
    ------
    BundleError
        If the bundle has no marker law.
    InputError
        If its law produces no valid shell.
    """
    per_point = recipe.particles.count
    count = (
        per_point
        if effort == "whole"
        else min(per_point, max(ESTIMATED_FROM // len(levels), min(_FEWEST, ESTIMATED_FROM)))
    )
    firsts = (recipe.stream_of(point * per_point) for point in range(len(levels)))
    return [
        _sizes_of_point(recipe, bundle, first, count, effort) for bundle, first in zip(levels, firsts, strict=True)
    ]  # fmt: skip


def joined(parts: Sequence[Sizes]) -> Sizes:
    """Return the bounds on the sizes of all particles from those of each point."""
    return Sizes(
        sum(part.drawn for part in parts),
        np.concatenate([part.radii_nm for part in parts]),
        max(part.largest_nm for part in parts),
        np.concatenate([part.most_rows for part in parts]),
        sum(part.likely_rows for part in parts),
    )


def _sizes_of_point(recipe: ParticleRecipe, bundle: Bundle, first: int, count: int, effort: Effort) -> Sizes:
    """Return bounds on the sizes of the particles of a point from `count` shells, the first with stream `first`."""
    model, of_all = ParticleModel.from_bundle(bundle), recipe.particles.count
    model.shells.draw_many(recipe.seed, range(first, first + min(count, 8)))  # refuses a law without valid shells
    coefficients, bounds = np.empty(count), np.empty((count, 2))
    for start in range(0, count, _BLOCK):
        rows, _ = model.shells.draw_many(recipe.seed, range(first + start, first + min(start + _BLOCK, count)))
        coefficients[start : start + len(rows)] = rows[:, 0]
        bounds[start : start + len(rows)] = sphere.star_bounds_of_many(rows)
    edge, _ = model.margins_nm
    spare = 2 * model.grains.widest_spacing_nm
    largest, radii = bounds[:, 1], bounds[:, 1] + edge + spare
    most, likely = _most_rows(model, largest), _likely_rows(model, largest)
    batch = recipe.particles.batch
    if count == of_all:
        rows = np.add.reduceat(most, np.arange(0, count, batch)).astype(np.int64)
        return Sizes(count, radii, float(radii.max()), rows, int(likely.sum()))
    error = 4 * float(likely.std()) / math.sqrt(count)
    if effort == "least":
        rows = np.array([most[:batch].sum()]).astype(np.int64)
        return Sizes(count, radii, float(radii.max()), rows, int(of_all * max(likely.mean() - error, 0.0)))
    longest = model.shells.largest_of(of_all, coefficients, bounds)
    others = min(batch, of_all) - 1
    of_batch = _most_rows(model, np.array([longest])) + others * most.mean() + 4 * math.sqrt(others) * most.std()
    rows = np.ceil(of_batch).astype(np.int64)
    return Sizes(count, radii, longest + edge + spare, rows, int(of_all * (likely.mean() + error)))


def _most_rows(model: ParticleModel, largest_nm: np.ndarray) -> np.ndarray:
    """Return an upper bound on the rows of particles in these shells: the mean plus ten Poisson standard deviations."""
    _, window = model.margins_nm
    rows = model.grains.seeds_within(largest_nm + window + 2 * model.grains.widest_spacing_nm)
    return np.asarray(np.minimum(np.ceil(rows + 10 * np.sqrt(rows)), _MOST_ROWS))


def _likely_rows(model: ParticleModel, largest_nm: np.ndarray) -> np.ndarray:
    return model.grains.seeds_within(largest_nm + _STORED_MARGIN * model.grains.widest_spacing_nm)
