"""Find the points of a map with a solution, and their phase: programs mark and number these differently."""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.ebsd.grid import Where
from nmcdist.calibration.ebsd.scan import Phase
from nmcdist.errors import ImageError


@dataclass(frozen=True)
class Signs:
    """The signs of a solution besides the phase.

    `euler` (n, 3); `unsolved` (n,) is where the format itself says that there is none; `score` (n,) is above 0 for
    a solution (a confidence, or a misfit); `image` (n,) is above 0 for a pattern. The last two may be NaN throughout.
    """

    euler: np.ndarray
    unsolved: np.ndarray
    score: np.ndarray
    image: np.ndarray

    @property
    def lost(self) -> np.ndarray:
        """Return the points whose angles are all NaN, unless all points are."""
        lost = np.isnan(self.euler).all(axis=1)
        return np.asarray(lost & ~lost.all())

    @property
    def flat(self) -> np.ndarray:
        """Return where all angles are exactly 0, as many programs write them for no solution."""
        return np.asarray((self.euler == 0).all(axis=1))

    @property
    def blank(self) -> np.ndarray:
        """Return where all angles are 0, and the score or the image too, which is not 0 everywhere."""
        telling = [(values == 0) & (values > 0).any() for values in (self.score, self.image)]
        return np.asarray(self.flat & ~(self.score > 0) & np.any(telling, axis=0))


@dataclass(frozen=True)
class Numbering:
    """The numbers of the phases in a header, in order, and the format's rule for 0 if it is none of them.

    `alone`: whether 0 is the phase of a map that has one phase and no point of another number, as EDAX writes it;
    elsewhere 0 is unindexed. `wanted` says which numbers are expected.
    """

    phases: dict[int, Phase]
    alone: bool
    wanted: str


def edax_numbering(phases: dict[int, Phase]) -> Numbering:
    """Return the numbering of EDAX and of those who write its formats."""
    known = ", ".join(map(str, sorted({0, *phases})))
    return Numbering(phases, True, f"one of {known}")


def oxford_numbering(phases: tuple[Phase, ...]) -> Numbering:
    """Return the numbering of Oxford and of those who write its formats."""
    return Numbering(dict(enumerate(phases, 1)), False, f"0 (unindexed) to {len(phases)}")


def number_phases(ids: np.ndarray, numbering: Numbering, signs: Signs, where: Where, notes: list[str]) -> np.ndarray:
    """Return 1 for the first phase of the header, and so on; 0 for points without a solution: int32, shape (n,).

    Unindexed are: points of no phase (-1 or NaN, as orix writes), those that the format marks, those whose angles
    are all NaN, those whose angles and quality are all 0, and those of phase 0, if it is not a phase.

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
    """Return the numbers of phases with the meaning of 0, if points of phase 0 seem to have a solution."""
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
    # Points that a threshold of the confidence made unindexed are all below the others.
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
