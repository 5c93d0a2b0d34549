"""Campaigns that find the structure for a target: run by the workers of a cluster, or evaluated elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmcdist.cli.options import INTERRUPTED, PATH, Whole, cluster_options, complain
from nmcdist.cli.runs import end_of
from nmcdist.errors import InputError

if TYPE_CHECKING:
    from nmcdist.products.campaigns.laboratory import Laboratory


class _RunByDefault(click.Group):
    """Takes the name of a recipe in place of a subcommand."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunByDefault, subcommand_metavar="RECIPE | ask N | tell FILE")
def design() -> None:
    """Find the structure for a target.

    With a RECIPE of a campaign: evaluate points, confirm the answers by fresh realisations, and write them as bundles,
    with a report. With ask and tell: only propose points, which a laboratory or another solver evaluates.
    """


@design.command("run", hidden=True)
@click.argument("recipe", type=PATH)
@click.option("--out", type=PATH, default=Path(), help="Folder for the evaluations, the answers and the report.")
@click.option("--resume", is_flag=True, help="Continue a campaign that was stopped.")
@cluster_options
def run_campaign(recipe: Path, out: Path, resume: bool, **how: Any) -> int:
    """Run the campaign of RECIPE, and write its answers and its report to OUT/NAME-answers."""
    from nmcdist.extras import need

    need("report", "the report of a campaign")
    from nmcdist.products.stores import build_report
    from nmcdist.runs.progress import progress_on
    from nmcdist.runs.public import run

    name = _campaign(recipe).name
    again = f"nmcdist design {recipe} --out {out} --resume"
    try:
        result = run(recipe, out, resume=resume, progress=progress_on(), **how)
    except KeyboardInterrupt:
        complain(f"interrupted; continue with: {again}")
        return INTERRUPTED
    if result.failed:
        return end_of(result, again)
    click.echo(build_report(result.store, out / f"{name}-answers"))
    return 0


@design.command("ask")
@click.argument("count", metavar="N", type=Whole(1, 1000))
@click.option("--recipe", type=PATH, required=True, help="Recipe of the campaign.")
@click.option("--record", type=PATH, help="CSV file of points and results; default: NAME.csv.")
def ask(count: int, recipe: Path, record: Path | None) -> None:
    """Propose the next N points, and add them to the record."""
    lab = _laboratory(recipe, record)
    first = len(lab.places)
    click.echo(",".join(["point", *lab.recipe.varied]))
    for number, point in enumerate(lab.ask(count), first):
        click.echo(",".join([str(number), *(f"{value:.6g}" for value in point.values())]))


@design.command("tell")
@click.argument("results", metavar="FILE", type=PATH)
@click.option("--recipe", type=PATH, required=True, help="Recipe of the campaign.")
@click.option("--record", type=PATH, help="CSV file of points and results; default: NAME.csv.")
def tell(results: Path, recipe: Path, record: Path | None) -> None:
    """Add the results of FILE to the record, and show the best point by what is known.

    FILE is a CSV file with the column point and one for each quantity of the goal; nan for a failed evaluation.
    """
    lab = _laboratory(recipe, record)
    click.echo(f"{lab.tell(results)} new results, {sum(r is not None for r in lab.results)} in all")
    if (best := lab.best()) is not None:
        point, quantities = best
        click.echo("best point: " + ", ".join(f"{name} {value:.4g}" for name, value in point.items()))
        for name, (low, value, high) in quantities.items():
            click.echo(f"  {name}: {value:.4g} ({low:.4g} to {high:.4g})")


def _campaign(recipe: Path) -> Any:
    from nmcdist.products.campaigns.recipe import CampaignRecipe
    from nmcdist.products.registry import load_recipe

    loaded = load_recipe(recipe)
    if not isinstance(loaded, CampaignRecipe):
        raise InputError(f"{recipe}: is of kind {loaded.kind}, expected a campaign")
    return loaded


def _laboratory(recipe: Path, record: Path | None) -> "Laboratory":
    from nmcdist.products.campaigns.laboratory import Laboratory

    campaign = _campaign(recipe)
    return Laboratory.of(campaign, record or Path(f"{campaign.name}.csv"))
