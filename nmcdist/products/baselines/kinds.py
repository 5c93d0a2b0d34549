"""The baseline generators as kinds: fibres, balls, packings, Gaussian fields, annealed media, training images, a net.

Each is endless, so that a window of it can be drawn anywhere and volumes can be made in blocks, or fills one box.
"""

import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from nmcdist.bundle import (
    AnnealedParameters,
    Bundle,
    ElectrodeParameters,
    FibreParameters,
    LevelCutParameters,
    NeuralParameters,
    PackingParameters,
    Parameters,
    PatternsParameters,
    SphereParameters,
)
from nmcdist.datasets.layout import Box, Shape
from nmcdist.errors import BundleError, InputError
from nmcdist.products.kind import Site
from nmcdist.products.registry import register
from nmcdist.products.volumes.additive_recipe import DescriptorSpec
from nmcdist.products.volumes.labelled import LabelledKind
from nmcdist.products.volumes.plan import VolumePlan
from nmcdist.products.volumes.recipe import VolumeRecipe

if TYPE_CHECKING:
    from nmcdist.descriptors.labelled import Scheme
    from nmcdist.report.render import Part


class BaselineRecipe(VolumeRecipe):
    """A dataset of label volumes of a baseline generator."""

    descriptors: DescriptorSpec | None = DescriptorSpec()


class Baseline(LabelledKind):
    """A baseline generator.

    Attributes
    ----------
    parameters : type
        Parameters of its bundles.
    generator : str
        Module of :mod:`nmcdist.models`, and the function there that draws a volume.
    """

    parameters: ClassVar[type[Parameters]]
    generator: ClassVar[tuple[str, str]]
    phases: ClassVar[tuple[str, ...]] = ("pore", "solid")

    def plan(self, recipe: Any, bundle: Bundle, site: Site) -> VolumePlan:
        """Plan a run; a bundle of another model is refused."""
        bundle.parameters_as(self.parameters)
        return super().plan(recipe, bundle, site)

    def draw(self, bundle: Bundle, recipe: Any, item: int, window: Box) -> np.ndarray:
        """Draw a window of an item; the whole box if the generator is not endless."""
        (z, y, x) = window
        shape, origin = (z[1] - z[0], y[1] - y[0], x[1] - x[0]), (z[0], y[0], x[0])
        more = {"origin": origin} if self.divisible else {}
        labels: np.ndarray = self._function(self.generator[1])(
            bundle, shape, recipe.volume.voxel_size_nm, seed=recipe.seed, index=item, **more
        )
        return labels

    def draw_bytes(self, recipe: Any, bundle: Bundle, window: Shape, threads: int) -> float:
        """Return the bytes that drawing a window needs besides its voxels."""
        parameters = bundle.parameters_as(self.parameters)
        return float(self._bytes(parameters, window, recipe.volume.voxel_size_nm, threads))

    def _bytes(self, parameters: Any, window: Shape, voxel_size_nm: float, threads: int) -> float:
        return float(self._function("draw_bytes")(parameters, window, voxel_size_nm))

    def _function(self, name: str) -> Any:
        return getattr(import_module(f"nmcdist.models.{self.generator[0]}"), name)

    @classmethod
    def scheme(cls) -> "Scheme":
        """Return what the labels mean."""
        from nmcdist.descriptors.labelled import TWO_PHASES

        return TWO_PHASES

    def report(
        self, store: Path, recipe: Any, folder: Path, *, voxel_sizes_nm: tuple[float, ...] = (),
        progress: Callable[[str], None] = lambda line: None,
    ) -> Path:  # fmt: skip
        """Write numbers, curves, slices, and a picture of the first volume."""
        from nmcdist.report.plain import report_plain

        if voxel_sizes_nm:
            raise InputError(f"{store}: is of kind {self.name}, which has no resolution study")
        return report_plain(store, folder, self._parts())

    def _parts(self) -> "tuple[Part, ...]":
        from nmcdist.report.render import Part
        from nmcdist.report.style import SERIES

        return tuple(
            Part(label, name.replace("_", " "), colour, is_cut=True)
            for (label, name), (colour, _) in zip(enumerate(self.phases[1:], 1), SERIES, strict=False)
        )


class FibreStackRecipe(BaselineRecipe):
    """A dataset of fibres: 0 pore, 1 fibre, 2 sheath."""

    kind: Literal["fibre-stack"] = "fibre-stack"


class FibreStack(Baseline):
    """A Boolean model of fibres, with a sheath if the bundle has one."""

    name, recipe, parameters = "fibre-stack", FibreStackRecipe, FibreParameters
    generator = ("fibres", "generate_fibres")
    phases = ("pore", "fibre", "sheath")
    divisible = True
    material = "stacked fibres"

    @classmethod
    def scheme(cls) -> "Scheme":
        """Return what the labels mean."""
        from nmcdist.descriptors.labelled import Scheme

        return Scheme(
            3, {"pore": (0,), "fibre": (1,), "sheath": (2,), "solid": (1, 2)},
            {"pore": {0: 1.0}, "solid": {1: 1.0, 2: 1.0}},
            {"phase": "solid is fibre and sheath together",
             "conduction": "pore: only pores conduct, with conductivity 1; solid: fibre and sheath, with 1"},
        )  # fmt: skip


class BooleanSpheresRecipe(BaselineRecipe):
    """A dataset of a Boolean model of balls: 0 pore, 1 solid."""

    kind: Literal["boolean-spheres"] = "boolean-spheres"


class BooleanSpheres(Baseline):
    """A Boolean model of balls."""

    name, recipe, parameters = "boolean-spheres", BooleanSpheresRecipe, SphereParameters
    generator = ("spheres", "generate_spheres")
    divisible = True
    material = "overlapping balls"


class PackedSpheresRecipe(BaselineRecipe):
    """A dataset of packed balls in a periodic box: 0 pore, 1 solid."""

    kind: Literal["packed-spheres"] = "packed-spheres"


class PackedSpheres(Baseline):
    """Packed balls in a periodic box."""

    name, recipe, parameters = "packed-spheres", PackedSpheresRecipe, PackingParameters
    generator = ("packing", "generate_packing")
    material = "packed balls in a periodic box"


class ElectrodeRecipe(BaselineRecipe):
    """A dataset of electrodes: 0 pore, 1 carbon black and binder, 2 graphite, 3 NMC."""

    kind: Literal["electrode"] = "electrode"


class Electrode(Baseline):
    """NMC particles, packed in a periodic box with the additive between them."""

    name, recipe, parameters = "electrode", ElectrodeRecipe, ElectrodeParameters
    generator = ("electrode", "generate_electrode")
    phases = ("pore", "carbon_binder", "graphite", "nmc")
    material = "electrodes of packed NMC particles with the additive between them"

    def _bytes(self, parameters: Any, window: Shape, voxel_size_nm: float, threads: int) -> float:
        return float(self._function("draw_bytes")(parameters, window, voxel_size_nm, threads))

    def _parts(self) -> "tuple[Part, ...]":
        from nmcdist.report.render import ADDITIVE, Part

        return (Part(3, "NMC", "#7FA7C9", is_cut=True), *ADDITIVE)

    @classmethod
    def scheme(cls) -> "Scheme":
        """Return what the labels mean."""
        from nmcdist.descriptors.labelled import Scheme

        return Scheme(
            4,
            {"pore": (0,), "carbon_binder": (1,), "graphite": (2,), "nmc": (3,), "additive": (1, 2),
             "solid": (1, 2, 3)},
            {"pore": {0: 1.0}, "solid": {2: 1.0, 1: 0.01}, "nmc": {3: 1.0}},
            {"phase": "carbon_binder is carbon black with binder; additive is graphite and carbon_binder; solid is all "
             "but the pores",
             "conduction": "pore: only pores conduct, with conductivity 1; solid: graphite conducts with 1, "
             "carbon_binder with 0.01, NMC not; nmc: only NMC conducts, with 1"},
            "the pore fluid (pore), graphite (solid; carbon binder 0.01) or NMC (nmc)",
        )  # fmt: skip


class LevelCutRecipe(BaselineRecipe):
    """A dataset of a cut Gaussian field: 0 pore, 1 solid."""

    kind: Literal["level-cut"] = "level-cut"


class LevelCut(Baseline):
    """A Gaussian field, cut at a level."""

    name, recipe, parameters = "level-cut", LevelCutRecipe, LevelCutParameters
    generator = ("levelcut", "generate_level_cut")
    divisible = True
    material = "a cut Gaussian field"

    def _bytes(self, parameters: Any, window: Shape, voxel_size_nm: float, threads: int) -> float:
        return float(self._function("draw_bytes")(parameters, window, voxel_size_nm, threads))


class AnnealedRecipe(BaselineRecipe):
    """A dataset of annealed media in periodic boxes: 0 pore, 1 solid."""

    kind: Literal["annealed"] = "annealed"


class Annealed(Baseline):
    """Voxels, annealed to a two-point coverage."""

    name, recipe, parameters = "annealed", AnnealedRecipe, AnnealedParameters
    generator = ("annealing", "generate_annealed")
    material = "media that were annealed to a two-point coverage"

    def draw_bytes(self, recipe: Any, bundle: Bundle, window: Shape, threads: int) -> float:
        """Return the bytes that drawing a box needs besides its voxels."""
        lags = int(bundle.array_records["coverage"].shape[1])
        return float(self._function("draw_bytes")(window, lags))


class PatternsRecipe(BaselineRecipe):
    """A dataset of media sampled from a training image: 0 pore, 1 solid."""

    kind: Literal["patterns"] = "patterns"


class Patterns(Baseline):
    """Direct sampling of a training image."""

    name, recipe, parameters = "patterns", PatternsRecipe, PatternsParameters
    generator = ("patterns", "generate_patterns")
    material = "media that were sampled from a training image"

    def draw_bytes(self, recipe: Any, bundle: Bundle, window: Shape, threads: int) -> float:
        """Return the bytes that drawing a box needs besides its voxels."""
        return float(self._function("draw_bytes")(window))


class NeuralRecipe(BaselineRecipe):
    """A dataset of a neural generator: 0 pore, 1 carbon black and binder, 2 graphite."""

    kind: Literal["neural"] = "neural"


class Neural(Baseline):
    """A net of convolutions that was trained on sections of the additive, or of another medium of three phases."""

    name, recipe, parameters = "neural", NeuralRecipe, NeuralParameters
    generator = ("neural", "generate_neural")
    phases = ("pore", "carbon_binder", "graphite")
    divisible = True
    material = "the additive as a net draws it that was trained on sections"

    def plan(self, recipe: Any, bundle: Bundle, site: Site) -> VolumePlan:
        """Plan a run; a bundle of more phases, or of another voxel size, is refused."""
        check_net(bundle, recipe.volume.voxel_size_nm, len(self.phases))
        return super().plan(recipe, bundle, site)

    def draw(self, bundle: Bundle, recipe: Any, item: int, window: Box) -> np.ndarray:
        """Draw a window of an item; of longer voxels than those of the net, those at every n-th place."""
        step = voxels_apart(bundle, recipe.volume.voxel_size_nm)
        shape, origin = tuple(step * (high - low) for low, high in window), tuple(step * low for low, _ in window)
        labels: np.ndarray = self._function(self.generator[1])(
            bundle, shape, recipe.volume.voxel_size_nm / step, seed=recipe.seed, index=item, origin=origin
        )
        return labels[::step, ::step, ::step]

    def draw_bytes(self, recipe: Any, bundle: Bundle, window: Shape, threads: int) -> float:
        """Return the bytes that drawing a window needs besides its voxels."""
        shapes = {name: record.shape for name, record in bundle.array_records.items()}
        step = voxels_apart(bundle, recipe.volume.voxel_size_nm)
        fine = tuple(step * n for n in window)
        return float(self._function("draw_bytes")(shapes, fine, threads)) + (math.prod(fine) if step > 1 else 0)

    def _parts(self) -> "tuple[Part, ...]":
        from nmcdist.report.render import ADDITIVE

        return ADDITIVE

    @classmethod
    def scheme(cls) -> "Scheme":
        """Return what the labels mean."""
        from nmcdist.descriptors.labelled import Scheme

        return Scheme(
            3,
            {"pore": (0,), "carbon_binder": (1,), "graphite": (2,), "solid": (1, 2)},
            {"pore": {0: 1.0}, "solid": {2: 1.0, 1: 0.01}},
            {"phase": "carbon_binder is carbon black with binder; solid is all but the pores",
             "conduction": "pore: only pores conduct, with conductivity 1; solid: graphite conducts with 1, "
             "carbon_binder with 0.01"},
            "the pore fluid (pore) or graphite (solid; carbon binder 0.01)",
        )  # fmt: skip


def voxels_apart(bundle: Bundle, voxel_size_nm: float) -> int:
    """Return how many voxels of a net make a voxel of a volume, rounded and at least 1."""
    return max(1, round(voxel_size_nm / bundle.parameters_as(NeuralParameters).voxel_size_nm))


def check_net(bundle: Bundle, voxel_size_nm: float, phases: int, *, longer: bool = False) -> None:
    """Refuse a neural generator of another model, of another voxel size, or of more phases.

    Parameters
    ----------
    bundle : Bundle
    voxel_size_nm : float
        Of the volumes.
    phases : int
        Most phases.
    longer : bool
        Whether voxels may be a whole number of times as long as those of the net.

    Raises
    ------
    BundleError
    """
    trained_nm = bundle.parameters_as(NeuralParameters).voxel_size_nm
    step = voxels_apart(bundle, voxel_size_nm) if longer else 1
    if not math.isclose(step * trained_nm, voxel_size_nm):
        raise BundleError(
            f"bundle {bundle.name!r}: was trained on voxels of {trained_nm:g} nm, found volumes of {voxel_size_nm:g} nm"
            + (", expected a whole multiple" if longer else "")
        )
    found = bundle.array_records["bias_out"].shape[0]
    if found > phases:
        raise BundleError(f"bundle {bundle.name!r}: found {found} phases, expected at most {phases}")


for _kind in (FibreStack, BooleanSpheres, PackedSpheres, Electrode, LevelCut, Annealed, Patterns, Neural):
    register(_kind())
