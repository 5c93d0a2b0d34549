"""Commands that fit the additive to images, of labels or grey, and say how much to image."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmcdist.cli.options import (
    EDGES,
    INTERRUPTED,
    PATH,
    Real,
    Whole,
    cluster_options,
    complain,
    note,
    refuse_given,
    spreading,
    taken_cluster,
)  # fmt: skip
from nmcdist.errors import InputError
from nmcdist.extras import need
from nmcdist.inputs import local_path, outside

if TYPE_CHECKING:
    from nmcdist.calibration.cba.results import Results
    from nmcdist.images import Image


@click.command("cba")
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE...")
@click.option("--out", type=PATH, required=True, help="New folder for the bundle, the results and the report.")
@click.option(
    "--phases",
    default="pore=0,carbon_binder=1,graphite=2",
    show_default=True,
    help="Value of each phase in the images.",
)
@click.option("--voxel-size-nm", type=EDGES, help="Voxel edge, or three along z, y, x, if the image does not say it.")
@click.option("--axes", help="Order of the axes of the image, such as zyx, if it does not say it.")
@click.option(
    "--bootstrap", "replicates", type=Whole(0), default=20, show_default=True,
    help="Realisations of the fitted model for errors and correction; 0 leaves them out.",
)  # fmt: skip
@click.option("--alpha-1", type=Real(), default=10.25, show_default=True, help="Shape of the law of half-axis a; kept.")
@click.option("--max-lag-nm", "longest_nm", type=Real(), default=1200.0, show_default=True, help="Longest lag.")
@click.option("--seed", type=Whole(0, 2**63), default=1, show_default=True, help="Seed of the realisations.")
@click.option("--method", type=click.Choice(["weighted", "paper"]), default="weighted", show_default=True,
              help="paper: fit also by the route of the CBA paper, for comparison.")  # fmt: skip
@click.option("--name", default="cba-fitted", show_default=True, help="Name of the bundle.")
@click.option("--licence", default="not stated", show_default=True, help="Licence of the bundle.")
@click.option("--resume", is_flag=True, help="Continue a calibration that was stopped: keep what is whole.")
@click.option("--scribbles", type=PATH,
              help="IMAGE is a grey stack: labels of some pixels, 0 elsewhere, an image like IMAGE or a folder of "
              "numbered slices.")  # fmt: skip
@click.option("--segmenter", help="IMAGE is a grey stack, labelled by this bundle of a segmenter, by name or path.")
@click.option("--classes", default="pore=1,carbon_binder=2,graphite=3", show_default=True,
              help="Label of each phase in the scribbles.")  # fmt: skip
@click.option("--cubic-nm", type=Real(0.1), help="Edge of the cubic voxels made of a grey stack; default: its longest.")
@click.option("--no-ramp", is_flag=True, help="Leave the ramp of brightness in a grey stack.")
@click.option("--drift", default="none", show_default=True,
              help='Drift of a grey stack: "none", "estimate", or a file with the shift of each slice.')  # fmt: skip
@click.option("--clean", is_flag=True, help="Close the solid by a voxel, and keep its largest piece, as in the paper.")
@click.option("--solid-threshold", type=Real(), help="Least probability of solid; default: the one that out-of-bag "
              "votes show to be unbiased.")  # fmt: skip
@click.option("--graphite", type=click.Choice(["plates", "paper"]), default="plates", show_default=True,
              help="Features and clean-up of graphite: with those of thin plates, or as in the paper.")  # fmt: skip
@click.option("--graphite-threshold", "threshold", type=Real(), help="Least probability of graphite; default as above.")
@click.option("--graphite-quantile", "quantile", type=Real(),
              help="Take this quantile of the probability of graphite as threshold: 0.85 in the paper.")  # fmt: skip
@click.option("--trees", type=Whole(1, 1000), default=50, show_default=True, help="Trees of each forest.")
@cluster_options
def calibrate_cba_command(
    images: tuple[Path, ...], out: Path, phases: str, voxel_size_nm: Any, axes: str | None, resume: bool,
    scribbles: Path | None, segmenter: str | None, **options: Any,
) -> int:  # fmt: skip
    """Fit the additive model to three-phase labels: one IMAGE, or several that count as one sample.

    With --scribbles or --segmenter, IMAGE is a grey stack, which is labelled first. An IMAGE is a TIFF file, a
    folder of TIFF or PNG slices, a .npy file or a Zarr array.
    """
    need("report", "the report of a calibration")
    from nmcdist.calibration.begun import check_same
    from nmcdist.calibration.cba.calibrate import BUNDLE
    from nmcdist.calibration.cba.results import RESULTS, read_results
    from nmcdist.datasets.files import naming
    from nmcdist.images import open_image, survey
    from nmcdist.report.cba_calibration import headline, report_cba_calibration
    from nmcdist.report.labelling import report_labelling

    opened = [open_image(path, voxel_size_nm, axes) for path in images]
    for path in images:
        outside(out, path)
    cluster, grey = taken_cluster(options), {name: options.pop(name) for name in _OF_GREY}
    how = {"out": out, "resume": resume, "progress": lambda facts: note(json.dumps(facts)), **options}
    if scribbles is not None and segmenter is not None:
        raise InputError("--segmenter: found beside --scribbles, expected one of them")
    is_grey = scribbles is not None or segmenter is not None
    if not is_grey:
        refuse_given(_OF_GREY, "grey stacks", "--scribbles or --segmenter beside it")
    elif scribbles is None:
        refuse_given(_OF_FORESTS, "scribbles", "--scribbles beside it")
    try:
        with naming(out):
            if resume and (out / RESULTS).exists() and not (out / "report" / "report.md").exists():
                results = read_results(out)  # it was stopped before the report
                check_same(out, {"image": results.digests}, {"image": [survey(image).sha256 for image in opened]})
            elif not is_grey:
                results = _from_labels(opened, cluster, phases=_phases(phases), **how)
            else:
                results = _from_grey(opened, scribbles, segmenter, cluster, grey, **how)
            if is_grey:
                click.echo(report_labelling(out, out / "report"))
            page = report_cba_calibration(out, out / "report")
    except KeyboardInterrupt:
        complain("interrupted; continue with the same command and --resume")
        return INTERRUPTED
    for warning in results.warnings:
        note(f"warning: {warning}")
    click.echo(f"{out / BUNDLE}\n{page}\n{headline(results)}")
    return 0


_OF_GREY = (
    "classes",
    "cubic_nm",
    "no_ramp",
    "drift",
    "clean",
    "solid_threshold",
    "graphite",
    "threshold",
    "quantile",
    "trees",
)


_OF_FORESTS = ("classes", "trees")


def _from_labels(images: "list[Image]", cluster: dict[str, Any], *, out: Path, resume: bool, **how: Any) -> "Results":
    from nmcdist.calibration.begun import begun, check_folder
    from nmcdist.calibration.cba.calibrate import calibrate_cba, check_options
    from nmcdist.calibration.cba.counts import PIECE_BYTES, pieces_of

    check_options(**how)
    check_folder(out, resume, "labels")
    with (
        spreading(cluster, PIECE_BYTES, max(pieces_of(images), how["replicates"])) as spread,
        begun(out, resume, "labels", spread, how["progress"]) as stages,
    ):
        return calibrate_cba(images, out, stages=stages, spread=spread, **how)


def _from_grey(
    images: "list[Image]", scribbles: Path | None, segmenter: str | None, cluster: dict[str, Any],
    grey: dict[str, Any], **how: Any,
) -> "Results":  # fmt: skip
    if scribbles is not None:
        need("calibration", "the labelling of grey images")
    from nmcdist.calibration.begun import check_folder
    from nmcdist.calibration.cba.calibrate import check_options
    from nmcdist.calibration.cba.grey import calibrate_grey
    from nmcdist.calibration.fibsem.drift_files import read_drift
    from nmcdist.calibration.fibsem.labelling import PIECE_BYTES, HowToLabel, pieces_of
    from nmcdist.calibration.fibsem.scribbles import read_scribbles
    from nmcdist.calibration.segmenter.bundles import load_segmenter
    from nmcdist.calibration.segmenter.labelling import check_instrument

    if len(images) != 1:
        raise InputError(f"image: found {len(images)}, expected one grey stack")
    (image,) = images
    classes, drift = _classes(grey.pop("classes")), grey.pop("drift")
    if drift not in ("none", "estimate"):
        drift = read_drift(local_path(drift), image.shape[0])
    said: dict[str, Any] = {"voxel_size_nm": list(image.voxel_size_nm), "axes": "zyx"}
    if scribbles is not None:
        source: Any = read_scribbles(scribbles, image, **said)
    else:
        source = load_segmenter(segmenter or "")
        check_instrument(source, "fib-sem")
    check_options(**how)
    check_folder(how["out"], how["resume"], "grey")
    settings = HowToLabel(ramp=not grey.pop("no_ramp"), drift=drift, **grey)
    with spreading(cluster, PIECE_BYTES, pieces_of(image)) as spread:
        return calibrate_grey(image, source, how=settings, classes=classes, spread=spread, **how)


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


def _classes(text: str) -> dict[str, int]:
    found = _phases(text, "classes", "pore=1,carbon_binder=2,graphite=3")
    if min(found.values()) < 1:
        raise InputError(f"classes: found {text}, expected labels above 0, which is not labelled")
    return found


def _phases(text: str, what: str = "phases", such_as: str = "pore=0,carbon_binder=1,graphite=2") -> dict[str, int]:
    from nmcdist.calibration.cba.counts import PHASE_LABELS

    expected = f"pore, carbon_binder and graphite with different whole numbers, such as {such_as}"
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        found = {name.strip(): int(value) for name, _, value in pairs}
    except ValueError:
        raise InputError(f"{what}: found {text}, expected {expected}") from None
    if set(found) != set(PHASE_LABELS) or len(set(found.values())) < len(PHASE_LABELS) or len(pairs) != len(found):
        raise InputError(f"{what}: found {text}, expected {expected}")
    return found
