"""Commands on catalogs of datasets."""

from pathlib import Path

import click

from nmcdist.cli.options import PATH
from nmcdist.cli.releases import catalog_option, materialise


@click.group()
def catalog() -> None:
    """Catalogs of published datasets."""


@catalog.command("list")
@catalog_option
def catalog_list(path: Path | None) -> None:
    """List the datasets of a catalog."""
    from nmcdist.datasets.catalog import list_entries

    for name, entry in list_entries(path).items():
        state = f"  (not made: {entry['make']})" if "make" in entry else ""
        click.echo(f"{name}  {entry.get('version', '')}  {entry.get('title', '')}{state}")


@catalog.command("show")
@click.argument("name")
@catalog_option
def catalog_show(name: str, path: Path | None) -> None:
    """Show the catalog entry of the dataset NAME."""
    from nmcdist.datasets.catalog import show_entry

    for key, value in show_entry(path, name).items():
        click.echo(f"{key}: {value}")


@catalog.command("add")
@click.argument("store", type=PATH)
@catalog_option
def catalog_add(store: Path, path: Path | None) -> None:
    """Add a finished STORE to a catalog, or update its entry."""
    from nmcdist.datasets.catalog import add_entry, catalog_path

    where = catalog_path(path)
    click.echo(f"{where}: {add_entry(where, store)}")


catalog.add_command(materialise)
