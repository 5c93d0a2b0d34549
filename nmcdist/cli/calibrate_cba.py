"""Commands that fit the additive to images of labels, and say how much to image."""

import json
import math
from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import PATH, Real, Whole, note
from nmcdist.errors import InputError
from nmcdist.extras import need


@click.command("cba")
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE...")
@click.option("--out", type=PATH, required=True, help="New folder for the bundle, the results and the report.")
@click.option(
    "--phases",
    default="pore=0,carbon_binder=1,graphite=2",
    show_default=True,
    help="Value of each phase in the images.",
)
@click.option("--voxel-size-nm", help="Voxel edge, or three along z, y, x with commas, if the image does not say it.")
@click.option("--axes", help="Order of the axes of the image, such as zyx, if it does not say it.")
@click.option(
    "--bootstrap", "replicates", type=Whole(0), default=20, show_default=True,
    help="Realisations of the fitted model for errors and correction; 0 leaves them out.",
)  # fmt: skip
@click.option("--alpha-1", type=Real(), default=10.25, show_default=True, help="Shape of the law of half-axis a; kept.")
@click.option("--max-lag-nm", "longest_nm", type=Real(), default=1200.0, show_default=True, help="Longest lag.")
@click.option("--seed", type=Whole(0, 2**63), default=1, show_default=True, help="Seed of the realisations.")
@click.option("--name", default="cba-fitted", show_default=True, help="Name of the bundle.")
@click.option("--licence", default="not stated", show_default=True, help="Licence of the bundle.")
def calibrate_cba_command(
    images: tuple[Path, ...], out: Path, phases: str, voxel_size_nm: str | None, axes: str | None, **options: Any
) -> int:
    """Fit the additive model to three-phase labels: one IMAGE, or several that count as one sample.

    An IMAGE is a TIFF file, a folder of TIFF slices, a .npy file or a Zarr array.
    """
    need("report", "the report of a calibration")
    from nmcdist.calibration.cba.calibrate import BUNDLE, calibrate_cba
    from nmcdist.calibration.images import open_image
    from nmcdist.datasets.files import naming
    from nmcdist.report.cba_calibration import headline, report_cba_calibration

    size = None if voxel_size_nm is None else _numbers(voxel_size_nm)
    values = _phases(phases)
    opened = [open_image(path, size, axes) for path in images]
    with naming(out):
        results = calibrate_cba(
            opened, out, phases=values, progress=lambda facts: note(json.dumps(facts)), **options
        )  # fmt: skip
        page = report_cba_calibration(out, out / "report")
    for warning in results.warnings:
        note(f"warning: {warning}")
    click.echo(f"{out / BUNDLE}\n{page}\n{headline(results)}")
    return 0


@click.command("plan")
@click.option("--accuracy", multiple=True, required=True, metavar="NAME=SHARE...", help="Such as eta=1% lambda_X=20%.")
@click.argument("more", nargs=-1, metavar="")
@click.option("--bundle", default="cba-cathode-2025", show_default=True,
              help="Bundle by name or path, or the folder of a calibration with bootstrap.")  # fmt: skip
@click.option("--voxel-size-nm", type=Real(), default=20.0, show_default=True, help="Voxel edge, thickness of a slice.")
@click.option("--field-um", nargs=2, type=Real(), help="Width and height of a slice; default: a cube.")
@click.option("--bootstrap", "replicates", type=Whole(5), default=10, show_default=True,
              help="Realisations for a bundle without recorded errors.")  # fmt: skip
@click.option("--seed", type=Whole(0, 2**63), default=1, show_default=True, help="Seed of the realisations.")
def calibrate_plan_command(
    accuracy: tuple[str, ...], more: tuple[str, ...], bundle: str, voxel_size_nm: float,
    field_um: tuple[float, float] | None, replicates: int, seed: int,
) -> int:  # fmt: skip
    """Say how much to image, so that 95 % intervals of fitted parameters are as narrow as asked.

    Parameters: lambda_X, mean_a, mean_c (graphite), mu, eta, theta, lambda_Y (carbon binder and large pores).
    """
    from nmcdist.calibration.cba.fit import ABSOLUTE
    from nmcdist.calibration.cba.known import known_errors
    from nmcdist.calibration.cba.plan import parsed_targets, plan

    targets = parsed_targets([*accuracy, *more])
    if field_um is not None and min(field_um) <= 0:
        raise InputError(f"field-um: found {field_um[0]:g} x {field_um[1]:g}, expected positive lengths")
    known = known_errors(bundle, voxel_size_nm, replicates, seed)
    click.echo(f"standard errors: {known.origin}")
    needs = plan(targets, known)
    for each in sorted(needs, key=lambda n: n.volume_nm3):
        accuracy_of = f"{each.accuracy:g}" if each.name in ABSOLUTE else f"{100 * each.accuracy:g} %"
        click.echo(f"{each.name} within {accuracy_of}: {_amount(each.volume_nm3, voxel_size_nm, field_um)}")
    return 0


def _amount(volume_nm3: float, voxel_nm: float, field_um: tuple[float, float] | None) -> str:
    from nmcdist.calibration.cba.plan import SHORTEST_NM

    edge = max(volume_nm3 ** (1 / 3), SHORTEST_NM)
    width, height = (edge, edge) if field_um is None else (1e3 * field_um[0], 1e3 * field_um[1])
    slices = math.ceil(max(volume_nm3 / (width * height), SHORTEST_NM) / voxel_nm)
    return (
        f"{slices * voxel_nm * width * height * 1e-9:.3g} um^3: {slices:.0f} slices of {voxel_nm:g} nm, "
        f"{width / 1e3:.3g} x {height / 1e3:.3g} um each"
    )


def _numbers(text: str) -> float | list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"voxel-size-nm: found {text}, expected a number, or three with commas") from None
    return values[0] if len(values) == 1 else values


def _phases(text: str) -> dict[str, int]:
    from nmcdist.calibration.cba.counts import PHASE_LABELS

    expected = (
        "pore, carbon_binder and graphite with different whole numbers, such as pore=0,carbon_binder=1,graphite=2"
    )
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        found = {name.strip(): int(value) for name, _, value in pairs}
    except ValueError:
        raise InputError(f"phases: found {text}, expected {expected}") from None
    if set(found) != set(PHASE_LABELS) or len(set(found.values())) < len(PHASE_LABELS) or len(pairs) != len(found):
        raise InputError(f"phases: found {text}, expected {expected}")
    return found
