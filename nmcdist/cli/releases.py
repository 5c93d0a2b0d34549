"""Commands on releases: publish, pack, catalog materialise."""

from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import INTERRUPTED, ITEMS_FAILED, PATH, REFUSED, cluster_options, complain, note

catalog_option = click.option(
    "--catalog", "path", type=PATH,
    help="Catalog file. Default: $NMCDIST_CATALOG, else ./catalog.yaml, else the recipes of the package.",
)  # fmt: skip


@click.command()
@click.argument("store", type=PATH)
@click.option("--name", required=True, help="Name of the dataset: small letters, digits and hyphens.")
@click.option("--version", required=True, help="Semantic version, for example 1.0.0; a version that exists is refused.")
@click.option(
    "--metadata", type=PATH, help="YAML file with licence, creators and more; default: dataset.yaml beside the store."
)
@click.option("--out", type=PATH, help="Folder of releases; default: releases/ beside the store.")
@click.option("--zip", "packed", is_flag=True, help="Also pack the release as a few files for an archive.")
@click.option("--virtual", is_flag=True, help="STORE is a recipe; chunks are computed when they are first read.")
def publish(
    store: Path, name: str, version: str, metadata: Path | None, out: Path | None, packed: bool, virtual: bool
) -> None:
    """Publish a finished STORE under a version that never changes."""
    from nmcdist.releases import pack, publish

    if packed and virtual:
        raise click.UsageError("--zip and --virtual: a virtual release has no files to pack")
    folder = publish(store, name, version, metadata, out, virtual=virtual, note=note)
    click.echo(folder)
    if packed:
        click.echo(pack(folder))


@click.command()
@click.argument("release", type=PATH)
@click.option("--out", type=PATH, help="New folder; default: NAME-VERSION beside the release.")
def pack(release: Path, out: Path | None) -> None:
    """Pack a RELEASE, the folder NAME/VERSION, as a few files for an archive, its store in one zip file."""
    from nmcdist.releases import pack

    click.echo(pack(release, out))


@click.command()
@click.argument("name")
@catalog_option
@click.option("--out", type=PATH, default=Path(), help="Folder for the new store.")
@click.option("--resume", is_flag=True, help="Continue an interrupted run.")
@cluster_options
def materialise(name: str, path: Path | None, out: Path, resume: bool, **where: Any) -> int:
    """Make the dataset NAME again from its recipe, and compare every file with the manifest of the first.

    NAME is a release (NAME or NAME-VERSION) or another dataset of the catalog, or a recipe of the package.
    """
    from nmcdist.releases import materialise
    from nmcdist.runs.progress import progress_on
    from nmcdist.runs.public import deployment_from

    deployment = deployment_from(**where)
    try:
        made = materialise(name, path, out, deployment=deployment, resume=resume, progress=progress_on())
    except KeyboardInterrupt:
        complain("interrupted; continue with the same command and --resume")
        return INTERRUPTED
    if made.result.failed:
        items = ", ".join(map(str, sorted(made.result.failed)))
        complain(f"items not made: {items} (see {made.result.journal / 'failures'}); try again with --resume")
        return ITEMS_FAILED
    for line in made.lines():
        click.echo(line)
    if made.expected is None or made.is_same:
        return 0
    complain(f"{name}: the dataset made from its recipe is not the same")
    return REFUSED
