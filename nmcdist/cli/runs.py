"""Commands on runs: run, finalise, status, retry-failed, plan, describe."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmcdist.cli.options import INTERRUPTED, ITEMS_FAILED, PATH, Real, Whole, cluster_options, complain

if TYPE_CHECKING:
    from nmcdist.runs.production import Result

_MOST_FAILED = 10  # failed items that are listed with their reasons


@click.command()
@click.argument("recipe", type=PATH)
@click.option("--out", type=PATH, default=Path(), help="Folder for the dataset and its catalog.")
@click.option("--resume", is_flag=True, help="Make only what is missing or damaged.")
@click.option("--partition", metavar="K/N", help="Make part K of N, for job arrays; afterwards run `nmcdist finalise`.")
@click.option("--retries", type=Whole(0, 100), default=1, help="Retries per failed task; default 1.")
@click.option("--max-failures", type=Whole(0), help="Start no more tasks once more than this many have failed.")
@cluster_options
def run(recipe: Path, out: Path, resume: bool, partition: str | None, **how: Any) -> int:
    """Make the dataset that RECIPE describes, check it, and add it to the catalog of its folder."""
    from nmcdist.runs.progress import progress_on
    from nmcdist.runs.public import run

    again = f"nmcdist run {recipe} --out {out} " + ("--resume" if partition is None else f"--partition {partition}")
    try:
        result = run(recipe, out, resume=resume, partition=partition, progress=progress_on(), **how)
    except KeyboardInterrupt:
        complain(f"interrupted; continue with: {again}")
        return INTERRUPTED
    return end_of(result, again)


@click.command()
@click.argument("store", type=PATH)
def finalise(store: Path) -> int:
    """Check that all parts of STORE are made, seal it, and add it to the catalog of its folder."""
    from nmcdist.runs.partition import finalise_store
    from nmcdist.runs.progress import progress_on

    return end_of(finalise_store(store, progress=progress_on()), f"nmcdist finalise {store}")


@click.command()
@click.argument("store", type=PATH)
def status(store: Path) -> None:
    """Show the progress of the run of STORE, read from its journal; works from any machine."""
    from nmcdist.runs.status import status_of

    for line in status_of(store).lines():
        click.echo(line)


@click.command("retry-failed")
@click.argument("store", type=PATH)
@click.option("--retries", type=Whole(0, 100), default=1, help="Retries per failed task.")
@cluster_options
def retry_failed(store: Path, retries: int, **options: Any) -> int:
    """Retry the failed tasks of STORE, and seal it if no task is left."""
    from nmcdist.runs.partition import retry_failed
    from nmcdist.runs.progress import progress_on
    from nmcdist.runs.public import deployment_from

    try:
        result = retry_failed(store, deployment_from(**options), progress=progress_on(), retries=retries)
    except KeyboardInterrupt:
        complain(f"interrupted; continue with: nmcdist retry-failed {store}")
        return INTERRUPTED
    return end_of(result, f"nmcdist retry-failed {store}")


@click.command()
@click.argument("recipe", type=PATH)
@click.option("--out", type=PATH, default=Path(), help="Folder for the dataset.")
@click.option(
    "--measure", is_flag=True, help="Run a few tasks in a temporary folder, and estimate the time of the run."
)
@cluster_options
def plan(recipe: Path, out: Path, measure: bool, **options: Any) -> None:
    """Print the plan of RECIPE: tasks, bytes, files, memory, chunks, the job script; with --measure, the time."""
    from nmcdist.clusters.cluster import cluster_of
    from nmcdist.products.registry import loaded_recipe
    from nmcdist.runs import estimate
    from nmcdist.runs.public import deployment_from, plan

    _, bundle, _ = loaded_recipe(recipe)
    deployment = deployment_from(**options)
    worked_out = plan(recipe, out, cluster=deployment)
    click.echo(worked_out.summary())
    worked_out.validate()
    script = cluster_of(deployment).script(deployment, worked_out.resources)
    if measure:
        click.echo("\n".join(["", *estimate.measure(worked_out, bundle, deployment).lines(worked_out)]))
    if script:
        click.echo(f"\n{script.rstrip()}")


class _Describe(click.Command):
    """Adds an option for each number and each switch among the descriptors of all kinds."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        first, *others = super().get_params(ctx)
        return [first, *_descriptor_options(), *others]


def _descriptor_options() -> Iterator[click.Option]:
    from nmcdist.products.registry import kinds

    seen: dict[str, click.Option] = {}
    for kind in kinds().values():
        for name, field in kind.descriptor_fields().items():
            types = {bool: None, int: Whole(), float: Real()}
            if field.annotation in types and name not in seen:
                text, flag = field.description or "", name.replace("_", "-")
                if field.annotation is bool:
                    seen[name] = click.Option([f"--{flag}/--no-{flag}"], default=None, help=text)
                else:
                    seen[name] = click.Option([f"--{flag}"], type=types[field.annotation], help=text)
    yield from seen.values()


@click.command(cls=_Describe)
@click.argument("store", type=PATH)
@cluster_options
def describe(store: Path, **options: Any) -> int:
    """Recompute the descriptors of a finished STORE; its volumes or records stay unchanged."""
    from nmcdist.runs.progress import progress_on
    from nmcdist.runs.public import deployment_from
    from nmcdist.runs.redescribe import describe_store

    where = {name: options.pop(name) for name in ("cluster", "workers", "threads", "memory")}
    changes = {name: value for name, value in options.items() if value is not None}
    try:
        result = describe_store(store, deployment_from(**where), changes=changes, progress=progress_on())
    except KeyboardInterrupt:
        complain(f"interrupted; continue with: nmcdist describe {store}")
        return INTERRUPTED
    return end_of(result, f"nmcdist describe {store}")


def end_of(result: "Result", again: str) -> int:
    """Print how a run ended, and return the exit status; `again` is the command that continues it."""
    if result.failed:
        reasons = [f"{item}: {reason}" for item, reason in sorted(result.failed.items())]
        more = len(reasons) - _MOST_FAILED
        items = ", ".join(reasons[:_MOST_FAILED]) + (f" and {more} more" if more > 0 else "")
        complain(f"items not made: {items} (see {result.journal / 'failures'}); try again with: {again}")
        return ITEMS_FAILED
    counts = f"{result.made} tasks done, {result.kept} kept"
    if result.manifest_sha256:
        click.echo(f"{result.store}: whole, {counts}, manifest sha256 {result.manifest_sha256}")
    else:
        then = f"once all parts are done, run: nmcdist finalise {result.store}"
        click.echo(f"{result.store}: not finished, {counts} in this part; {then}")
    return 0
