"""Commands on releases: publish, pack."""

from pathlib import Path

import click

from nmcdist.cli.options import PATH


@click.command()
@click.argument("store", type=PATH)
@click.option("--name", required=True, help="Name of the dataset: small letters, digits and hyphens.")
@click.option("--version", required=True, help="Semantic version, for example 1.0.0; a version that exists is refused.")
@click.option(
    "--metadata", type=PATH, help="YAML file with licence, creators and more; default: dataset.yaml beside the store."
)
@click.option("--out", type=PATH, help="Folder of releases; default: releases/ beside the store.")
@click.option("--zip", "packed", is_flag=True, help="Also pack the release as a few files for an archive.")
def publish(store: Path, name: str, version: str, metadata: Path | None, out: Path | None, packed: bool) -> None:
    """Publish a finished STORE under a version that never changes."""
    from nmcdist.releases import pack, publish

    folder = publish(store, name, version, metadata, out)
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
