"""The command that matches a baseline generator to an image or a store."""

from datetime import date
from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import PATH, Real, note
from nmcdist.errors import BundleError, ImageError
from nmcdist.inputs import folder_to_make

KINDS = ("fibres", "boolean-spheres", "hard-spheres", "soft-spheres", "level-cut", "annealed", "patterns")


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
              help="A finished store with volumes, or a label image: a TIFF file, a folder of TIFF slices, a .npy file "
              "or a Zarr array.")  # fmt: skip
@click.option("--out", type=PATH, required=True, help="New folder for the bundle.")
@click.option("--solid", type=Labels(), default=(), help="Labels of the solid, such as 1,2. Default: all but 0.")
@click.option("--voxel-size-nm", type=Real(), help="Voxel size of an image, if it says none.")
@click.option("--axes", help='Order of the axes of an image, such as "zyx", if it says none.')
@click.option("--name", help="Name of the bundle. Default: the kind.")
@click.option("--licence", default="not stated", show_default=True, help="Licence of the bundle and its data.")
def calibrate_baseline_command(
    kind: str, source: Path, out: Path, solid: tuple[int, ...], voxel_size_nm: float | None, axes: str | None,
    name: str | None, licence: str,
) -> None:  # fmt: skip
    """Match a baseline generator to the solid of a label image or of the volumes of a store."""
    from nmcdist.bundle import save_bundle
    from nmcdist.calibration.baseline_measures import is_store_of_volumes, measured_on_image, measured_on_store
    from nmcdist.calibration.baselines import fit_baseline, reachable_error
    from nmcdist.datasets.files import naming
    from nmcdist.images import open_image

    if folder_to_make(out, BundleError).exists():
        raise BundleError(f"{out}: already exists, expected a new folder for the bundle")
    if is_store_of_volumes(source):
        if voxel_size_nm is not None or axes is not None:
            raise ImageError(f"{source}: is a store, which says its voxel size and axes; leave them out")
        measured = measured_on_store(source, solid)
    else:
        measured = measured_on_image(open_image(source, voxel_size_nm, axes), solid)
    bundle = fit_baseline(kind, measured, name=name, licence=licence, date=date.today().isoformat())
    if kind == "annealed":
        edge, error = reachable_error(bundle)
        note(f"two-point coverage: met within {error:.1g} (root mean square) in a box of {edge} voxels along each edge")
    with naming(out):
        save_bundle(bundle, out)
    click.echo(f"{out}\n{bundle.calibration.method}")
