"""Stages of a calibration: each leaves its pieces in a folder with receipts, so that it can be looked at and resumed.

A stage is named, and has a key: the digest of its settings and of the keys of the stages that it needs. A receipt is a
line of ``NAME.jsonl``, written after the piece, with the digest of what the piece wrote. On a resume, pieces whose key
and digest agree are kept; the others are made again.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.boxes import Box, tiled
from nmcdist.calibration.spread import Spread
from nmcdist.calibration.stage_array import StageArray, digest_of_values, taken
from nmcdist.datasets.files import replacing
from nmcdist.errors import StoreError
from nmcdist.inputs import kind_of

STAGES = "stages"
Progress = Callable[[dict[str, Any]], None]
_DIMENSIONS = ("class", "z", "y", "x")  # of an image, or of one with a value for each class
_VERSION = 1  # of what stages write
_TOLD = 20  # reports of the progress of a stage
_IN_FILE = "in a file"  # facts of a piece that are arrays


@dataclass(frozen=True)
class Stage:
    """A finished stage.

    Attributes
    ----------
    name : str
    key : str
        Digest of its settings and of the stages before it.
    path : Path
        Of its Zarr array, or of the folder of its pieces.
    facts : list
        What each piece returned.
    """

    name: str
    key: str
    path: Path
    facts: list[Any]


class Stages:
    """The stages of a calibration in a folder.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    spread : callable
        Like the builtin `map`; pieces are its items.
    progress : callable
        Called with facts about each stage.
    """

    def __init__(self, folder: Path, spread: Spread = map, progress: Progress = lambda facts: None) -> None:
        self.folder, self.spread, self.progress = folder, spread, progress

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes off the folder.

        Raises
        ------
        StoreError
            If one works on it, or it holds anything but ordinary files and folders: what is written through a link
            would land elsewhere.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        _refuse_links(self.folder)
        with (self.folder / "lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StoreError(f"{self.folder}: another process works on it") from None
            yield

    def arrays(
        self, name: str, function: Callable[[Any], Mapping[str, Any]], items: Sequence[Any], after: Any,
        spread: Spread | None = None,
    ) -> Stage:  # fmt: skip
        """Make a stage whose pieces are named arrays, one file each.

        Parameters
        ----------
        name : str
        function : callable
            Returns the arrays of an item.
        items : sequence
        after : object
            Settings and keys of other stages, which JSON can hold: its digest is the key of the stage.
        spread : callable, optional
            Instead of that of all stages.

        Returns
        -------
        Stage
            Its facts are the arrays of each piece.
        """
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        jobs = [(folder / f"{number:05d}.npz", item) for number, item in enumerate(items)]
        key = _key(name, len(items), after)
        self._made(name, key, jobs, partial(_saved, function), _digest_of_file, spread)
        return Stage(name, key, folder, [_loaded(path) for path, _ in jobs])

    def recording(self, name: str, after: Any, spread: Spread | None = None) -> Spread:
        """Return a map whose results, tuples of arrays, are pieces of a stage; see :meth:`arrays`."""

        def recorded(function: Callable[..., Any], items: Iterable[Any]) -> Iterator[Any]:
            for found in self.arrays(name, partial(_by_number, function), list(items), after, spread).facts:
                yield _in_order(found)

        return recorded

    def once(self, name: str, function: Callable[[], Mapping[str, Any]], after: Any) -> Stage:
        """Make a stage of one piece in this process: named arrays, which the function returns."""
        return self.arrays(name, lambda _: function(), [None], after, map)

    def boxes(
        self, name: str, function: Callable[[Box], tuple[np.ndarray, Any]], shape: Sequence[int],
        edges: Sequence[int], dtype: str, voxel_size_nm: Sequence[float], after: Any,
    ) -> Stage:  # fmt: skip
        """Make a stage that is an image, box by box; each box is a chunk of a Zarr array.

        Parameters
        ----------
        name : str
        function : callable
            Returns the voxels of a box, and facts that JSON can hold.
        shape, edges : sequence of int
            Of the image and of a box.
        dtype : str
        voxel_size_nm : sequence of float
        after : object
            As for :meth:`arrays`.
        """
        path, boxes = self.folder / f"{name}.zarr", tiled(shape, edges)
        key = _key(name, [list(shape), list(edges), dtype], after)
        chunks = tuple(min(e, n) for e, n in zip(edges, shape, strict=True))
        self._prepare(name, key, path, tuple(shape), chunks, dtype, voxel_size_nm)
        jobs = [(path, box) for box in boxes]
        facts = self._made(name, key, jobs, partial(_written, function), _digest_of_box)
        return Stage(name, key, path, facts)

    def filled(
        self, name: str, array: StageArray, function: Callable[[Any], Any], items: Sequence[Any],
        boxes: Sequence[Box], voxel_size_nm: Sequence[float], after: Any,
    ) -> Stage:  # fmt: skip
        """Make a stage that is an image whose pieces write their boxes themselves.

        Parameters
        ----------
        name : str
        array : StageArray
            At ``NAME.zarr`` in the folder of the stages.
        function : callable
            Writes one box of the array, and returns what JSON can hold, or a tuple of arrays.
        items : sequence
        boxes : sequence of tuple of slice
            The box that each item writes: whole chunks.
        voxel_size_nm : sequence of float
        after : object
            As for :meth:`arrays`.

        Returns
        -------
        Stage
            Its facts are what the function returned.
        """
        key = _key(name, [list(array.shape), list(array.chunks), array.dtype.str, len(items)], after)
        self._prepare(name, key, array.path, array.shape, array.chunks, array.dtype, voxel_size_nm)
        folder = self.folder / name
        jobs = [(folder / f"{n:05d}.npz", work) for n, work in enumerate(zip(boxes, items, strict=True))]
        facts = self._made(name, key, jobs, partial(_filled, array, function), partial(_digest_of_filled, array))
        pairs = zip(facts, jobs, strict=True)
        found = [_in_order(_loaded(path)) if fact == _IN_FILE else fact for fact, (path, _) in pairs]
        return Stage(name, key, array.path, found)

    def has_receipts(self) -> bool:
        """Return whether a piece of any stage was made."""
        return any(len(path.read_bytes().splitlines()) > 1 for path in self.folder.glob("*.jsonl"))

    def _prepare(
        self, name: str, key: str, path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any,
        voxel_size_nm: Sequence[float],
    ) -> None:  # fmt: skip
        """Make the array of a stage, unless that of an earlier attempt is of the same key."""
        import zarr

        if self._journal(name, key) is not None and _is_array(path, shape, chunks, dtype):
            return
        self._forget(name)
        zarr.create_array(
            path, shape=shape, chunks=chunks, dtype=dtype, dimension_names=_DIMENSIONS[-len(shape) :],
            overwrite=True, zarr_format=3, attributes={"voxel_size_nm": [float(size) for size in voxel_size_nm]},
        )  # fmt: skip

    def _made(
        self, name: str, key: str, jobs: Sequence[tuple[Path, Any]], make: Callable[[Any], Any],
        digest: Callable[[Any], str], spread: Spread | None = None,
    ) -> list[Any]:  # fmt: skip
        """Make the pieces that are missing or damaged, and return the facts of all."""
        spread = spread or self.spread
        kept = self._sound(name, key, jobs, digest)
        todo = [number for number in range(len(jobs)) if number not in kept]
        self.progress({"event": "stage", "name": name, "pieces": len(jobs), "kept": len(kept)})
        self._rewrite(name, key, kept)
        step = max(1, len(todo) // _TOLD)
        with (self.folder / f"{name}.jsonl").open("a", encoding="utf-8") as journal:
            for count, (number, (written, facts)) in enumerate(
                zip(todo, spread(make, (jobs[number] for number in todo)), strict=True), 1
            ):
                kept[number] = {"piece": number, "sha256": _sealed(written, facts), "facts": facts}
                journal.write(json.dumps(kept[number]) + "\n")
                journal.flush()
                os.fsync(journal.fileno())
                if len(todo) >= _TOLD and count % step == 0:
                    self.progress({"event": "pieces", "name": name, "made": count, "of": len(todo)})
        return [kept[number]["facts"] for number in range(len(jobs))]

    def _sound(
        self, name: str, key: str, jobs: Sequence[tuple[Path, Any]], digest: Callable[[Any], str]
    ) -> dict[int, Any]:
        """Return the receipts of an earlier attempt whose pieces are as they were written."""
        found = self._journal(name, key) or {}
        numbers = [number for number in found if 0 <= number < len(jobs)]
        now = self.spread(digest, [jobs[number] for number in numbers])
        return {
            number: found[number]
            for number, written in zip(numbers, now, strict=True)
            if _sealed(written, found[number]["facts"]) == found[number]["sha256"]
        }

    def _journal(self, name: str, key: str) -> dict[int, Any] | None:
        """Return the receipts of a stage by piece; None if there is no journal with this key."""
        try:
            lines = (self.folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return None
        receipts = list(_objects(lines))
        if not receipts or receipts[0].get("key") != key:
            return None
        sound = (each for each in receipts[1:] if {"piece", "sha256", "facts"} <= each.keys())
        return {each["piece"]: each for each in sound if type(each["piece"]) is int}

    def _forget(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.folder / f"{name}.jsonl").unlink()

    def _rewrite(self, name: str, key: str, kept: Mapping[int, Any]) -> None:
        with replacing(self.folder / f"{name}.jsonl") as path:
            lines = [json.dumps({"stage": name, "key": key}), *(json.dumps(kept[number]) for number in sorted(kept))]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of lines, up to one that a crash cut off."""
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            return
        if not isinstance(found, dict):
            return
        yield found


def _sealed(written: str, facts: Any) -> str:
    """Return the digest of a receipt: of what was written, and of the facts."""
    return hashlib.sha256(f"{written} {json.dumps(facts, sort_keys=True)}".encode()).hexdigest()


def _refuse_links(folder: Path) -> None:
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            mode = (Path(root) / name).lstat().st_mode
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                raise StoreError(f"{Path(root) / name}: is {kind_of(mode)}, expected an ordinary file or folder")


def _is_array(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any) -> bool:
    """Return whether a stage's array is as it was made."""
    import zarr

    try:
        found = zarr.open_array(path, mode="r")
    except Exception:  # damaged metadata raises errors of any type
        return False
    return found.shape == shape and found.chunks == chunks and found.dtype == np.dtype(dtype)


def _key(name: str, what: Any, after: Any) -> str:
    text = json.dumps([_VERSION, name, what, after], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _by_number(function: Callable[[Any], Sequence[np.ndarray]], item: Any) -> dict[str, np.ndarray]:
    return {str(number): array for number, array in enumerate(function(item))}


def _in_order(found: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    return tuple(found[str(number)] for number in range(len(found)))


def _saved(function: Callable[[Any], Mapping[str, Any]], job: tuple[Path, Any]) -> tuple[str, None]:
    path, item = job
    content = io.BytesIO()
    np.savez(content, **function(item))  # first: a worker whose input is refused must not make a removed folder again
    with replacing(path) as partial_path:
        partial_path.write_bytes(content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest(), None


def _loaded(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); remove it, and continue with --resume") from None


def _digest_of_file(job: tuple[Path, Any]) -> str:
    try:
        return hashlib.sha256(job[0].read_bytes()).hexdigest()
    except OSError:
        return ""


def _written(function: Callable[[Box], tuple[np.ndarray, Any]], job: tuple[Path, Box]) -> tuple[str, Any]:
    import zarr

    path, box = job
    values, facts = function(box)
    array = zarr.open_array(path, mode="r+")
    array[box] = values
    return digest_of_values(np.asarray(values, array.dtype)), facts


def _digest_of_box(job: tuple[Path, Box]) -> str:
    import zarr

    path, box = job
    try:
        return digest_of_values(np.asarray(zarr.open_array(path, mode="r")[box]))
    except Exception:  # damaged chunks raise errors of any type
        return ""


def _filled(array: StageArray, function: Callable[[Any], Any], job: tuple[Path, tuple[Box, Any]]) -> tuple[str, Any]:
    path, (box, item) = job
    facts = function(item)
    written = taken(array, box)
    if isinstance(facts, tuple) and all(isinstance(part, np.ndarray) for part in facts):
        in_file, _ = _saved(partial(_by_number, lambda _: facts), (path, None))
        return f"{written} {in_file}", _IN_FILE
    return written, facts


def _digest_of_filled(array: StageArray, job: tuple[Path, tuple[Box, Any]]) -> str:
    path, (box, _) = job
    try:
        written = digest_of_values(array.recalled(box))
    except Exception:  # damaged chunks raise errors of any type
        return ""
    in_file = _digest_of_file((path, None))
    return f"{written} {in_file}" if in_file else written
