"""Commands that image known structures with virtual microscopes."""

from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import PATH, Real, Whole
from nmcdist.errors import InputError
from nmcdist.inputs import folder_to_make

_SETTING = click.Choice(["easy", "paper-like", "hard"])


def _shape(context: click.Context, parameter: click.Parameter, value: tuple[int, ...]) -> tuple[int, ...]:
    if min(value) < 16 or max(value) > 8192:
        raise click.BadParameter(f"found {value}, expected lengths from 16 to 8192")
    return value


@click.group()
def phantom() -> None:
    """Image known structures with virtual microscopes."""


@phantom.command("fib-sem")
@click.option("--out", type=PATH, required=True, help="New folder for the image, the truth and the settings.")
@click.option("--bundle", default="cba-cathode-2025", show_default=True, help="Additive bundle: name or path.")
@click.option("--setting", type=_SETTING, default="paper-like", show_default=True, help="Quality of the image.")
@click.option(
    "--shape",
    type=Whole(),
    nargs=3,
    default=(60, 384, 384),
    show_default=True,
    callback=_shape,
    help="Slices, rows, columns.",
)
@click.option("--pixel-nm", type=Real(1, 100), default=10.0, show_default=True, help="Slices are twice as thick.")
@click.option("--seed", type=Whole(0, 2**63), default=1, show_default=True)
def phantom_fib_sem(out: Path, bundle: str, **how: Any) -> None:
    """Write a virtual FIB-SEM stack of a realisation of the additive phase."""
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.microscope.write import write_fib_sem

    loaded = load_bundle(bundle)
    loaded.cba()
    write_fib_sem(loaded, _new_folder(out), **how)
    click.echo(f"{out}: image.tif, truth.tif, phantom.json")


@phantom.command("nano-ct")
@click.option("--out", type=PATH, required=True, help="New folder for the image, the truth and the settings.")
@click.option("--bundle", default="nmc811-radial", show_default=True, help="Particle bundle: name or path.")
@click.option("--setting", type=_SETTING, default="paper-like", show_default=True, help="Quality of the image.")
@click.option(
    "--shape",
    type=Whole(),
    nargs=3,
    default=(256, 256, 256),
    show_default=True,
    callback=_shape,
    help="Voxels along z, y, x.",
)
@click.option("--voxel-size-nm", type=Real(1, 10000), default=128.0, show_default=True)
@click.option(
    "--share", type=Real(0.01, 0.5), default=0.4, show_default=True, help="Share of the window of all shells."
)
@click.option("--seed", type=Whole(0, 2**63), default=1, show_default=True)
def phantom_nano_ct(out: Path, bundle: str, **how: Any) -> None:
    """Write a virtual nano-CT image of a packing of particles."""
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.microscope.write import write_nano_ct

    loaded = load_bundle(bundle)
    loaded.particle()
    write_nano_ct(loaded, _new_folder(out), **how)
    click.echo(f"{out}: image.tif, truth.tif, phantom.json")


def _new_folder(out: Path) -> Path:
    folder = folder_to_make(out)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{out}: holds other files, expected a new or an empty folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror})") from None
    return folder
