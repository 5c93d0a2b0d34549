"""The command that queries the items of a dataset by their descriptors."""

import io
from pathlib import Path

import click

from nmcdist.cli.options import PATH, Whole, note

_ROWS = 20
_STANDARD_OUTPUT = Path("-")


@click.command()
@click.argument("dataset", metavar="NAME_OR_FOLDER")
@click.argument("where", default="")
@click.option("--limit", type=Whole(), help=f"Most items to list; default: {_ROWS} on the screen, all in a file.")
@click.option("--after", metavar="ITEM", type=Whole(), help="List only items with a larger number: the next page.")
@click.option("--columns", metavar="A,B", help="Columns to list; default: those of the condition.")
@click.option("--csv", "file", type=PATH, help="New file to write, with all digits; - is standard output.")
@click.option(
    "--catalog", "path", type=PATH,
    help="Catalog file. Default: $NMCDIST_CATALOG, else ./catalog.yaml, else the recipes of the package.",
)  # fmt: skip
def query(
    dataset: str, where: str, limit: int | None, after: int | None, columns: str | None, file: Path | None,
    path: Path | None,
) -> None:  # fmt: skip
    """List the items of a dataset for which a condition holds.

    For example: nmcdist query nmc811-particles "d_max_nm > 8000 and sphericity > 0.9". Without a condition and options,
    list the columns that conditions can name.
    """
    from nmcdist.queries.query import query as find
    from nmcdist.queries.query import write_csv, write_rows

    if not where.strip() and limit is None and after is None and columns is None and file is None:
        _list_columns(dataset, path)
        return
    limit = _ROWS if limit is None and file is None else limit
    more = limit + 1 if limit and limit > 0 else limit  # one more item shows whether there is a next page
    data = find(dataset, where, limit=more, after=after, columns=columns, catalog=path)
    has_next = more is not None and data.sizes["sample"] == more
    data = data.isel(sample=slice(limit))
    if file is None:
        _print(data)
    elif file == _STANDARD_OUTPUT:
        lines = io.StringIO()
        write_rows(data, lines)
        click.echo(lines.getvalue(), nl=False)
    else:
        write_csv(data, file)
        click.echo(file)
    count, last = data.sizes["sample"], int(data.sample[-1]) if data.sizes["sample"] else None
    note(f"{count} of {data.attrs['matches']} matching items" + (f"; next page: --after {last}" if has_next else ""))


def _list_columns(dataset: str, path: Path | None) -> None:
    from nmcdist.queries.query import columns_named

    columns = columns_named(dataset, path).about.values()
    width = max((len(about.name) for about in columns), default=0)
    for about in columns:
        click.echo(f"{about.name:{width}}  {about.long_name}" + (f" ({about.unit})" if about.unit != "1" else ""))


def _print(data: object) -> None:
    import xarray as xr

    from nmcdist.queries.query import texts

    assert isinstance(data, xr.Dataset)
    columns = []
    for name in ("sample", *map(str, data.data_vars)):
        unit = data[name].attrs.get("units", "1")
        head = f"{name} ({unit})" if unit not in ("1", "") else name
        columns.append([head, *texts(data[name].values, ".6g")])
    widths = [max(map(len, column)) for column in columns]
    for row in zip(*columns, strict=True):
        click.echo("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
