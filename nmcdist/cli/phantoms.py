"""Commands that image known structures with virtual microscopes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import PATH, Real, Whole, cluster_options, spreading, taken_cluster
from nmcdist.inputs import folder_of_results

_OUT = click.option("--out", type=PATH, required=True, help="New folder for the image, the truth and the settings.")
_SETTING = click.option(
    "--setting", type=click.Choice(["easy", "paper-like", "hard"]), default="paper-like", show_default=True,
    help="Quality of the image.",
)  # fmt: skip
_SEED = click.option("--seed", type=Whole(0, 2**63), default=1, show_default=True)


def _checked(context: click.Context, parameter: click.Parameter, value: tuple[int, ...]) -> tuple[int, ...]:
    if min(value) < 16 or max(value) > 8192:
        raise click.BadParameter(f"found {value}, expected lengths from 16 to 8192")
    return value


def _shape(default: tuple[int, int, int], about: str) -> Callable[[Any], Any]:
    return click.option(
        "--shape", type=Whole(), nargs=3, default=default, show_default=True, callback=_checked, help=about
    )  # fmt: skip


@click.group()
def phantom() -> None:
    """Image known structures with virtual microscopes."""


@phantom.command("fib-sem")
@_OUT
@click.option("--bundle", default="cba-cathode-2025", show_default=True, help="Additive bundle: name or path.")
@_SETTING
@_shape((60, 384, 384), "Slices, rows, columns.")
@click.option("--pixel-nm", type=Real(1, 100), default=10.0, show_default=True, help="Slices are twice as thick.")
@click.option(
    "--bits",
    type=click.Choice(["8", "16", "32"]),
    default="8",
    show_default=True,
    help="Bits of a grey value; 32: float32, as after a normalisation.",
)
@_SEED
@cluster_options
def phantom_fib_sem(out: Path, bundle: str, bits: str, **options: Any) -> None:
    """Write a virtual FIB-SEM stack of a realisation of the additive phase."""
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.microscope.write import pieces_of, write_fib_sem
    from nmcdist.datasets.files import naming

    loaded = load_bundle(bundle)
    loaded.cba()
    how = taken_cluster(options)
    pieces = pieces_of(options["setting"], options["shape"])
    with naming(out), folder_of_results(out) as folder, spreading(how, *pieces) as spread:
        write_fib_sem(loaded, folder, bits=int(bits), spread=spread, **options)
    click.echo(f"{out}: image.tif, truth.tif, phantom.json")


@phantom.command("nano-ct")
@_OUT
@click.option("--bundle", default="nmc811-radial", show_default=True, help="Particle bundle: name or path.")
@_SETTING
@_shape((256, 256, 256), "Voxels along z, y, x.")
@click.option("--voxel-size-nm", type=Real(1, 10000), default=128.0, show_default=True)
@click.option(
    "--share", type=Real(0.01, 0.5), default=0.4, show_default=True, help="Share of the window of all shells."
)
@click.option("--gap", type=Real(0, 64), default=0.0, show_default=True,
              help="Particles lie further apart than this, in voxels; 0 lets them touch.")  # fmt: skip
@_SEED
def phantom_nano_ct(out: Path, bundle: str, **how: Any) -> None:
    """Write a virtual nano-CT image of a packing of particles."""
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.microscope.write import write_nano_ct

    loaded = load_bundle(bundle)
    loaded.particle()
    with folder_of_results(out) as folder:
        write_nano_ct(loaded, folder, **how)
    click.echo(f"{out}: image.tif, truth.tif, phantom.json")
