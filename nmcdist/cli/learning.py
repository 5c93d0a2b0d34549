"""Commands that train nets and surrogates, and predict with surrogates."""

import json
from pathlib import Path

import click

from nmcdist.cli.options import PATH, note
from nmcdist.extras import need
from nmcdist.inputs import folder_of_results


@click.group()
def train() -> None:
    """Train surrogates on finished stores, and nets on what models draw."""


@train.command("surrogate")
@click.argument("recipe", type=PATH)
@click.option("--out", type=PATH, required=True, help="New folder for the bundle, the results and the report.")
def train_surrogate_command(recipe: Path, out: Path) -> None:
    """Train the surrogate of RECIPE, from the structure of volumes to their properties."""
    need("report", "the report of a training")
    from nmcdist.datasets.files import naming
    from nmcdist.faults import load_checked
    from nmcdist.learning.recipe import SurrogateRecipe

    settings = load_checked(recipe, SurrogateRecipe)
    if settings.model == "cnn":
        need("calibration", "the training of a net")
    from nmcdist.learning.training import train_surrogate
    from nmcdist.report.surrogate import headline, report_surrogate

    with naming(out), folder_of_results(out):
        train_surrogate(settings, recipe.parent, out, lambda facts: note(json.dumps(facts)))
        page = report_surrogate(out, out / "report")
    click.echo(f"{out / 'bundle'}\n{page}\n{headline(out)}")


@train.command("superres")
@click.argument("recipe", type=PATH)
@click.option("--out", type=PATH, required=True, help="New folder for the bundle and the results.")
def train_superres_command(recipe: Path, out: Path) -> None:
    """Train the net of RECIPE, which gives label volumes voxels of half the edge."""
    need("calibration", "the training of a net")
    from nmcdist.datasets.files import naming
    from nmcdist.faults import load_checked
    from nmcdist.learning.refine.recipe import SuperresRecipe

    settings = load_checked(recipe, SuperresRecipe)
    from nmcdist.learning.refine.training import train_superres

    with naming(out), folder_of_results(out):
        results = train_superres(settings, recipe.parent, out, lambda facts: note(json.dumps(facts)))
    shares = ", ".join(f"{name} {share:.4f}" for name, share in results["agreement"].items())
    click.echo(f"{out / 'bundle'}\nagreement on realisations never seen: {shares}")


@train.command("segmenter")
@click.argument("recipe", type=PATH)
@click.option("--out", type=PATH, required=True, help="New folder for the bundle and the results.")
def train_segmenter_command(recipe: Path, out: Path) -> None:
    """Train the segmenter of RECIPE on images drawn from a model, without any label by hand."""
    need("calibration", "the training of a net")
    from nmcdist.calibration.segmenter.recipe import SegmenterRecipe
    from nmcdist.datasets.files import naming
    from nmcdist.faults import load_checked

    settings = load_checked(recipe, SegmenterRecipe)
    from nmcdist.calibration.segmenter.training import BUNDLE, train_segmenter

    with naming(out), folder_of_results(out):
        results = train_segmenter(settings, recipe.parent, out, lambda facts: note(json.dumps(facts)))
    click.echo(f"{out / BUNDLE}\n{results['weights']} weights, {sum(results['cpu_s'].values()):.0f} CPU s")


@click.command()
@click.argument("store", type=PATH)
@click.option("--with", "bundle", type=PATH, required=True, help="Folder of the bundle of a surrogate.")
@click.option("--out", type=PATH, required=True, help="New file: .csv or .zarr.")
def predict(store: Path, bundle: Path, out: Path) -> None:
    """Predict properties of the items of STORE with a surrogate."""
    from nmcdist.datasets.store import open_store, readable
    from nmcdist.learning.bundles import load_surrogate
    from nmcdist.learning.tables import check_target, write_predictions

    check_target(out)
    surrogate = load_surrogate(bundle)
    with readable(store):
        found = surrogate.predict(open_store(store))
    click.echo(write_predictions(found, out))
    flagged, rows = int(found["out_of_design"].sum()), found["out_of_design"].size
    if flagged:
        note(f"{flagged} of {rows} rows are out of the design of the training: do not trust their intervals")
