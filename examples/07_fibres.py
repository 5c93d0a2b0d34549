"""A new kind of dataset in one file: a Boolean model of fibres, with plan, run, report, export and the rest.

Germs of a Poisson process carry cylinders with round ends, of one length and radius, in directions without preference.
Run it as it is for a small dataset and a picture in its report; or give the kind to the command line:

    NMCDIST_KINDS=07_fibres PYTHONPATH=examples nmcdist run fibres.yaml
"""

import math
import sys
from pathlib import Path
from typing import Literal

import numpy as np

import nmcdist
from nmcdist.bundle import Bundle, Parameters, quantity, register_model, save_bundle
from nmcdist.datasets.layout import Box
from nmcdist.descriptors import geodesic_tortuosity, intrinsic_volumes, volume_fraction
from nmcdist.descriptors.quantity import Quantity
from nmcdist.jit import kernel
from nmcdist.models.streams import draws
from nmcdist.products.volumes.kind import VolumeKind
from nmcdist.products.volumes.recipe import VolumeRecipe

FIBRES = 1001  # number of the random stream; those below 1000 are nmcdist's own


class FibreParameters(Parameters):
    """What a bundle of this model says."""

    intensity_per_nm3: float = quantity("nm^-3", "intensity of the germs", gt=0)
    length_nm: float = quantity("nm", "length of the axis of a fibre", gt=0)
    radius_nm: float = quantity("nm", "radius of a fibre", gt=0)


class FibreRecipe(VolumeRecipe):
    """A dataset of fibres: 0 pore, 1 fibre."""

    kind: Literal["fibres"] = "fibres"


class Fibres(VolumeKind):
    """The Boolean model of fibres."""

    name = "fibres"
    recipe = FibreRecipe
    phases = ("pore", "fibre")
    quantities = (
        Quantity("fibre_fraction", (), "1", "volume fraction of fibres", "share of voxel centres",
                 measure=lambda volume: volume_fraction(volume.labels == 1)),
        Quantity("surface_area", (), "nm^-1", "surface area of fibres per volume", "weights on 2x2x2 configurations",
                 measure=lambda volume: intrinsic_volumes(volume.labels == 1, volume.voxel_size_nm).surface_area),
        Quantity("pore_tortuosity_z", (), "1", "mean geodesic tortuosity of the pores along z", "26 neighbours",
                 measure=lambda volume: geodesic_tortuosity(volume.labels == 0, axis=0)),
    )  # fmt: skip

    def draw(self, bundle: Bundle, recipe: FibreRecipe, item: int, window: Box) -> np.ndarray:
        """Draw one volume: germs in the box and around it, as far as a fibre reaches."""
        law = bundle.parameters
        assert isinstance(law, FibreParameters)
        stream = draws(recipe.seed, FIBRES, item)
        reach = law.length_nm / 2 + law.radius_nm
        edges = np.array([(stop - start) * recipe.volume.voxel_size_nm for start, stop in window])
        box = edges + 2 * reach
        count = stream.poisson(law.intensity_per_nm3 * float(np.prod(box)))
        centres, directions = stream.uniform(count, 3) * box - reach, stream.normal(count, 3)
        labels = np.zeros([stop - start for start, stop in window], dtype=np.uint8)
        fill(labels, centres, directions, law.length_nm, law.radius_nm, recipe.volume.voxel_size_nm)
        return labels


@kernel
def fill(labels, centres, directions, length, radius, step):
    """Set the voxels whose centres lie in a fibre."""
    reach = length / 2 + radius
    for k in range(len(centres)):
        axis = directions[k] / math.sqrt(directions[k, 0] ** 2 + directions[k, 1] ** 2 + directions[k, 2] ** 2)
        low = [max(0, int((centres[k, a] - reach) / step)) for a in range(3)]
        high = [min(labels.shape[a], int((centres[k, a] + reach) / step) + 1) for a in range(3)]
        for z in range(low[0], high[0]):
            for y in range(low[1], high[1]):
                for x in range(low[2], high[2]):
                    dz, dy, dx = (z + 0.5) * step, (y + 0.5) * step, (x + 0.5) * step
                    dz, dy, dx = dz - centres[k, 0], dy - centres[k, 1], dx - centres[k, 2]
                    along = dz * axis[0] + dy * axis[1] + dx * axis[2]
                    along = min(max(along, -length / 2), length / 2)
                    off = (dz - along * axis[0]) ** 2 + (dy - along * axis[1]) ** 2 + (dx - along * axis[2]) ** 2
                    if off <= radius**2:
                        labels[z, y, x] = 1


register_model("round-fibres", FibreParameters)
nmcdist.register_kind(Fibres())


def fraction_by_theory(law: FibreParameters) -> float:
    """Return the volume fraction 1 - exp(-intensity * volume of a fibre)."""
    volume = math.pi * law.radius_nm**2 * law.length_nm + 4 / 3 * math.pi * law.radius_nm**3
    return 1 - math.exp(-law.intensity_per_nm3 * volume)


def make_bundle(folder: Path) -> Path:
    """Write the bundle that the recipe names; its values are this example's choice."""
    values = {"intensity_per_nm3": (2e-9, "nm^-3"), "length_nm": (1500.0, "nm"), "radius_nm": (120.0, "nm")}
    return save_bundle(Bundle.model_validate({
        "name": "fibres", "title": "Fibres of an example", "licence": "CC0-1.0", "model": "round-fibres",
        "parameters": {name: {"value": value, "unit": unit, "provenance": "assumed", "source": "example"}
                       for name, (value, unit) in values.items()},
        "calibration": {"data": "none", "method": "none", "date": "2026-11-28"},
    }), folder / "fibre-bundle")  # fmt: skip


def main(folder: Path) -> None:
    """Make a small dataset and its report, and set the measured volume fraction beside theory."""
    bundle = make_bundle(folder)
    recipe = {
        "kind": "fibres", "name": "fibres", "version": "1.0.0", "title": "Fibres", "bundle": str(bundle), "seed": 1,
        "volume": {"shape": [64, 64, 64], "voxel_size_nm": 50.0}, "realisations": 12,
    }  # fmt: skip
    result = nmcdist.run(recipe, folder, workers=0)
    fraction = nmcdist.open_store(result.store)["fibre_fraction"].values
    error = fraction.std(ddof=1) / math.sqrt(len(fraction))
    law = nmcdist.load_bundle(bundle).parameters
    assert isinstance(law, FibreParameters)
    print(f"fibre fraction: theory {fraction_by_theory(law):.4f}, measured {fraction.mean():.4f} +- {error:.4f}")
    print(nmcdist.build_report(result.store))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
