"""Segmenters as bundles: weights, classes, the voxels and ranges of the training, statistics, and a probe."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, SegmenterParameters, resolved
from nmcdist.bundle.schema import Calibration, validated
from nmcdist.bundle.segmenter import CENTRE, PROBE, WHITENING
from nmcdist.calibration.segmenter.net import Net
from nmcdist.calibration.segmenter.outside import Reference
from nmcdist.calibration.segmenter.recipe import CLASSES, INSTRUMENTS
from nmcdist.calibration.segmenter.statistics import NAMES
from nmcdist.calibration.segmenter.tiles import padded, stored
from nmcdist.errors import BundleError

_TUNED = "-tuned"


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A trained segmenter.

    Attributes
    ----------
    net : Net
    instrument : {"fib-sem", "nano-ct"}
    classes : tuple of str
    pixel_nm, slice_nm : float
        Edge of the pixels, and distance of the slices, of the training.
    reference : Reference
        Statistics of the images of the training.
    ranges : tuple of str
        What the settings of the training were, one line for each.
    probe : ndarray of float32, shape (planes, ny, nx)
        A normalised image on which the net is checked.
    digest : str
        SHA-256 of the content of the bundle.
    """

    net: Net
    instrument: str
    classes: tuple[str, ...]
    pixel_nm: float
    slice_nm: float
    reference: Reference
    ranges: tuple[str, ...]
    probe: np.ndarray
    digest: str = ""

    def with_weights(self, weights: Mapping[str, np.ndarray]) -> "Segmenter":
        """Return a copy with other weights."""
        return Segmenter(**{**vars(self), "net": Net(self.net.widths, weights)})


def load_segmenter(bundle: Bundle | str | Path) -> Segmenter:
    """Load a segmenter, and check that its net gives here what it gave where it was trained.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A bundle, the name of a built-in one, or a folder.

    Raises
    ------
    BundleError
        If it cannot be read, is of another model, lacks a part, or gives other probabilities for its probe.
    """
    found = resolved(bundle)
    about = found.parameters_as(SegmenterParameters)
    texts = {name: found.texts.get(name, ()) for name in ("instrument", "classes", "ranges", "statistics", "probe")}
    instrument = (texts["instrument"] or ("none",))[0]
    if instrument not in INSTRUMENTS:
        expected = " or ".join(INSTRUMENTS)
        raise BundleError(f"bundle {found.name!r}: found the instrument {instrument}, expected {expected}")
    special = (PROBE, CENTRE, WHITENING)
    net = Net(tuple(map(int, about.widths)), {n: a for n, a in found.arrays.items() if n not in special})
    for name, known in (("classes", CLASSES[instrument]), ("statistics", NAMES)):
        if texts[name] != known:
            raise BundleError(f"bundle {found.name!r}: found the {name} {list(texts[name])}, expected {list(known)}")
    if net.classes != len(texts["classes"]):
        raise BundleError(
            f"bundle {found.name!r}: found a net of {net.classes} classes, expected {len(texts['classes'])}"
        )
    reference = Reference(found.arrays[CENTRE], found.arrays[WHITENING], about.distance_limit)
    if len(reference.centre) != len(NAMES):
        raise BundleError(f"bundle {found.name!r}: found {len(reference.centre)} statistics, expected {len(NAMES)}")
    segmenter = Segmenter(
        net, instrument, texts["classes"], about.pixel_nm, about.slice_nm, reference, texts["ranges"],
        found.arrays[PROBE], found.content_hash,
    )  # fmt: skip
    expected, here = (texts["probe"] or ("",))[0], probe_digest(net, segmenter.probe)
    if here != expected:
        raise BundleError(
            f"bundle {found.name!r}: the net gives other probabilities for its probe here (sha256 {here[:12]}) than "
            f"where it was trained ({expected[:12]}); do not use it on this machine"
        )
    return segmenter


def bundle_of(segmenter: Segmenter, name: str, title: str, licence: str, calibration: Calibration) -> Bundle:
    """Return a segmenter as a bundle with its arrays."""
    net, reference = segmenter.net, segmenter.reference
    parameters = SegmenterParameters(
        widths=tuple(map(float, net.widths)), pixel_nm=segmenter.pixel_nm, slice_nm=segmenter.slice_nm,
        distance_limit=reference.limit,
    )  # fmt: skip
    arrays = {**net.weights, CENTRE: reference.centre, WHITENING: reference.whitening, PROBE: segmenter.probe}
    plain = Bundle.of(
        name, title, parameters, licence=licence, provenance="fitted", source="training of the segmenter",
        calibration=calibration, arrays=arrays,
    )  # fmt: skip
    content = plain.model_dump(by_alias=True)
    content["texts"] = {
        "model": ("unet" if net.widths else "lenet",), "instrument": (segmenter.instrument,),
        "classes": segmenter.classes, "ranges": segmenter.ranges, "statistics": NAMES,
        "probe": (probe_digest(net, segmenter.probe),),
    }  # fmt: skip
    return validated(content, f"bundle {name!r}").with_arrays(arrays)


def tuned_bundle(segmenter: Segmenter, bundle: Bundle) -> Bundle:
    """Return the bundle of a segmenter that learned scribbles, beside the bundle that it was before."""
    calibration = bundle.calibration.model_copy(update={
        "method": f"{bundle.calibration.method}; last layers tuned on scribbles", "date": date.today().isoformat(),
    })  # fmt: skip
    name = bundle.name if bundle.name.endswith(_TUNED) else f"{bundle.name}{_TUNED}"
    return bundle_of(segmenter, name, bundle.title, bundle.licence, calibration)


def probe_digest(net: Net, probe: np.ndarray) -> str:
    """Return the SHA-256 of the probabilities of a probe, as they are kept."""
    found = stored(net.probabilities(padded(probe, net)))[:, : probe.shape[1], : probe.shape[2]]
    return hashlib.sha256(np.ascontiguousarray(found).data).hexdigest()
