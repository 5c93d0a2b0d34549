"""A trained net for super-resolution: it gives the scores of the phases in the eight parts of each voxel.

Its layers run as kernels, so the scores are the same bits on every machine, and windows agree where they overlap.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nmcdist.bundle import Bundle, SuperresParameters
from nmcdist.bundle.schema import Calibration, validated
from nmcdist.bundle.superres import FACTOR
from nmcdist.errors import BundleError
from nmcdist.geometry.convolution import convolved

CENTRE, MAJORITY = "centre", "majority"  # what the label of a coarse voxel is


@dataclass(frozen=True)
class Net:
    """A net with what it was trained for.

    Attributes
    ----------
    layers : tuple of (ndarray of float32, ndarray of float32)
        Weights of shape (co, ci, k, k, k), and biases of shape (co,).
    phases : tuple of str
        Names of the labels 0, 1, ...
    fine_voxel_nm : float
        Voxel edge of the result; those of the volumes that it takes are twice as long.
    correlation_nm : float
        Of the field that draws labels; see :mod:`nmcdist.learning.refine.labels`.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    phases: tuple[str, ...]
    fine_voxel_nm: float
    correlation_nm: float

    @classmethod
    def of(cls, bundle: Bundle) -> "Net":
        """Return the net in a bundle.

        Raises
        ------
        BundleError
            If the bundle is of another model, or does not say its phases.
        """
        about = bundle.parameters_as(SuperresParameters)
        arrays, phases = bundle.arrays, bundle.texts.get("phases", ())
        number = int(bundle.array_records["weight_0"].shape[1])
        if len(set(phases)) != len(phases) or len(phases) != number:
            raise BundleError(
                f"bundle {bundle.name!r}: texts.phases: found {list(phases)}, expected {number} different names"
            )
        layers = tuple(
            (np.asarray(arrays[f"weight_{layer}"], "f4"), np.asarray(arrays[f"bias_{layer}"], "f4"))
            for layer in range(len(arrays) // 2)
        )
        return cls(layers, phases, about.fine_voxel_nm, about.correlation_nm)

    def bundle(self, name: str, title: str, coarse: str, trained_on: str, calibration: Calibration) -> Bundle:
        """Return the net as a bundle with its arrays.

        Parameters
        ----------
        name, title : str
        coarse : {"centre", "majority"}
            What a coarse voxel of the training shows.
        trained_on : str
            Name of the bundle that was drawn.
        calibration : Calibration
        """
        arrays: dict[str, np.ndarray] = {}
        for layer, (weights, bias) in enumerate(self.layers):
            arrays |= {f"weight_{layer}": weights, f"bias_{layer}": bias}
        parameters = SuperresParameters(
            coarse_voxel_nm=self.coarse_voxel_nm, fine_voxel_nm=self.fine_voxel_nm, correlation_nm=self.correlation_nm
        )
        content = Bundle.of(
            name, title, parameters, licence="CC-BY-4.0", provenance="fitted", source="training of the net",
            calibration=calibration, arrays=arrays,
        ).model_dump(by_alias=True)  # fmt: skip
        content["texts"] = {"phases": self.phases, "coarse": (coarse,), "trained_on": (trained_on,)}
        return validated(content, f"bundle {name!r}").with_arrays(arrays)

    @property
    def coarse_voxel_nm(self) -> float:
        """Voxel edge of the volumes that it takes."""
        return FACTOR * self.fine_voxel_nm

    @property
    def reach(self) -> int:
        """Width in voxels of the rim that it needs around a window."""
        return sum(weights.shape[2] // 2 for weights, _ in self.layers)

    @property
    def channels(self) -> int:
        """Largest number of channels that are in memory at a time: those of a layer and of the next."""
        widths = [len(self.phases), *(len(bias) for _, bias in self.layers)]
        return max(a + b for a, b in pairwise(widths))

    def scores(self, labels: np.ndarray) -> np.ndarray:
        """Return the scores of the phases in the voxels of the result.

        Parameters
        ----------
        labels : ndarray of uint8, shape (nz + 2 r, ny + 2 r, nx + 2 r)
            A window with a rim of r = `reach` voxels; labels 0, 1, ...

        Returns
        -------
        ndarray of float32, shape (phases, 2 nz, 2 ny, 2 nx)
            Logarithms of the probabilities, up to a number that is the same for all phases.
        """
        image = indicators(labels, len(self.phases))
        for number, (weights, bias) in enumerate(self.layers, 1):
            image = convolved(image, weights, bias, rectified=number < len(self.layers))
        return in_space(image, len(self.phases))


def indicators(labels: np.ndarray, phases: int) -> np.ndarray:
    """Return the indicator function of each phase, float32 of shape (phases, nz, ny, nx)."""
    return np.stack([labels == phase for phase in range(phases)]).astype(np.float32)


def in_space(channels: np.ndarray, phases: int) -> np.ndarray:
    """Return the scores of the eight parts of each voxel where the parts lie, from channels by phase and part."""
    nz, ny, nx = channels.shape[1:]
    parts = channels.reshape(phases, FACTOR, FACTOR, FACTOR, nz, ny, nx).transpose(0, 4, 1, 5, 2, 6, 3)
    return np.ascontiguousarray(parts).reshape(phases, FACTOR * nz, FACTOR * ny, FACTOR * nx)
