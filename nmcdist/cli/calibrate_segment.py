"""The command that segments grey images from scribbles."""

from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import EDGES, PATH, Whole, cluster_options, spreading, taken_cluster
from nmcdist.errors import ImageError, InputError
from nmcdist.extras import need

_PIECE_BYTES = 700_000_000  # of the features of a tile


@click.command("segment")
@click.argument("image", type=PATH)
@click.option(
    "--scribbles", type=PATH,
    help="Labels of some pixels, 0 elsewhere: an image like IMAGE, or a folder of numbered slices.",
)  # fmt: skip
@click.option("--forest", type=PATH, help="Folder of a forest trained before, instead of scribbles.")
@click.option("--out", type=PATH, required=True, help="New folder for classes, probabilities, forest and report.")
@click.option("--reference", type=PATH, help="The true classes, to state the agreement; 0 is not compared.")
@click.option("--voxel-size-nm", type=EDGES, help="Voxel edge, or three along z, y, x, if the image does not say it.")
@click.option("--axes", help="Order of the axes, such as zyx, if the image does not say it.")
@click.option("--trees", type=Whole(1, 1000), default=50, show_default=True)
@click.option("--seed", type=Whole(0, 2**32 - 1), default=1, show_default=True)
@cluster_options
def calibrate_segment(
    image: Path, scribbles: Path | None, forest: Path | None, out: Path, reference: Path | None, voxel_size_nm: Any,
    axes: str | None, **how: Any,
) -> None:  # fmt: skip
    """Classify the pixels of IMAGE, slice by slice, by a random forest trained on scribbles or before."""
    need("calibration", "the segmentation of images")
    need("report", "the report of a segmentation")
    from nmcdist.calibration.fibsem.forest_files import load_forest
    from nmcdist.calibration.fibsem.pictures import open_pixels
    from nmcdist.calibration.fibsem.scribbles import read_scribbles
    from nmcdist.calibration.fibsem.slicewise import segment, segmented_slice
    from nmcdist.datasets.files import naming
    from nmcdist.report.segmentation import report_segmentation

    if (scribbles is None) == (forest is None):
        raise InputError("calibrate segment: expected either --scribbles or --forest")
    cluster = taken_cluster(how)
    said: dict[str, Any] = {"voxel_size_nm": voxel_size_nm, "axes": axes}
    pixels = open_pixels(image, **said)
    like: dict[str, Any] = {"voxel_size_nm": list(pixels.voxel_size_nm) if pixels.voxel_size_nm else None, "axes": axes}
    known = None if scribbles is None else read_scribbles(scribbles, pixels, **like)
    trees = None if forest is None else load_forest(forest)
    truth = None
    if reference is not None:
        opened = open_pixels(reference, **like)
        if opened.shape != pixels.shape:
            raise ImageError(f"{reference}: found shape {opened.shape}, expected {pixels.shape} as of {image}")
        truth = opened
    with spreading(cluster, _PIECE_BYTES, pixels.shape[0] // 8) as spread, naming(out):
        results = segment(pixels, known, out, forest=trees, reference=truth, spread=spread, **how)
        z = min(known or {pixels.shape[0] // 2})
        labels, confidence = segmented_slice(out, z)
        marked = None if known is None else known[z]
        grey = pixels.read(slice(z, z + 1))[0]
        page = report_segmentation(out / "report", results, z, grey, marked, labels, confidence)
    found = results["agreement"]
    click.echo(f"{out / 'labels.tif'}\n{page}")
    if known is not None:
        click.echo(f"out-of-bag agreement {results['share_out_of_bag']:.3f} (optimistic)")
    if found is not None:
        click.echo(f"agreement with the reference {found['share']:.3f}")
