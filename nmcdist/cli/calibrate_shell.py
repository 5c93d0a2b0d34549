"""The command that fits the outer shell model to an image."""

import json
import math
from dataclasses import asdict
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
    joined_edges,
    note,
    refuse_given,
    spreading,
    taken_cluster,
)  # fmt: skip
from nmcdist.errors import InputError
from nmcdist.extras import need
from nmcdist.inputs import outside

if TYPE_CHECKING:
    from nmcdist.bundle import Bundle
    from nmcdist.calibration.segmenter.bundles import Segmenter
    from nmcdist.calibration.shell.settings import ShellSettings
    from nmcdist.images import Image

_OF_GREY, _OF_WATERSHED = ("sigma", "side"), ("h", "merging", "neck_ratio")
_HERE = 27  # blocks up to which an image is fitted in this process, unless workers are asked for


@click.command("shell")
@click.argument("image", type=PATH)
@click.option("--out", type=PATH, required=True, help="New folder for the bundle, the results and the report.")
@click.option("--voxel-size-nm", type=EDGES, multiple=True, callback=joined_edges,
              help="Voxel edge, or three along z, y, x. Needed if the image says none.")  # fmt: skip
@click.option("--axes", help='Order of the axes, such as "zyx". Needed if the image says none.')
@click.option("--phase", type=Real(), help="Value of the particles in an image of phases. Default: a grey image.")
@click.option("--labels", "is_labelled", is_flag=True, help="Each particle has its own label, and 0 is the background.")
@click.option("--segmenter", help="IMAGE is grey: this bundle of a segmenter, by name or path, finds the particles.")
@click.option("--sigma", type=Real(0), default=1.8, show_default=True, help="Smoothing of a grey image, in voxels.")
@click.option("--side", type=click.Choice(["bright", "dark"]), default="bright", show_default=True,
              help="Grey values of the particles.")  # fmt: skip
@click.option("--h", type=Real(0), default=0.25, show_default=True,
              help="Basins of the watershed that rise less above the next are joined, in voxels.")  # fmt: skip
@click.option("--merging", type=click.Choice(["neck", "paper"]), default="neck", show_default=True,
              help="Rule that merges regions: by necks, or the rule of the paper.")  # fmt: skip
@click.option("--neck-ratio", type=Real(0, 1),
              help="Regions with a wider neck are merged. Default: chosen by a packing of known shapes.")  # fmt: skip
@click.option("--contacts", type=click.Choice(["mask", "keep"]), default="mask", show_default=True,
              help="Leave directions of contact out of the fits, or keep them, as in the paper.")  # fmt: skip
@click.option("--least-voxels", type=Whole(10), default=200, show_default=True, help="Smallest particle.")
@click.option("--base", default="nmc811-radial", show_default=True, help="Bundle that supplies the grains.")
@click.option("--name", default="shells", show_default=True, help="Name of the bundle.")
@click.option("--licence", default="not stated", show_default=True, help="Licence of the bundle and its data.")
@click.option("--seed", type=Whole(0, 2**63), default=1, show_default=True)
@click.option("--resume", is_flag=True, help="Continue a calibration that was stopped: keep what is whole.")
@cluster_options
def calibrate_shell_command(
    image: Path, out: Path, voxel_size_nm: Any, axes: str | None, base: str, name: str, licence: str,
    segmenter: str | None, resume: bool, **choices: Any,
) -> int:  # fmt: skip
    """Fit the outer shell model to a CT IMAGE of particles: grey, of phases, or with a label for each particle.

    IMAGE is a TIFF file, a folder of TIFF or PNG slices, a .npy file or a Zarr array.
    """
    need("report", "the report of a calibration")
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.begun import check_folder
    from nmcdist.calibration.segmenter.bundles import load_segmenter
    from nmcdist.calibration.segmenter.labelling import check_instrument
    from nmcdist.calibration.shell.results import NUMBERS
    from nmcdist.calibration.shell.settings import ShellSettings
    from nmcdist.datasets.files import naming
    from nmcdist.images import open_image
    from nmcdist.report.shell_calibration import headline, report_shell_calibration

    cluster = taken_cluster(choices)
    if segmenter is not None or choices["phase"] is not None or choices["is_labelled"]:
        refuse_given(_OF_GREY, "grey images", "none beside --segmenter, --phase or --labels")
    if choices["is_labelled"]:
        refuse_given(_OF_WATERSHED, "images in which particles touch", "none beside --labels")
    if segmenter is not None and (choices["phase"] is not None or choices["is_labelled"]):
        raise InputError("--segmenter: found beside --phase or --labels, expected a grey image")
    net = None if segmenter is None else load_segmenter(segmenter)
    if net is not None:
        check_instrument(net, "nano-ct")
    settings = ShellSettings(**choices)
    opened, grains = open_image(image, voxel_size_nm, axes), load_bundle(base)
    outside(out, image)
    try:
        with naming(out):
            if resume and (out / NUMBERS).exists() and not (out / "report" / "report.md").exists():
                _check_same(out, opened, settings, net)  # it was stopped before the report
            else:
                check_folder(out, resume, "particles")
                _calibrate(opened, settings, grains, net, out, resume, cluster, name=name, licence=licence)
            page = report_shell_calibration(out, out / "report")
    except KeyboardInterrupt:
        complain("interrupted; continue with the same command and --resume")
        return INTERRUPTED
    click.echo(f"{out / 'bundle'}\n{page}\n{headline(out)}")
    return 0


def _check_same(out: Path, image: "Image", settings: "ShellSettings", net: "Segmenter | None") -> None:
    from nmcdist.calibration.begun import check_same
    from nmcdist.calibration.shell.results import read_calibrated
    from nmcdist.images import survey

    numbers, _ = read_calibrated(out)
    of_image = numbers.get("image")
    of_image = of_image if isinstance(of_image, dict) else {}
    found = {"image": of_image.get("sha256"), "segmenter": of_image.get("segmenter"), "choice": numbers.get("settings")}
    digest = None if net is None else net.digest
    check_same(out, found, {"image": survey(image).sha256, "segmenter": digest, "choice": asdict(settings)})


def _calibrate(
    image: "Image", settings: "ShellSettings", grains: "Bundle", net: "Segmenter | None", out: Path, resume: bool,
    cluster: dict[str, Any], *, name: str, licence: str,
) -> None:  # fmt: skip
    from nmcdist.calibration.begun import begun
    from nmcdist.calibration.shell.blocks import EDGE, PIECE_BYTES
    from nmcdist.calibration.shell.calibrate import calibrate_shells

    def progress(facts: dict[str, Any]) -> None:
        note(json.dumps(facts))

    blocks = math.prod(-(-n // EDGE) for n in image.shape)
    is_small = blocks <= _HERE and all(value is None for value in cluster.values())
    with (
        spreading(cluster, PIECE_BYTES, 1 if is_small else blocks) as spread,
        begun(out, resume, "particles", spread, progress) as stages,
    ):
        calibrate_shells(
            image, settings, grains, out, name=name, licence=licence, segmenter=net, stages=stages, progress=progress
        )  # fmt: skip
