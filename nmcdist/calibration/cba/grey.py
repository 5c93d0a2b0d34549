"""A grey stack, with scribbles or a segmenter, to a bundle of the additive: labelled in stages, then fitted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.begun import begun
from nmcdist.calibration.cba.calibrate import calibrate_cba, check_options
from nmcdist.calibration.cba.counts import PHASE_LABELS
from nmcdist.calibration.cba.results import Results
from nmcdist.calibration.fibsem.labelling import CLASSES, HowToLabel, Labelled, label_stack, planes_of
from nmcdist.calibration.fibsem.scribbles import Scribbles
from nmcdist.calibration.segmenter.bundles import Segmenter
from nmcdist.calibration.segmenter.labelling import label_by
from nmcdist.calibration.spread import Spread
from nmcdist.calibration.stages import Progress
from nmcdist.datasets.files import replacing, write_text
from nmcdist.images import Image
from nmcdist.wording import in_utf8

LABELLING, PICTURES = "labelling.json", "pictures.npz"
_MOST_PICTURES = 3  # slices with scribbles that are shown
_SHOWN = 400  # cubic voxels along an edge of a picture


def calibrate_grey(
    image: Image,
    source: Scribbles | Segmenter,
    out: Path,
    how: HowToLabel,
    *,
    classes: Mapping[str, int] = CLASSES,
    resume: bool = False,
    spread: Spread = map,
    progress: Progress = lambda facts: None,
    **fit: Any,
) -> Results:
    """Label a grey stack, and fit the additive to the labels.

    Parameters
    ----------
    image : Image
        Slices along z.
    source : dict of int to ndarray of int, shape (ny, nx), or Segmenter
        Labels of some slices, 0 where not labelled; or a segmenter, which needs none.
    out : Path
        New folder for stages, bundle and results.
    how : HowToLabel
    classes : mapping of str to int
        Label of "pore", "carbon_binder" and "graphite" in the scribbles.
    resume : bool
        Whether the folder may hold stages of an earlier attempt; those that fit are kept.
    spread : callable
        Like the builtin `map`; boxes of an image, counts and replicates are its items.
    progress : callable
        Called with facts about each step.
    **fit
        For :func:`nmcdist.calibration.cba.calibrate.calibrate_cba`.

    Returns
    -------
    Results
        Also in ``results.json``; ``labelling.json`` says what the stages found.

    Raises
    ------
    ImageError
        If the stack or the scribbles are unusable.
    InputError
        If an option is impossible.
    StoreError
        If the folder holds something else, or another process works on it.
    """
    check_options(**fit)
    with begun(out, resume, "grey", spread, progress) as stages:
        if isinstance(source, Segmenter):
            labelled, scribbles = label_by(source, image, stages, how), {}
        else:
            labelled, scribbles = label_stack(image, source, stages, how, classes), source
        _write_pictures(out / PICTURES, labelled, scribbles)
        settings = {**vars(how), "drift": how.drift if isinstance(how.drift, str) else "given"}
        facts = {"image": in_utf8(image.path), "how": settings, "classes": dict(classes), **labelled.facts}
        write_text(out / LABELLING, json.dumps(facts, indent=1) + "\n")
        return calibrate_cba(
            [labelled.labels], out, phases=PHASE_LABELS, doubted=labelled.facts.get("warnings", ()), stages=stages,
            labelled_from=(image.path, labelled.facts["digest"]), spread=spread, progress=progress, **fit,
        )  # fmt: skip


def _write_pictures(path: Path, labelled: Labelled, scribbles: Scribbles) -> None:
    """Write what is shown of the slices with most scribbles, or without any of some slices: each stage, in a window."""
    chosen = sorted(sorted(scribbles, key=lambda z: -int((scribbles[z] > 0).sum()))[:_MOST_PICTURES])
    arrays: dict[str, np.ndarray] = {}
    scribbles = labelled.stack.moved(scribbles)
    for z in chosen or _spread_over(labelled.stack.shape[0]):
        window = _window(scribbles.get(z), labelled)
        y, x = (slice(part.start * f, part.stop * f) for part, f in zip(window, labelled.factors[1:], strict=True))
        if z in scribbles:
            arrays[f"{z}/scribbles"] = scribbles[z][y, x]
        arrays |= {f"{z}/{name}": plane for name, plane in planes_of(labelled, z, window)}
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _spread_over(count: int) -> list[int]:
    return sorted({(2 * k + 1) * count // (2 * _MOST_PICTURES) for k in range(_MOST_PICTURES)})


def _window(labels: np.ndarray | None, labelled: Labelled) -> tuple[slice, slice]:
    """Return a window of cubic voxels around the middle of the scribbles of a slice, or of the slice."""
    parts = []
    ny, nx = labelled.stack.shape[1:]
    places = (np.array([ny // 2]), np.array([nx // 2])) if labels is None else np.nonzero(labels)
    for at, factor, n in zip(places, labelled.factors[1:], labelled.labels.shape[1:], strict=True):
        first = min(max(0, int(at.mean()) // factor - _SHOWN // 2), max(0, n - _SHOWN))
        parts.append(slice(first, min(n, first + _SHOWN)))
    return parts[0], parts[1]
