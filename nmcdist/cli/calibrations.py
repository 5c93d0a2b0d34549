"""Commands that train bundles on images, and that write images of phantoms."""

import json
from pathlib import Path
from typing import Any

import click

from nmcdist.cli.calibrate_baseline import calibrate_baseline_command
from nmcdist.cli.calibrate_cba import calibrate_cba_command, calibrate_plan_command
from nmcdist.cli.calibrate_segment import calibrate_segment
from nmcdist.cli.calibrate_shell import calibrate_shell_command
from nmcdist.cli.options import INTERRUPTED, PATH, Real, Whole, complain, note
from nmcdist.extras import need
from nmcdist.inputs import folder_to_make


@click.group()
def calibrate() -> None:
    """Train bundles on images."""


calibrate.add_command(calibrate_baseline_command)
calibrate.add_command(calibrate_cba_command)
calibrate.add_command(calibrate_plan_command)
calibrate.add_command(calibrate_shell_command)
calibrate.add_command(calibrate_segment)


@calibrate.command("grains")
@click.argument("folder", type=PATH)
@click.option("--out", type=PATH, required=True, help="New folder for the bundle, the results and the report.")
@click.option("--recipe", type=PATH, help="Training recipe, for example catalogs/calibrations/grains-energy.yaml.")
@click.option("--base", default="nmc811-radial", help="Bundle that supplies the outer shells: name or path.")
@click.option("--held-out", type=PATH, help="Folder of held-out sections to compare the model with.")
@click.option("--truth", help="Bundle of the phantom that the sections were cut from: name or path.")
@click.option("--pixel-size-nm", type=Real(), help="Pixel size of label images, which carry none.")
@click.option(
    "--misorientation-deg",
    type=Real(),
    default=5.0,
    show_default=True,
    help="Smallest misorientation between grains of an EBSD map.",
)
@click.option("--min-pixels", type=Whole(), default=0, show_default=True, help="Smallest grain of an EBSD map.")
@click.option(
    "--min-confidence", type=Real(), help="Lowest confidence of an EBSD pixel; pixels below it count as missing."
)
@click.option(
    "--repeats", type=Whole(0), default=0, show_default=True,
    help="Additional trainings with other seeds, for the spread of the distances; each takes as long as the first.",
)  # fmt: skip
@click.option("--centres", type=PATH, help="File of the particle centres in the sections: .csv, .json or .yaml.")
@click.option(
    "--device", default="cpu", show_default=True,
    help='PyTorch device, for example "cuda". A GPU does not help: windows and seeds are drawn on the CPU.',
)  # fmt: skip
@click.option("--threads", type=Whole(1), help="PyTorch threads on the CPU.")
@click.option("--resume", is_flag=True, help="Continue from the checkpoint in the folder.")
def calibrate_grains_command(
    folder: Path, out: Path, recipe: Path | None, base: str, held_out: Path | None, truth: str | None,
    centres: Path | None, **options: Any,
) -> int:  # fmt: skip
    """Train the grain model on a FOLDER of planar sections: EBSD maps, or images of labelled grains."""
    need("calibration", "the calibration of grains")
    need("report", "the report of a calibration")
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.grains.centres import read_centres
    from nmcdist.calibration.grains.recipe import GrainRecipe
    from nmcdist.calibration.grains.sections import read_sections
    from nmcdist.faults import load_checked

    how = {name: options.pop(name) for name in ("pixel_size_nm", "misorientation_deg", "min_pixels", "min_confidence")}
    settings = GrainRecipe() if recipe is None else load_checked(recipe, GrainRecipe)
    bases = load_bundle(base), None if truth is None else load_bundle(truth)
    known = None if centres is None else read_centres(centres)
    sections, others = read_sections(folder, **how), [] if held_out is None else read_sections(held_out, **how)
    if known is not None:
        (sections, others), at_centroid = known.placed(sections, others)
        note(json.dumps({"event": "centres", "given": len(known.places), "centroid": at_centroid}))
    from nmcdist.calibration.grains.calibrate import calibrate_grains
    from nmcdist.calibration.grains.training import CHECKPOINT
    from nmcdist.datasets.files import naming
    from nmcdist.report.grain_calibration import headline, report_grain_calibration

    try:
        with naming(out):
            calibrate_grains(
                sections, settings, bases[0], out, held_out=others, truth=bases[1],
                progress=lambda facts: note(json.dumps(facts)), **options,
            )  # fmt: skip
            page = report_grain_calibration(out, out / "report")
    except KeyboardInterrupt:
        if (out / CHECKPOINT).exists():
            complain(f"interrupted; continue with the same command and --resume; {out} holds the work so far")
        else:
            complain("interrupted before the end of the first epoch; start again with the same command")
        return INTERRUPTED
    click.echo(f"{out / 'bundle'}\n{page}\n{headline(out)}")
    return 0


@calibrate.command("phantom")
@click.argument("name")
@click.option("--out", type=PATH, required=True, help="New folder for the maps and the phantom's bundle.")
@click.option("--sections", type=Whole(1), default=16, show_default=True)
@click.option("--start", type=Whole(0), default=0, show_default=True, help="Number of the first particle.")
@click.option("--seed", type=Whole(0, 2**63), default=1, show_default=True)
@click.option("--missing", type=Real(), default=0.1, show_default=True, help="Fraction of pixels without a solution.")
@click.option("--orientation-noise-deg", type=Real(0, 180), default=0.5, show_default=True)
def calibrate_phantom(name: str, out: Path, sections: int, orientation_noise_deg: float, **how: Any) -> None:
    """Write EBSD maps of central sections of a phantom; NAME is a phantom, or a particle bundle by name or path.

    Phantoms: radial, stout, isotropic, tangential, outward, two-sizes.
    """
    from nmcdist.bundle import load_bundle, save_bundle
    from nmcdist.calibration.grains.phantom import phantom_bundles, phantom_sections, write_scan
    from nmcdist.datasets.files import naming

    known = phantom_bundles()
    loaded = known[name] if name in known else load_bundle(name)
    folder_to_make(out)
    cut = phantom_sections(loaded, how["seed"], sections, missing=how["missing"], start=how["start"])
    with naming(out):
        save_bundle(loaded, out / "truth")
        for number, section in enumerate(cut, how["start"]):
            write_scan(out / f"section-{number:04d}.ang", section, orientation_noise_deg, how["seed"] + number)
    click.echo(f"{out}: {len(cut)} maps; the phantom's bundle is in {out / 'truth'}")
