"""The two laws of the seeds' intensity, constant and by distance from the centre, and the choice between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmcdist.bundle import Bundle
from nmcdist.calibration.grains.comparison import InSections
from nmcdist.calibration.grains.counts import choose_knots, contradicts
from nmcdist.calibration.grains.recipe import GrainRecipe
from nmcdist.calibration.grains.results import CountInSections, Law
from nmcdist.calibration.grains.sections import Section
from nmcdist.models.intensity import IntensityProfile

CONSTANT: Law = "constant"
BY_DISTANCE: Law = "by-distance"


@dataclass(frozen=True)
class Choice:
    """The chosen law.

    Attributes
    ----------
    law : {"constant", "by-distance"}
    why : str
        The reason, in one sentence.
    criteria : tuple of float
        Criteria of 1, 2, ... knots: see :func:`nmcdist.calibration.grains.counts.choose_knots`.
    counts : dict of str to list of CountInSections
        Grains by distance for each fitted law, with those of the training sections.
    """

    law: Law
    why: str
    criteria: tuple[float, ...]
    counts: dict[Law, list[CountInSections]]


def laws_to_fit(sections: Sequence[Section], recipe: GrainRecipe) -> dict[Law, IntensityProfile | None]:
    """Return the laws that a recipe requests, with their initial profile (seeds per nm^3).

    A law by distance with a single knot would equal the constant law, so it is left out unless only that law was
    requested.
    """
    if recipe.intensity == "constant" or recipe.method == "adversarial":
        return {CONSTANT: None}
    profile = choose_knots(sections).profile
    if recipe.intensity == "by-distance":
        return {BY_DISTANCE: profile}
    return {CONSTANT: None, BY_DISTANCE: profile} if len(profile.knots) > 1 else {CONSTANT: None}


def choose(sections: Sequence[Section], recipe: GrainRecipe, fitted: Mapping[Law, Bundle]) -> Choice:
    """Choose a fitted law: the constant one, unless the visible grains contradict it.

    Parameters
    ----------
    sections : sequence of Section
        Training sections, without missing pixels.
    recipe : GrainRecipe
    fitted : dict of str to Bundle
    """
    comparison = InSections(sections, {}, recipe.seed)
    counts = {law: comparison.counts(bundle) for law, bundle in fitted.items()}
    criteria = choose_knots(sections).criteria
    law, why = _decided(counts, recipe)
    return Choice(law, why, criteria, counts)


def _decided(counts: Mapping[Law, Sequence[CountInSections]], recipe: GrainRecipe) -> tuple[Law, str]:
    if CONSTANT not in counts:
        return BY_DISTANCE, "The recipe asks for an intensity that depends on the distance from the centre."
    if BY_DISTANCE not in counts:
        if recipe.intensity == "both" and recipe.method == "energy":
            return CONSTANT, "The visible grains by distance justify no more than a constant intensity."
        return CONSTANT, "The recipe asks for a constant intensity."
    if all(row.error is None for row in counts[CONSTANT]):
        return (
            CONSTANT,
            "There are too few sections to contradict a constant intensity, the paper's law, which is chosen.",
        )
    wrong = sum(map(contradicts, counts[CONSTANT]))
    if not wrong:
        return CONSTANT, "The visible grains by distance do not contradict a constant intensity, the paper's law."
    if _misfit(counts[BY_DISTANCE]) >= _misfit(counts[CONSTANT]):
        return CONSTANT, "The visible grains contradict a constant intensity, but also the one by distance."
    bins = "bin" if wrong == 1 else "bins"
    return BY_DISTANCE, f"The visible grains contradict a constant intensity in {wrong} {bins} of distance."


def _misfit(rows: Sequence[CountInSections]) -> float:
    """Return the sum of squared relative differences in units of their errors."""
    known = [(row.ratio, row.error) for row in rows if row.ratio is not None and row.error]
    return float(sum(((ratio - 1) / error) ** 2 for ratio, error in known))
