"""Segment a grey image by a net, in stages and boxes: probabilities of all classes, and labels."""

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle, save_bundle
from nmcdist.calibration.begun import MARK, REFUSED, marked
from nmcdist.calibration.boxes import Box
from nmcdist.calibration.fibsem.scribbles import Scribbles
from nmcdist.calibration.fibsem.stored import Grey
from nmcdist.calibration.segmenter.bundles import Segmenter, load_segmenter, tuned_bundle
from nmcdist.calibration.segmenter.draws import held, normal_stack
from nmcdist.calibration.segmenter.judged import TrueImage, TrueScribbles, judged
from nmcdist.calibration.segmenter.net import Net
from nmcdist.calibration.segmenter.normal import NormalStack
from nmcdist.calibration.segmenter.pictures import picture_stage
from nmcdist.calibration.segmenter.prepared import Prepared, prepared
from nmcdist.calibration.segmenter.tiles import box_probabilities, labels_of
from nmcdist.calibration.spread import Spread
from nmcdist.calibration.stages import Progress, Stage, Stages
from nmcdist.datasets.files import write_text
from nmcdist.errors import ImageError, InputError, StoreError
from nmcdist.images import Image, survey
from nmcdist.wording import in_utf8

PROBABILITY, LABELS, RESULTS, TUNED = "probability", "labels", "results.json", "tuned"
EDGES = (8, 1024, 1024)  # voxels of a box
PIECE_BYTES = 900_000_000  # of a box with what the net makes of it
_BEGUN = "segment"


def segmented(
    image: Image | np.ndarray, bundle: Bundle | str | Path | Segmenter, *, ramp: bool = True,
    drift_px: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Return the probability of each class in an image that fits into memory.

    Parameters
    ----------
    image : Image or ndarray, shape (nz, ny, nx)
        Grey; an array has the voxels of the training.
    bundle : Bundle, str, Path or Segmenter
        A bundle of model "segmenter", by name or path.
    ramp : bool
        Whether to take out the ramp of brightness of a FIB-SEM.
    drift_px : ndarray of float64, shape (nz, 2), optional
        Pixel (y, x) of a slice shows the structure at (y, x) + drift; the result is without drift.

    Returns
    -------
    ndarray of uint8, shape (classes, nz, ny, nx)
        255 is 1.

    Raises
    ------
    BundleError
        If the bundle is no segmenter, or its net gives other values here.
    ImageError
        If the image has no contrast.
    """
    segmenter = bundle if isinstance(bundle, Segmenter) else load_segmenter(bundle)
    if isinstance(image, np.ndarray):
        image = held(image, (segmenter.slice_nm, segmenter.pixel_nm, segmenter.pixel_nm))
    grey, _ = normal_stack(image, ramp and segmenter.instrument == "fib-sem", drift_px)
    return box_probabilities(segmenter.net, grey, tuple(slice(0, n) for n in image.shape))


def segment(
    image: Image, bundle: Bundle, out: Path, *, ramp: bool = True, drift: str | np.ndarray = "none",
    scribbles: Scribbles | None = None, reference: Image | None = None, held_out: Scribbles | None = None,
    seed: int = 1, resume: bool = False, edges: tuple[int, int, int] = EDGES, spread: Spread = map,
    progress: Progress = lambda facts: None,
) -> dict[str, Any]:  # fmt: skip
    """Segment an image into a folder, box by box.

    Parameters
    ----------
    image : Image
    bundle : Bundle
        Of model "segmenter".
    out : Path
        New folder for ``labels.zarr``, ``probability.zarr``, receipts and ``results.json``.
    ramp : bool
        Whether to take out the ramp of brightness of a FIB-SEM.
    drift : "none", "estimate" or ndarray of float64, shape (nz, 2)
        Pixel (y, x) of a slice shows the structure at (y, x) + drift; the result is without drift.
    scribbles : dict of int to ndarray of int, shape (ny, nx), optional
        Labels of some slices, 1 for the first class; 0 is not labelled. The last layers of the net learn them first.
    reference : Image, optional
        The true classes, without drift: 0 for the first class, 255 where nothing is known. The result is judged by it.
    held_out : dict of int to ndarray of int, shape (ny, nx), optional
        Labels like scribbles, which the net does not learn: instead of a reference.
    seed : int
        Of the learning, and of the bootstrap.
    resume : bool
        Whether the folder may hold boxes of an earlier attempt; those that fit are kept.
    edges : tuple of int
        Voxels of a box, and of a chunk.
    spread : callable
        Like the builtin `map`; boxes are its items.
    progress : callable
        Called with facts about each stage.

    Returns
    -------
    dict
        What ``results.json`` holds, with the `warnings` why the result may not be believed.

    Raises
    ------
    BundleError
        If the bundle is no segmenter, or its net gives other values here.
    ImageError
        If the image or the scribbles cannot be used.
    StoreError
        If the folder holds something else, or another process works on it.
    """
    segmenter, start = load_segmenter(bundle), time.process_time()
    truth = known_truth(image, segmenter, reference, held_out)
    if scribbles is not None:
        check_learnable(segmenter, scribbles)
    check_folder(out, resume)
    stages = Stages(out, spread, progress)
    with marked(stages, _BEGUN, partial(_clear, out, not os.path.lexists(out))):
        digest = survey(image, is_scanned=segmenter.instrument == "fib-sem").sha256
        ready = prepared(image, segmenter, stages, ramp=ramp, drift=drift, digest=digest)
        for warning in ready.warnings:
            progress({"event": "warning", "text": warning})
        after = [*ready.keys, segmenter.digest]
        if scribbles is not None:
            segmenter, key = _tuned(segmenter, ready, scribbles, stages, seed)
            after.append(key)
            _save_tuned(tuned_bundle(segmenter, bundle), out / TUNED)
        probability = probability_stage(stages, segmenter.net, ready.image, edges, image.voxel_size_nm, after)
        work = partial(_labels, Grey(probability.path, image.shape))
        labels = stages.boxes(LABELS, work, image.shape, edges, "uint8", image.voxel_size_nm, [probability.key])
        counts = np.sum(labels.facts, axis=0)
        shares = {name: float(n / counts.sum()) for name, n in zip(segmenter.classes, counts, strict=True)}
        results = {
            "image": in_utf8(image.path), "image_sha256": digest, "shape": list(image.shape),
            "voxel_size_nm": list(image.voxel_size_nm),
            "bundle": {"name": bundle.name, "sha256": bundle.content_hash}, "classes": list(segmenter.classes),
            "scribbled_slices": sorted(scribbles or {}), "shares": shares, **ready.facts, "warnings": ready.warnings,
            "choice": choice_of(ramp, drift, scribbles, truth, seed), "judged": None,
        }  # fmt: skip
        if isinstance(truth, TrueScribbles):
            truth = TrueScribbles(ready.stack.moved(truth.planes))
        if truth is not None:
            results["judged"] = judged(stages, truth, probability, labels, image, segmenter.classes, edges, seed)
        picture_stage(stages, ready, probability, labels, truth)
        results["cpu_s"] = round(time.process_time() - start, 2)
        write_text(out / RESULTS, json.dumps(results, indent=1) + "\n")
    return results


def choice_of(
    ramp: bool, drift: str | np.ndarray, scribbles: Scribbles | None, truth: TrueImage | TrueScribbles | None, seed: int
) -> dict[str, Any]:  # fmt: skip
    """Return what a segmentation hangs on besides its image and its bundle, with arrays as checksums."""
    return {
        "ramp": ramp,
        "drift": drift if isinstance(drift, str) else hashlib.sha256(np.asarray(drift, "<f8").tobytes()).hexdigest(),
        "scribbles": None if scribbles is None else TrueScribbles(scribbles).digest,
        "truth": None if truth is None else truth.digest,
        "seed": seed,
    }


def read_results(out: Path) -> dict[str, Any]:
    """Return the results of a finished segmentation; StoreError if they are missing or damaged."""
    try:
        found = json.loads((out / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{out}: holds no finished segmentation ({error})") from None
    if not isinstance(found, dict):
        raise StoreError(f"{out / RESULTS}: found no JSON object, expected the results of a segmentation")
    return found


def known_truth(
    image: Image, segmenter: Segmenter, reference: Image | None, held_out: Scribbles | None
) -> TrueImage | TrueScribbles | None:  # fmt: skip
    """Return what is known of the truth of an image, if anything.

    Raises
    ------
    ImageError
        If it does not fit the image or the classes.
    InputError
        If there are both a reference and labels that are held out.
    """
    if reference is not None and held_out is not None:
        raise InputError("held-out: found beside a reference, expected one of them")
    if held_out is not None:
        check_scribbles(held_out, segmenter.classes, "held-out labels")
        return TrueScribbles(held_out)
    return None if reference is None else TrueImage.of(reference, image, segmenter.classes)


def check_folder(out: Path, resume: bool) -> None:
    """Check that a segmentation can begin in a folder or, on a resume, go on.

    One that was refused for its input needs no resume: the corrected command goes on with what is whole.

    Raises
    ------
    StoreError
        If it is complete, or holds other files.
    """
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: is a file, expected a new or an empty folder")
    if (out / RESULTS).exists():
        raise StoreError(f"{out}: holds a complete segmentation, expected a new or an empty folder")
    if (out / MARK).is_file():
        if not resume and (out / MARK).read_text(encoding="utf-8", errors="replace").strip() != _BEGUN + REFUSED:
            raise StoreError(f"{out}: holds a segmentation that was stopped; --resume continues it")
    elif out.is_dir() and any(out.iterdir()):
        raise StoreError(f"{out}: holds other files, expected a new or an empty folder")


def _clear(out: Path, is_new: bool) -> None:
    """Remove the files of stages that hold nothing yet, and the folder, if it was made for them."""
    for path in list(out.iterdir()):
        if path.name in (MARK, "lock") or path.suffix == ".jsonl":
            path.unlink(missing_ok=True)
        elif path.is_dir():
            with contextlib.suppress(OSError):  # it holds other files by now
                path.rmdir()
    if is_new:
        with contextlib.suppress(OSError):
            out.rmdir()


def pieces_of(image: Image) -> int:
    """Return about how many boxes an image has."""
    return max(1, math.prod(image.shape) // math.prod(EDGES))


def probability_stage(
    stages: Stages, net: Net, image: NormalStack, edges: tuple[int, int, int], voxel_size_nm: tuple[float, ...],
    after: Any,
) -> Stage:  # fmt: skip
    """Return the stage of the probabilities of all classes, shape (classes, nz, ny, nx), as uint8: 255 is 1."""
    shape = (net.classes, *image.shape)
    work = partial(_probabilities, net, image)
    return stages.boxes(PROBABILITY, work, shape, (net.classes, *edges), "uint8", voxel_size_nm, after)


def _probabilities(net: Net, image: NormalStack, box: Box) -> tuple[np.ndarray, None]:
    return box_probabilities(net, image, box[1:]), None


def _labels(probability: Grey, box: Box) -> tuple[np.ndarray, list[int]]:
    shares = probability[(slice(None), *box)]
    found = labels_of(shares)
    return found, np.bincount(found.reshape(-1), minlength=len(shares)).tolist()


def _tuned(
    segmenter: Segmenter, ready: Prepared, scribbles: Scribbles, stages: Stages, seed: int
) -> tuple[Segmenter, str]:
    """Return a segmenter that learned scribbles, and the key of that stage."""
    from nmcdist.calibration.segmenter.tuning import tuned_weights

    scribbles = ready.stack.moved(scribbles)
    after = [*ready.keys, segmenter.digest, TrueScribbles(scribbles).digest, seed]
    stage = stages.once("tuning", lambda: tuned_weights(segmenter.net, ready.image, scribbles, seed), after)
    weights: Mapping[str, np.ndarray] = {**segmenter.net.weights, **stage.facts[0]}
    content = hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in stage.facts[0].values()))
    return segmenter.with_weights(weights), f"{stage.key} {content.hexdigest()}"


def check_learnable(segmenter: Segmenter, scribbles: Scribbles) -> None:
    """Refuse scribbles that a segmenter cannot learn.

    Raises
    ------
    ImageError
        If its net is a LeNet, or as :func:`check_scribbles`.
    """
    if not segmenter.net.widths:
        raise ImageError("scribbles: found a LeNet, expected a U-Net, whose last layers can learn them")
    check_scribbles(scribbles, segmenter.classes)


def check_scribbles(scribbles: Scribbles, classes: Sequence[str], what: str = "scribbles") -> None:
    """Refuse scribbles, called by a name, with labels of no class, or of a single one.

    Raises
    ------
    ImageError
    """
    found = sorted({int(v) for plane in scribbles.values() for v in np.unique(plane)} - {0})
    names = ", ".join(f"{number} ({name})" for number, name in enumerate(classes, 1))
    if any(not 1 <= label <= len(classes) for label in found) or len(found) < 2:
        raise ImageError(f"{what}: found the labels {found}, expected at least two of {names}")


def _save_tuned(bundle: Bundle, folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():  # of an attempt that was stopped
        for name in ("bundle.json", "arrays.safetensors"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
    save_bundle(bundle, folder)
