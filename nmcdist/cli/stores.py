"""Commands on a finished store: verify, report, export."""

import re
from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import PATH, REFUSED, Real, Whole, complain, note
from nmcdist.errors import InputError
from nmcdist.wording import shown


class _FormatOption(click.Option):
    """Lists the export formats in its help; read only where that is shown."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from nmcdist.datasets.export.formats import help_line

        self.help = help_line()
        return super().get_help_record(ctx)


@click.command()
@click.argument("store", type=PATH)
def verify(store: Path) -> int:
    """Check every file of a finished STORE against its checksum, and that none is missing."""
    from nmcdist.datasets.catalog import CATALOG_FILE, recorded_manifest
    from nmcdist.datasets.integrity import damaged_samples, verify

    expected = recorded_manifest(store.absolute().parent / CATALOG_FILE, store)
    faults = verify(store, expected)
    for fault in faults:
        click.echo(f"{store}: {fault}")
    if not faults:
        click.echo(f"{store}: whole")
        return 0
    items = damaged_samples(faults)
    what = f"damaged items: {', '.join(map(str, items))}" if items else "damaged, though no item is"
    complain(f"{store}: {what}; `nmcdist run RECIPE --resume` heals it")
    return REFUSED


@click.command()
@click.argument("store", type=PATH)
@click.option("--out", type=PATH, help="Folder of the report; default: NAME-report beside the store.")
@click.option("--resolution-study", is_flag=True, help="Solve two volumes again at 80, 40 and 20 nm: some minutes.")
def report(store: Path, out: Path | None, resolution_study: bool) -> None:
    """Write figures (PNG, SVG) and tables (CSV, Markdown) of a finished STORE."""
    from nmcdist.products.stores import RESOLUTIONS_NM, build_report

    sizes = RESOLUTIONS_NM if resolution_study else ()
    click.echo(build_report(store, out, sizes, note))


@click.command()
@click.argument("store", type=PATH)
@click.option("--item", "items", metavar="N or A-B", multiple=True, required=True, help="Which; may stand repeatedly.")
@click.option("--format", "file_format", default="tiff", show_default=True, cls=_FormatOption)
@click.option("--out", type=PATH, help="File to write; of several items, the folder.")
@click.option("--voxel-size-nm", type=Real(), help="Of particles: size of the voxels to render; default 50.")
@click.option("--label", type=Whole(), help="With stl and ply: one grain or phase.")
@click.option("--smoothing", type=Whole(), help="Of surfaces and tetrahedra: sweeps; 0 leaves the steps of the voxels.")
@click.option("--elements", help="Of volume meshes: hexahedra (default) or tetrahedra.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def export(store: Path, items: tuple[str, ...], file_format: str, out: Path | None, **options: Any) -> None:
    """Write items of STORE to files that other programs read."""
    from nmcdist.datasets.items import default_name, item_count
    from nmcdist.products.stores import export_item

    numbers = _numbers(items, item_count(store))
    for item in numbers:
        target = out if out is None or len(numbers) == 1 else out / default_name(store, item, file_format)
        click.echo(export_item(store, item, file_format, target, **options))


def _numbers(texts: tuple[str, ...], count: int) -> list[int]:
    """Return the items, of so many, that texts such as 3 and 5-9 name."""
    numbers: list[int] = []
    for text in texts:
        found = re.fullmatch("([0-9]{1,12})(?:-([0-9]{1,12}))?", text)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise InputError(f"item: found {shown(text)}, expected a number from 0 or a range as 0-9")
        if last >= count:
            raise InputError(f"item: found {text}, expected items from 0 to {count - 1}")
        numbers += range(first, last + 1)
    return list(dict.fromkeys(numbers))
