"""The command that gives volumes smaller voxels."""

from pathlib import Path
from typing import Any

import click

from nmcdist.cli.measurements import named_numbers
from nmcdist.cli.options import EDGES, INTERRUPTED, PATH, Whole, cluster_options, complain, taken_cluster
from nmcdist.cli.runs import end_of


@click.command()
@click.argument("source", type=PATH)
@click.option("--with", "bundle", required=True, metavar="BUNDLE", help="A built-in bundle of a net, or its folder.")
@click.option("--out", type=PATH, required=True, help="New store, NAME.zarr.")
@click.option(
    "--labels", type=click.Choice(["likeliest", "drawn"]), default="likeliest", show_default=True,
    help="Labels with the largest probability, or drawn from the probabilities, which keeps the surface.",
)  # fmt: skip
@click.option("--seed", type=Whole(0, 2**64 - 1), default=1, show_default=True, help="Seed of the drawn labels.")
@click.option("--phases", metavar="NAME=LABEL,...", help="Of an image: labels of the phases that the net knows.")
@click.option("--voxel-size-nm", type=EDGES, help="Edge of a voxel of an image that does not say it.")
@click.option("--axes", help="Order of the axes of an image that does not say it, such as zyx.")
@click.option("--resume", is_flag=True, help="Make only what is missing or damaged.")
@cluster_options
def refine(source: Path, bundle: str, out: Path, resume: bool, **options: Any) -> int:
    """Give the volumes of SOURCE voxels of half the edge, by a net that `nmcdist train superres` made.

    SOURCE is a finished store of volumes, or an image of labels: a TIFF file, a folder of TIFF or PNG slices, a .npy
    file, or a Zarr array.
    """
    from nmcdist.runs.progress import progress_on
    from nmcdist.runs.public import deployment_from
    from nmcdist.runs.refine import refine

    where = deployment_from(**taken_cluster(options))
    options["phases"] = named_numbers("phases", options["phases"])
    again = "the same command and --resume"
    try:
        result = refine(source, bundle, out, where, resume=resume, progress=progress_on(), **options)
    except KeyboardInterrupt:
        complain(f"interrupted; continue with: {again}")
        return INTERRUPTED
    return end_of(result, again)
