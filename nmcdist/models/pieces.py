"""The pieces of disconnected grains: each grain keeps its largest piece; neighbours get the others.

A cell of a generalised balanced power diagram need not be connected. The largest face-connected piece of a grain
keeps its label (in a tie, the first in the order z, y, x). Every other piece goes as a whole to the grain with which
it shares most faces (in a tie, the lowest label). A piece that touches only such pieces waits until they are
assigned; one that touches no grain becomes outside. After that, every grain is connected.
"""

from typing import NamedTuple

import numpy as np

from nmcdist.errors import InputError
from nmcdist.geometry.union_find import join, root
from nmcdist.jit import Int, kernel


class PieceCounts(NamedTuple):
    """Numbers of grains in several pieces, of moved pieces, and of their voxels."""

    grains: int
    pieces: int
    voxels: int


def merge_pieces(labels: np.ndarray) -> PieceCounts:
    """Give the smaller pieces of disconnected grains to their neighbours, in place.

    Parameters
    ----------
    labels : ndarray of int32, shape (nz, ny, nx), C-contiguous
        Grain labels, 0 outside; changed.

    Returns
    -------
    PieceCounts

    Raises
    ------
    InputError
        If the labels have another type, or are negative.
    """
    if type(labels) is not np.ndarray:
        raise InputError(f"labels: found {type(labels).__name__}, expected a NumPy array, which is changed in place")
    if labels.ndim != 3 or labels.dtype != np.int32 or not labels.flags.c_contiguous:
        raise InputError(
            f"labels: found {labels.dtype} of {labels.ndim} dimensions, expected contiguous int32 of three"
        )  # fmt: skip
    if labels.size and labels.min() < 0:
        raise InputError(f"labels: found {labels.min()}, expected labels of at least 0")
    first, runs = _find_runs(labels)
    roots = _join_runs(labels.shape, first, runs)
    sizes, main = _measure(runs, roots, labels.max(initial=0) + 1)
    owner = np.where(main[runs[:, 2]] == np.arange(len(runs)), runs[:, 2], -1)
    faces = _shared_faces(labels.shape, first, runs, roots, owner)
    pieces = np.flatnonzero((roots == np.arange(len(runs))) & (owner < 0))
    grains = len(np.unique(runs[pieces, 2]))
    faces = faces[np.lexsort((faces[:, 1], faces[:, 0]))]
    _settle(pieces, faces, np.searchsorted(faces[:, 0], pieces), np.searchsorted(faces[:, 0], pieces + 1), owner)
    _write(labels, first, runs, roots, owner)
    return PieceCounts(grains, len(pieces), int(sizes[pieces].sum()))


@kernel
def _find_runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each row's first run, and the begin, end and label of each run."""
    nz, ny, nx = labels.shape
    first = np.zeros(nz * ny + 1, np.int64)
    for z in range(nz):
        for y in range(ny):
            count = 0
            before = np.int32(0)
            for x in range(nx):
                here = labels[z, y, x]
                if here != before and here != 0:
                    count += 1
                before = here
            first[z * ny + y + 1] = first[z * ny + y] + count
    runs = np.empty((first[-1], 3), np.int32)
    run = -1
    for z in range(nz):
        for y in range(ny):
            before = np.int32(0)
            for x in range(nx):
                here = labels[z, y, x]
                if here != before:
                    if before != 0:
                        runs[run, 1] = x
                    if here != 0:
                        run += 1
                        runs[run, 0], runs[run, 2] = x, here
                before = here
            if before != 0:
                runs[run, 1] = nx
    return first, runs


@kernel
def _join_runs(shape: tuple[int, int, int], first: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Return, for each run, the first run of its piece."""
    nz, ny, _ = shape
    parents = np.arange(len(runs))
    for z in range(nz):
        for y in range(ny):
            row = z * ny + y
            for side in range(2):
                if (y if side == 0 else z) == 0:
                    continue
                other = row - (1 if side == 0 else ny)
                a, b = first[row], first[other]
                while a < first[row + 1] and b < first[other + 1]:
                    overlap = min(runs[a, 1], runs[b, 1]) - max(runs[a, 0], runs[b, 0])
                    if overlap > 0 and runs[a, 2] == runs[b, 2]:
                        join(parents, a, b)
                    if runs[a, 1] < runs[b, 1]:
                        a += 1
                    else:
                        b += 1
    for run in range(len(runs)):
        parents[run] = root(parents, run)
    return parents


@kernel
def _measure(runs: np.ndarray, roots: np.ndarray, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels of each piece, stored at its first run, and the largest piece of each label."""
    sizes = np.zeros(len(runs), np.int64)
    for run in range(len(runs)):
        sizes[roots[run]] += runs[run, 1] - runs[run, 0]
    main = np.full(labels, -1, np.int64)
    for run in range(len(runs)):
        label = runs[run, 2]
        if roots[run] == run and (main[label] < 0 or sizes[run] > sizes[main[label]]):
            main[label] = run
    return sizes, main


@kernel
def _shared_faces(
    shape: tuple[int, int, int], first: np.ndarray, runs: np.ndarray, roots: np.ndarray, owner: np.ndarray
) -> np.ndarray:
    """Return rows of a piece without owner, a piece that it touches, and the number of faces shared there."""
    nz, ny, _ = shape
    # Typed numbers: with plain 0 and 1, `_note` would be compiled four times.
    n: Int = np.int64(0)
    faces, one = np.empty((1024, 3), np.int64), np.int64(1)
    for z in range(nz):
        for y in range(ny):
            row = z * ny + y
            for a in range(first[row], first[row + 1] - 1):
                if runs[a, 1] == runs[a + 1, 0]:
                    faces, n = _note(faces, n, roots[a], roots[a + 1], one, owner)
            for side in range(2):
                if (y if side == 0 else z) == 0:
                    continue
                other = row - (1 if side == 0 else ny)
                a, b = first[row], first[other]
                while a < first[row + 1] and b < first[other + 1]:
                    overlap = np.int64(min(runs[a, 1], runs[b, 1]) - max(runs[a, 0], runs[b, 0]))
                    if overlap > 0:
                        faces, n = _note(faces, n, roots[a], roots[b], overlap, owner)
                    if runs[a, 1] < runs[b, 1]:
                        a += 1
                    else:
                        b += 1
    return faces[:n].copy()


@kernel
def _note(faces: np.ndarray, n: Int, one: int, two: int, count: Int, owner: np.ndarray) -> tuple[np.ndarray, Int]:
    if one == two or (owner[one] >= 0 and owner[two] >= 0):
        return faces, n
    if n + 2 > len(faces):
        longer = np.empty((2 * len(faces), 3), np.int64)
        for k in range(n):
            for column in range(3):
                longer[k, column] = faces[k, column]
        faces = longer
    if owner[one] < 0:
        faces[n, 0], faces[n, 1], faces[n, 2] = one, two, count
        n += 1
    if owner[two] < 0:
        faces[n, 0], faces[n, 1], faces[n, 2] = two, one, count
        n += 1
    return faces, n


@kernel
def _settle(pieces: np.ndarray, faces: np.ndarray, begin: np.ndarray, end: np.ndarray, owner: np.ndarray) -> None:
    """Assign an owner to each piece, round by round; a round uses the owners from earlier rounds."""
    longest = 0
    for p in range(len(pieces)):
        longest = max(longest, end[p] - begin[p])
    labels, counts = np.empty(longest, np.int64), np.empty(longest, np.int64)
    chosen = np.full(len(pieces), -1, np.int64)
    moved = True
    while moved:
        moved = False
        for p in range(len(pieces)):
            if owner[pieces[p]] < 0:
                chosen[p] = _most_shared(faces, begin[p], end[p], owner, labels, counts)
        for p in range(len(pieces)):
            if owner[pieces[p]] < 0 and chosen[p] > 0:
                owner[pieces[p]] = chosen[p]
                moved = True
    for p in range(len(pieces)):
        owner[pieces[p]] = max(owner[pieces[p]], 0)


@kernel
def _most_shared(
    faces: np.ndarray, begin: int, end: int, owner: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> int:
    n = 0
    for f in range(begin, end):
        label = owner[faces[f, 1]]
        if label < 0:
            continue
        k = 0
        while k < n and labels[k] != label:
            k += 1
        if k == n:
            labels[n], counts[n] = label, 0
            n += 1
        counts[k] += faces[f, 2]
    best = -1
    for k in range(n):
        if best < 0 or counts[k] > counts[best] or (counts[k] == counts[best] and labels[k] < labels[best]):
            best = k
    return labels[best] if best >= 0 else -1


@kernel
def _write(labels: np.ndarray, first: np.ndarray, runs: np.ndarray, roots: np.ndarray, owner: np.ndarray) -> None:
    nz, ny, _ = labels.shape
    for z in range(nz):
        for y in range(ny):
            for run in range(first[z * ny + y], first[z * ny + y + 1]):
                label = owner[roots[run]]
                if label != runs[run, 2]:
                    for x in range(runs[run, 0], runs[run, 1]):
                        labels[z, y, x] = label
