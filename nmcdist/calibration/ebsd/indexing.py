"""Find the points of a map that have a solution, and their phases: programs mark and number them differently."""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.ebsd.grid import Where
from nmcdist.calibration.ebsd.scan import Phase
from nmcdist.errors import ImageError


@dataclass(frozen=True)
class Signs:
    """The signs of a solution other than the phase.

    `euler` (n, 3); `unsolved` (n,) is true where the format itself marks points without a solution; `score` (n,), a
    confidence or a misfit, is above 0 for a solution; `image` (n,) is above 0 for a pattern. The last two may be all
    NaN.
    """

    euler: np.ndarray
    unsolved: np.ndarray
    score: np.ndarray
    image: np.ndarray

    @property
    def lost(self) -> np.ndarray:
        """Return the points with only NaN angles; none if this is true for all points."""
        lost = np.isnan(self.euler).all(axis=1)
        return np.asarray(lost & ~lost.all())

    @property
    def flat(self) -> np.ndarray:
        """Return where all angles are exactly 0, which many programs write for no solution."""
        return np.asarray((self.euler == 0).all(axis=1))

    @property
    def blank(self) -> np.ndarray:
        """Return where all angles are 0, and so is the score or the image, if that is not 0 everywhere."""
        telling = [(values == 0) & (values > 0).any() for values in (self.score, self.image)]
        return np.asarray(self.flat & ~(self.score > 0) & np.any(telling, axis=0))


@dataclass(frozen=True)
class Numbering:
    """The numbers of the phases in a header, in order, and the format's rule for 0 if the header lacks it.

    `alone`: whether 0 is the phase of a map with one phase and no point of another number, as EDAX writes it;
    otherwise 0 is unindexed. `wanted` describes the expected numbers.
    """

    phases: dict[int, Phase]
    alone: bool
    wanted: str


def edax_numbering(phases: dict[int, Phase]) -> Numbering:
    """Return the numbering of EDAX and of programs that write its formats."""
    known = ", ".join(map(str, sorted({0, *phases})))
    return Numbering(phases, True, f"one of {known}")


def oxford_numbering(phases: tuple[Phase, ...]) -> Numbering:
    """Return the numbering of Oxford and of programs that write its formats."""
    return Numbering(dict(enumerate(phases, 1)), False, f"0 (unindexed) to {len(phases)}")


def number_phases(ids: np.ndarray, numbering: Numbering, signs: Signs, where: Where, notes: list[str]) -> np.ndarray:
    """Return phases as int32, shape (n,): 1 for the first in the header, and so on; 0 for no solution.

    Points are unindexed if they have no phase (-1 or NaN, as orix writes), if the format marks them, if all angles
    are NaN, if all angles and the quality are 0, or if they have phase 0 and it is not a phase.

    Parameters
    ----------
    ids : ndarray, shape (n,)
        Numbers of phases in the file.
    numbering : Numbering
    signs : Signs
    where : Where
    notes : list of str
        Receives one line per assumption.

    Raises
    ------
    ImageError
        If a number is not in the header, or 0 can mean both unindexed and a phase.
    """
    listed = list(numbering.phases)
    none = np.isnan(ids) | (ids == -1)
    unknown = np.flatnonzero(~none & ~np.isin(ids, [0, *listed]))
    if len(unknown):
        i = unknown[0]
        raise ImageError(f"{where(i, 'phase')} is {ids[i]:g}, expected {numbering.wanted}")
    solved = ~(none | signs.unsolved | signs.lost)
    _count(notes, signs.lost & (ids > 0), "have a phase, but no angles (NaN): they count as unindexed")
    blank = solved & signs.blank
    solved &= ~blank
    numbers = {number: k for k, number in enumerate(listed, 1)}
    zeros = solved & (ids == 0)
    if 0 not in numbers and zeros.any():
        numbers = _with_zero(numbers, ids, zeros, blank & (ids == 0), numbering, signs, where, notes)
    found, place = np.unique(np.where(none, -1, ids), return_inverse=True)
    phase = np.array([numbers.get(int(number), 0) for number in found], dtype=np.int32)[place]
    _count(notes, blank & (phase > 0), "have angles and a quality of 0: they count as unindexed")
    return np.where(solved, phase, 0).astype(np.int32)


def _with_zero(
    numbers: dict[int, int], ids: np.ndarray, zeros: np.ndarray, blank: np.ndarray, numbering: Numbering,
    signs: Signs, where: Where, notes: list[str],
) -> dict[int, int]:  # fmt: skip
    """Return the numbers of phases, with 0 resolved if points of phase 0 seem to have a solution."""
    listed = list(numbers)
    others = set(np.unique(ids[ids > 0]).astype(int))
    if numbering.alone and len(listed) == 1 and not others:
        return {**numbers, 0: 1}
    sound = zeros & (~signs.flat | (signs.score > 0))
    if not sound.any():
        return numbers
    if listed[-1] in others or (blank.any() and not numbering.alone):
        _count(notes, sound, "of phase 0 have angles: they count as unindexed, because the header lists no phase 0")
        return numbers
    shifted = listed == list(range(1, len(listed) + 1)) and {0, *others} == set(range(len(listed)))
    # If a threshold made points unindexed, their confidence is below that of all others.
    cut = signs.score[sound].max() < signs.score[ids > 0].min(initial=np.inf)
    if numbering.alone and shifted and not blank.any() and not cut and (sound & ~signs.flat).any():
        names = ", ".join(f"{number} {phase.name}" for number, phase in enumerate(numbering.phases.values()))
        notes.append(
            f"points of phase 0 have solutions and none has phase {listed[-1]}: phases are read as numbered from 0 "
            f"({names})"
        )
        return {number: number + 1 for number in range(len(listed))}
    i = int(np.argmax(sound))
    raise ImageError(
        f"{where(i, 'phase')} is 0 but the point has a solution, and no point has phase {listed[-1]}: 0 may be "
        f"unindexed or a phase, expected phases numbered {listed[0]} to {listed[-1]} as in the header"
    )


def _count(notes: list[str], where: np.ndarray, what: str) -> None:
    if number := int(where.sum()):
        notes.append(f"{number} points {what}")
