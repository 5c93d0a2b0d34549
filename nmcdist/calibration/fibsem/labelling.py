"""From a grey stack to three-phase labels, in stages and in boxes (CBA paper, Secs. 2.3.1 and 2.3.2).

ramp, drift -> forest of pore and solid -> solid in cubic voxels -> forest of graphite -> graphite without small pieces
-> labels. No stage holds the stack in memory; each can be looked at and resumed.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.arguments import check_one_of
from nmcdist.calibration.fibsem.components import Grid
from nmcdist.calibration.fibsem.cubes import checked_factors
from nmcdist.calibration.fibsem.forest import TREES
from nmcdist.calibration.fibsem.graphite import GRAPHITE as IS_GRAPHITE
from nmcdist.calibration.fibsem.graphite import OTHER, SMOOTHING_VOXELS, train_graphite
from nmcdist.calibration.fibsem.graphite_stages import graphite_stage, label_stage, threshold_of
from nmcdist.calibration.fibsem.phases import cleaned, coarse_scribbles, solid_probability, train_phases
from nmcdist.calibration.fibsem.scribbles import Scribbles
from nmcdist.calibration.fibsem.stack import CorrectedStack, corrected_stack
from nmcdist.calibration.fibsem.stored import FULL, Stored, arrays_of, trained_of
from nmcdist.calibration.stages import Stage, Stages
from nmcdist.errors import ImageError, InputError
from nmcdist.images import Image, survey
from nmcdist.images.sources import Array

CLASSES = {"pore": 1, "carbon_binder": 2, "graphite": 3}  # labels of the scribbles
# Features, smoothing of the probability in voxels, radius of the closing in nm.
_GRAPHITE = {"plates": ("extended", SMOOTHING_VOXELS, 0.0), "paper": ("paper", 0.0, 200.0)}
CLOSINGS_NM = {name: closing for name, (_, _, closing) in _GRAPHITE.items()}
PIECE_BYTES = 1_400_000_000  # of a box with its surroundings and their features


@dataclass(frozen=True)
class HowToLabel:
    """The settings of a labelling.

    Attributes
    ----------
    seed : int
        Of the forests.
    trees : int
        Of each forest.
    cubic_nm : float, optional
        Edge of the cubic voxels; by default the longest edge of a voxel of the stack.
    ramp : bool
        Whether the ramp of brightness is taken out.
    drift : "none", "estimate" or ndarray of float64, shape (nz, 2)
        What is known of the drift; an array holds the shift of each slice in pixels along y and x.
    clean : bool
        Whether the solid is closed by a voxel, and all but its largest piece is removed, as in the paper.
    solid_threshold : float, optional
        Least probability of solid; by default that at which the votes of trees that did not see a pixel give the
        share of solid among the labelled pixels.
    graphite : {"plates", "paper"}
        "plates" adds features of thin plates to those of the paper, and takes the mean of the probability over the
        solid within a voxel or so; "paper" has the paper's features and closes graphite with a ball of 200 nm.
    threshold : float, optional
        Least probability of graphite; by default as of `solid_threshold`.
    quantile : float, optional
        Take this quantile of the probability of graphite as threshold: 0.85 in the paper.
    """

    seed: int = 1
    trees: int = TREES
    cubic_nm: float | None = None
    ramp: bool = True
    drift: str | np.ndarray = "none"
    clean: bool = False
    solid_threshold: float | None = None
    graphite: str = "plates"
    threshold: float | None = None
    quantile: float | None = None

    def __post_init__(self) -> None:
        check_one_of("graphite", self.graphite, tuple(_GRAPHITE))
        for name in ("solid_threshold", "threshold", "quantile"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise InputError(f"{name}: found {value:g}, expected a number between 0 and 1")
        if self.threshold is not None and self.quantile is not None:
            raise InputError("quantile: found beside a threshold, expected one of them")


@dataclass(frozen=True)
class Labelled:
    """A stack with a phase for each cubic voxel.

    Attributes
    ----------
    labels : Image
        0 pore, 1 carbon binder, 2 graphite.
    stack : CorrectedStack
    stages : dict of str to Stage
        Those that are images of cubic voxels.
    factors : tuple of int
        Voxels of the stack along each axis of a cubic voxel.
    facts : dict
        What each stage found, which JSON can hold.
    """

    labels: Image
    stack: CorrectedStack
    stages: dict[str, Stage]
    factors: tuple[int, int, int]
    facts: dict[str, Any]


def pieces_of(image: Image) -> int:
    """Return about how many pieces the longest stage of a stack has."""
    return max(1, math.prod(image.shape) // 2**23)


def label_stack(
    image: Image, scribbles: Scribbles, stages: Stages, how: HowToLabel, classes: Mapping[str, int] = CLASSES
) -> Labelled:
    """Label a grey stack from scribbles on a few slices.

    Parameters
    ----------
    image : Image
        Slices along z.
    scribbles : dict of int to ndarray of int, shape (ny, nx)
        Labels of some slices; 0 is not labelled.
    stages : Stages
    how : HowToLabel
    classes : mapping of str to int
        Label of "pore", "carbon_binder" and "graphite" in the scribbles.

    Raises
    ------
    ImageError
        If the stack is unusable, or the scribbles lack a class or hold another.
    InputError
        If voxels of the stack do not make up cubic voxels.
    """
    _check_classes(scribbles, classes)
    factors, voxel = checked_factors(image, how.cubic_nm)
    nz, ny, nx = (n // f for n, f in zip(image.shape, factors, strict=True))
    grid, digest = Grid((nz, ny, nx), (voxel,) * 3), survey(image, is_scanned=True).sha256
    stack, keys, facts = corrected_stack(image, stages, how.ramp, how.drift, digest)
    forests = [how.seed, how.trees, _digest_of(scribbles), dict(classes)]
    scribbles = stack.moved(scribbles)

    def phase_forest() -> dict[str, Any]:
        return arrays_of(train_phases(stack, scribbles, classes["pore"], how.seed, how.trees, stages.spread))

    first = stages.once("forest-phases", phase_forest, [keys, forests])
    phases = trained_of(first)
    found = {"solid": solid_probability(stages, stack, phases.forest, factors, grid, first.key)}
    above_pore = int(FULL * (how.solid_threshold or phases.threshold or 0.5))
    solid, before = Stored(found["solid"].path, grid.shape, above_pore), f"{found['solid'].key} {above_pore}"
    if how.clean:
        found["solid-clean"] = cleaned(stages, solid, grid, before)
        solid, before = Stored(found["solid-clean"].path, grid.shape), found["solid-clean"].key
    features, smoothing, closing_nm = _GRAPHITE[how.graphite]

    def graphite_forest() -> dict[str, Any]:
        names = {label: IS_GRAPHITE if name == "graphite" else OTHER for name, label in classes.items()}
        coarse = coarse_scribbles(scribbles, names, factors, grid.shape)
        return arrays_of(train_graphite(solid, coarse, how.seed, how.trees, stages.spread, features))

    second = stages.once("forest-graphite", graphite_forest, [before, forests, features])
    plates = trained_of(second)
    probability = graphite_stage(stages, solid, plates.forest, smoothing, grid, second.key)
    even = 0.5 if plates.threshold is None else 1 - plates.threshold  # of the second class, which is the rest
    above = threshold_of(probability, how.threshold or even, how.quantile)
    kept, labels = label_stage(stages, solid, probability, above, closing_nm, grid, before)
    found |= {"graphite-probability": probability, "graphite": kept, "labels": labels}
    facts |= {
        "digest": digest, "slices_with_scribbles": sorted(scribbles), "cubic_nm": voxel, "factors": list(factors),
        "confusion_of_phases": phases.confusion.tolist(), "confusion_of_graphite": plates.confusion.tolist(),
        "least_probability_of_solid": (above_pore + 1) / FULL, "least_probability_of_graphite": (above + 1) / FULL,
        "shares": shares_of(labels),
    }  # fmt: skip
    image_of = Image(Array(labels.path, grid.shape, np.dtype(np.uint8)), (0, 1, 2), grid.voxel_size_nm)
    return Labelled(image_of, stack, found, factors, facts)


def _check_classes(scribbles: Scribbles, classes: Mapping[str, int]) -> None:
    labels = {int(v) for plane in scribbles.values() for v in np.unique(plane)} - {0}
    wanted = ", ".join(f"{name}={classes[name]}" for name in CLASSES)
    if strange := sorted(labels - set(classes.values())):
        raise ImageError(f"scribbles: found the label {strange[0]}, expected {wanted}")
    for name in CLASSES:
        if classes[name] not in labels:
            raise ImageError(f"scribbles: found labels {sorted(labels)}, expected {wanted}; there is none of {name}")


def _digest_of(scribbles: Scribbles) -> str:
    digest = hashlib.sha256()
    for z in sorted(scribbles):
        digest.update(f"{z} {scribbles[z].shape}".encode())
        digest.update(np.ascontiguousarray(scribbles[z], "<i4").tobytes())
    return digest.hexdigest()


def shares_of(labels: Stage) -> dict[str, float]:
    """Return the share of each phase in a stage of labels."""
    counts = np.sum(labels.facts, axis=0)
    return {name: float(counts[k] / counts.sum()) for k, name in enumerate(CLASSES)}


def planes_of(labelled: Labelled, z: int, window: tuple[slice, slice]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a part of a slice at each stage, with the name of the stage.

    Parameters
    ----------
    labelled : Labelled
    z : int
        Slice of the stack.
    window : (slice, slice)
        Of cubic voxels along y and x.
    """
    import zarr

    at, k = slice(z, z + 1), min(z // labelled.factors[0], labelled.labels.shape[0] - 1)
    y, x = (slice(part.start * f, part.stop * f) for part, f in zip(window, labelled.factors[1:], strict=True))
    yield "grey", labelled.stack.image.read(at, y, x)[0]
    yield "corrected", labelled.stack.read(at, y, x)[0]
    for name, stage in labelled.stages.items():
        yield name, np.asarray(zarr.open_array(stage.path, mode="r")[(k, *window)])
