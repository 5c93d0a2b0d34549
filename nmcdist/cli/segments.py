"""The command that segments grey images by a trained net."""

import json
from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import (
    EDGES,
    INTERRUPTED,
    PATH,
    Whole,
    cluster_options,
    complain,
    joined_edges,
    note,
    spreading,
    taken_cluster,
)  # fmt: skip
from nmcdist.extras import need
from nmcdist.inputs import local_path, outside


@click.command()
@click.argument("stack", type=PATH)
@click.option("--with", "bundle", required=True, help="Bundle of a segmenter: a built-in name or a path.")
@click.option("--out", type=PATH, required=True, help="New folder for labels, probabilities and results.")
@click.option("--voxel-size-nm", type=EDGES, multiple=True, callback=joined_edges,
              help="Voxel edge, or three along z, y, x. Needed if the image says none.")  # fmt: skip
@click.option("--axes", help="Order of the axes, such as zyx, if the image does not say it.")
@click.option("--scribbles", type=PATH, help="Labels of some pixels, 1 for the first class and 0 elsewhere: the last "
              "layers of the net learn them first.")  # fmt: skip
@click.option("--seed", type=Whole(0, 2**32 - 1), default=1, show_default=True,
              help="Of the learning of scribbles, and of the interval of corrected shares.")  # fmt: skip
@click.option("--reference", type=PATH, help="The true classes, to judge the result: 0 for the first class, 255 where "
              "nothing is known.")  # fmt: skip
@click.option("--held-out", type=PATH, help="Labels like --scribbles, which the net does not learn: to judge the "
              "result where there is no reference, and to correct the shares.")  # fmt: skip
@click.option("--drift", default="none", show_default=True,
              help='Drift to take out: "none", "estimate", or a file with the shift of each slice.')  # fmt: skip
@click.option("--no-ramp", is_flag=True, help="Leave the ramp of brightness in a FIB-SEM stack.")
@click.option("--resume", is_flag=True, help="Continue a segmentation that was stopped: keep what is whole.")
@cluster_options
def segment(
    stack: Path, bundle: str, out: Path, voxel_size_nm: Any, axes: str | None, scribbles: Path | None,
    seed: int, reference: Path | None, held_out: Path | None, drift: str, no_ramp: bool, resume: bool, **options: Any,
) -> int:  # fmt: skip
    """Segment the grey STACK by a net that was trained on drawn images.

    OUT gets labels.zarr (0 for the first class), probability.zarr (255 is 1), results.json, and the page
    report/report.md. STACK is a TIFF file, a folder of TIFF or PNG slices, a .npy file or a Zarr array.
    """
    need("report", "the page on a segmentation")
    if scribbles is not None:
        need("calibration", "learning from scribbles")
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.begun import check_same
    from nmcdist.calibration.fibsem.drift_files import read_drift
    from nmcdist.calibration.fibsem.scribbles import read_scribbles
    from nmcdist.calibration.segmenter.bundles import load_segmenter
    from nmcdist.calibration.segmenter.segment import (
        PIECE_BYTES,
        RESULTS,
        check_folder,
        check_learnable,
        choice_of,
        known_truth,
        pieces_of,
        read_results,
    )  # fmt: skip
    from nmcdist.calibration.segmenter.segment import segment as work
    from nmcdist.datasets.files import naming
    from nmcdist.images import open_image, survey
    from nmcdist.report.segmented import report_segmented

    cluster, loaded = taken_cluster(options), load_bundle(bundle)
    segmenter = load_segmenter(loaded)
    image = open_image(stack, voxel_size_nm, axes)
    like: dict[str, Any] = {"voxel_size_nm": list(image.voxel_size_nm), "axes": "zyx"}
    known = None if scribbles is None else read_scribbles(scribbles, image, **like)
    of_truth: dict[str, Any] = {
        "reference": None if reference is None else open_image(reference, **like),
        "held_out": None if held_out is None else read_scribbles(held_out, image, **like),
    }
    truth = known_truth(image, segmenter, **of_truth)
    if known is not None:
        check_learnable(segmenter, known)
    shifts = drift if drift in ("none", "estimate") else read_drift(local_path(drift), image.shape[0])
    outside(out, stack)
    has_no_page = resume and (out / RESULTS).exists() and not (out / "report" / "report.md").exists()
    if not has_no_page:
        check_folder(out, resume)
    try:
        if has_no_page:
            results = read_results(out)  # it was stopped before the page
            found = {"image": results.get("image_sha256"), **{name: results.get(name) for name in ("bundle", "choice")}}
            net = {"name": loaded.name, "sha256": loaded.content_hash}
            choice = choice_of(not no_ramp, shifts, known, truth, seed)
            check_same(out, found, {"image": survey(image).sha256, "bundle": net, "choice": choice})
        else:
            with spreading(cluster, PIECE_BYTES, pieces_of(image)) as spread, naming(out):
                results = work(
                    image, loaded, out, ramp=not no_ramp, scribbles=known, seed=seed, resume=resume, spread=spread,
                    progress=_told, drift=shifts, **of_truth,
                )  # fmt: skip
        with naming(out):
            page = report_segmented(out)
    except KeyboardInterrupt:
        complain("interrupted; continue with the same command and --resume")
        return INTERRUPTED
    shares = ", ".join(f"{name} {share:.2%}" for name, share in results["shares"].items())
    click.echo(f"{out / 'labels.zarr'}\n{page}\n{shares}")
    if results["judged"] is not None:
        click.echo(f"agreement with what is known {results['judged']['accuracy']:.4f}")
    return 0


def _told(facts: dict[str, Any]) -> None:
    """Print progress; a warning comes before the result that it is about."""
    note(f"warning: {facts['text']}" if facts["event"] == "warning" else json.dumps(facts))
