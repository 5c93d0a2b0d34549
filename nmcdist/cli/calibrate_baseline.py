"""The command that matches a baseline generator to an image or a store."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nmcdist.cli.options import EDGES, PATH, Whole, note
from nmcdist.errors import BundleError, ImageError, InputError
from nmcdist.inputs import folder_to_make, made_folder, outside

if TYPE_CHECKING:
    from nmcdist.bundle import Bundle

T = TypeVar("T")

KINDS = ("fibres", "boolean-spheres", "hard-spheres", "soft-spheres", "level-cut", "annealed", "patterns", "neural")
_NEURAL, _STEPS = "neural", 700
_MOST_STEPS = 1_000_000
_LINE_EVERY = 20  # steps


class Labels(click.ParamType):  # type: ignore[type-arg]  # generic in new versions only
    """Labels, separated by commas."""

    name = "labels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the labels."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
            raise click.BadParameter(f"found {value!r:.60}, expected labels such as 1 or 1,2", ctx, param)
        return tuple(int(part) for part in parts)


@click.command("baseline")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="Generator.")
@click.option("--from", "source", type=PATH, required=True, metavar="STORE|IMAGE",
              help="A finished store with volumes, or a label image: a TIFF file, a folder of TIFF or PNG slices, a "
              ".npy file or a Zarr array.")  # fmt: skip
@click.option("--out", type=PATH, required=True, help="New folder for the bundle.")
@click.option("--solid", type=Labels(), default=(), help="Labels of the solid, such as 1,2. Default: all but 0; for "
              "neural each label is a phase.")  # fmt: skip
@click.option("--steps", type=Whole(min=1, max=_MOST_STEPS), help=f"Steps of the training of neural, of about half a "
              f"CPU second each, on one thread. Default: {_STEPS}.")  # fmt: skip
@click.option("--isotropic", is_flag=True, help="Train a neural of an isotropic medium: the axes of the net are alike, "
              "and sections of all planes, turned and mirrored, are one sample.")  # fmt: skip
@click.option("--voxel-size-nm", type=EDGES, help="Voxel size of an image, if it says none.")
@click.option("--axes", help='Order of the axes of an image, such as "zyx", if it says none.')
@click.option("--name", help="Name of the bundle. Default: the kind.")
@click.option("--licence", default="not stated", show_default=True, help="Licence of the bundle and its data.")
def calibrate_baseline_command(
    kind: str, source: Path, out: Path, solid: tuple[int, ...], steps: int | None, isotropic: bool,
    voxel_size_nm: Any, axes: str | None, name: str | None, licence: str,
) -> None:  # fmt: skip
    """Match a baseline generator to the solid of a label image or of the volumes of a store.

    The kind neural is trained on their sections along three axes, with all their phases.
    """
    from nmcdist.bundle import save_bundle
    from nmcdist.calibration.baselines import reachable_error
    from nmcdist.datasets.files import naming

    if folder_to_make(out, BundleError).exists():
        raise BundleError(f"{out}: already exists, expected a new folder for the bundle")
    outside(out, source)
    if steps is not None and kind != _NEURAL:
        raise InputError(f"--steps: found {steps}, expected none with the kind {kind}, which is not trained")
    if isotropic and kind != _NEURAL:
        raise InputError(f"--isotropic: found with the kind {kind}, expected {_NEURAL}")
    given, named = (source, solid, voxel_size_nm, axes), {"licence": licence, "date": date.today().isoformat()}
    if kind == _NEURAL:
        bundle = _trained(given, out, _STEPS if steps is None else steps, isotropic, name or kind, named)
    else:
        bundle = _fitted(kind, given, name, named)
    if kind == "annealed":
        edge, error = reachable_error(bundle)
        note(f"two-point coverage: met within {error:.1g} (root mean square) in a box of {edge} voxels along each edge")
    with naming(out):
        save_bundle(bundle, out)
    click.echo(f"{out}\n{bundle.calibration.method}")


Given = tuple[Path, tuple[int, ...], Any, str | None]  # source, solid, voxel size and axes


def _fitted(kind: str, given: Given, name: str | None, named: dict[str, str]) -> "Bundle":
    from nmcdist.calibration.baseline_measures import measured_on_image, measured_on_store
    from nmcdist.calibration.baselines import fit_baseline

    return fit_baseline(kind, _read(given, measured_on_image, measured_on_store), name=name, **named)


def _trained(
    given: Given, out: Path, steps: int, isotropic: bool, name: str, named: dict[str, str]
) -> "Bundle":  # fmt: skip
    from nmcdist.calibration.baseline_measures import labelled_image, labelled_store
    from nmcdist.calibration.neural.fit import fit_neural
    from nmcdist.calibration.neural.sections import Sections
    from nmcdist.calibration.neural.training import Recipe

    found = _read(given, labelled_image, labelled_store)
    sections = Sections.of_volumes(found.volumes, str(given[0]))
    recipe = Recipe.of_steps(steps, sections, isotropic=isotropic)
    made_folder(out, BundleError).rmdir()  # refused now rather than after the training
    note(f"{steps} steps, of about half a CPU second each")

    def progress(facts: dict[str, float]) -> None:
        if facts["step"] % _LINE_EVERY == 0 or facts["step"] == steps:
            note(json.dumps({key: float(f"{value:.4g}") for key, value in facts.items()}))

    return fit_neural(sections, found.voxel_size_nm, recipe, about=found.about, name=name, progress=progress, **named)


def _read(
    given: Given, of_image: Callable[[Any, tuple[int, ...]], T], of_store: Callable[[Path, tuple[int, ...]], T]
) -> T:
    """Return what a source gives, whether it is a store or an image."""
    from nmcdist.calibration.baseline_measures import is_store_of_volumes
    from nmcdist.images import open_image

    source, solid, voxel_size_nm, axes = given
    if not is_store_of_volumes(source):
        return of_image(open_image(source, voxel_size_nm, axes), solid)
    if voxel_size_nm is not None or axes is not None:
        raise ImageError(f"{source}: is a store, which says its voxel size and axes; leave them out")
    return of_store(source, solid)
