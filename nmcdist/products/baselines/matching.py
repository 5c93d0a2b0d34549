"""The generators of a comparison: what draws each, and its bundle, matched to the additive of the recipe's bundle.

The neural generator has a bundle of its own, which was trained before.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from nmcdist.bundle import Bundle, CbaParameters, load_bundle
from nmcdist.errors import BundleError, InputError, RecipeError
from nmcdist.products.baselines.comparison_recipe import NEURAL, REFERENCE, ComparisonRecipe
from nmcdist.products.baselines.kinds import (
    Annealed,
    Baseline,
    BooleanSpheres,
    FibreStack,
    LevelCut,
    Neural,
    PackedSpheres,
    Patterns,
    check_net,
)
from nmcdist.products.volumes.additive import Additive
from nmcdist.products.volumes.model import VolumeModel

if TYPE_CHECKING:
    from nmcdist.calibration.baselines import Measured

ADDITIVE = Additive()
DRAWN_AS: dict[str, Baseline] = {
    "fibres": FibreStack(), "boolean-spheres": BooleanSpheres(), "hard-spheres": PackedSpheres(),
    "soft-spheres": PackedSpheres(), "level-cut": LevelCut(), "annealed": Annealed(), "patterns": Patterns(),
    NEURAL: Neural(),
}  # fmt: skip


def drawn_by(name: str, bundle: Bundle, recipe: ComparisonRecipe) -> tuple[VolumeModel, Bundle]:
    """Return what draws the volumes of a generator, and its bundle."""
    return (ADDITIVE, bundle) if name == REFERENCE else (DRAWN_AS[name], matched(name, bundle, recipe))


def matched(name: str, bundle: Bundle, recipe: ComparisonRecipe) -> Bundle:
    """Return the bundle of a generator, matched to the additive of a bundle; computed once in each process.

    Raises
    ------
    RecipeError
        If it cannot be matched.
    BundleError
        If the bundle of the neural generator cannot be loaded, or is not one for these volumes.
    """
    if name == NEURAL:
        return _trained(str(recipe.neural), recipe.volume.voxel_size_nm)
    try:
        return _matched(name, bundle.cba(), recipe.volume.voxel_size_nm, recipe.training, recipe.seed)
    except (InputError, BundleError) as error:
        raise RecipeError(f"generators.{name}: {str(error).removeprefix(f'{name}: ')}") from None


@lru_cache(maxsize=4)
def _trained(place: str, voxel_size_nm: float) -> Bundle:
    found = load_bundle(place)
    check_net(found, voxel_size_nm, len(Neural.phases), longer=True)
    return found


@lru_cache(maxsize=64)
def _matched(name: str, parameters: CbaParameters, voxel_size_nm: float, training: int, seed: int) -> Bundle:
    from nmcdist.calibration.baselines import fit_baseline
    from nmcdist.models.patterns import training_images

    found = fit_baseline(name, _measured(parameters, voxel_size_nm, training, seed))
    if name == "patterns":
        training_images(found)  # refuses an image that is shorter than its chords
    return found


@lru_cache(maxsize=4)
def _measured(parameters: CbaParameters, voxel_size_nm: float, training: int, seed: int) -> "Measured":
    from nmcdist.calibration.baseline_measures import measured_by_theory

    return measured_by_theory(parameters, voxel_size_nm, training, seed)
