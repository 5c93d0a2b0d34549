"""Commands on a finished store: verify, report, export."""

import contextlib
import re
from pathlib import Path
from typing import Any

import click

from nmcdist.cli.measurements import named_numbers
from nmcdist.cli.options import EDGES, PATH, REFUSED, Real, Whole, complain, note
from nmcdist.errors import InputError, StoreError
from nmcdist.wording import shown


class _Elements(click.ParamType):  # type: ignore[type-arg]  # generic in new versions only
    """A kind of element, or a number of tetrahedra."""

    name = "kind or number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """Return digits as a number; whether it or the kind is possible is checked later."""
        return int(value) if re.fullmatch("[0-9]{1,12}", value) else str(value)


class _FormatOption(click.Option):
    """Lists the export formats in its help, and imports them only when the help is shown."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from nmcdist.datasets.export.formats import help_line

        self.help = help_line()
        return super().get_help_record(ctx)


@click.command()
@click.argument("store", type=PATH)
def verify(store: Path) -> int:
    """Check that every file of STORE exists and matches its checksum.

    STORE is a finished store, the folder of a release, or a packed store (.zarr.zip), of which nothing is unpacked.
    """
    from nmcdist.datasets.catalog import CATALOG_FILE, recorded_manifest
    from nmcdist.datasets.integrity import damaged_samples, verify
    from nmcdist.releases.archive import verify_archive
    from nmcdist.releases.finding import claims_release, is_release
    from nmcdist.releases.verification import manifest_of_release, verify_release

    is_packed = store.suffix == ".zip" and not store.is_dir()
    if is_packed:
        faults = verify_archive(store, manifest_of_release(store))
    elif claims_release(store.absolute()):
        faults = verify_release(store.absolute())
    else:
        expected = manifest_of_release(store) or recorded_manifest(store.absolute().parent / CATALOG_FILE, store)
        faults = verify(store, expected)
    for fault in faults:
        click.echo(f"{store}: {fault}")
    if not faults:
        click.echo(f"{store}: whole")
        _note_place(store)
        return 0
    items = damaged_samples(faults)
    what = f"damaged items: {', '.join(map(str, items))}" if items else "damaged, but no item is"
    if is_packed or claims_release(store.absolute()) or is_release(store.absolute().parent):
        again = "get another copy of this release, or make it again: nmcdist catalog materialise NAME"
    else:
        again = f"repair it with: nmcdist run RECIPE --out {store.parent} --resume"
    complain(f"{store}: {what}; {again}")
    return REFUSED


def _note_place(folder: Path) -> None:
    """Say that a whole release lies where a catalog would list another version."""
    from nmcdist.releases.finding import is_release, misplaced, open_release
    from nmcdist.releases.versions import is_version

    place = folder.absolute()
    if is_version(place.name) and is_release(place) and (what := misplaced(open_release(place), place)):
        note(f"{folder}: {what}")


@click.command()
@click.argument("store", type=PATH)
@click.option("--out", type=PATH, help="Folder for the report; default: NAME-report beside the store.")
@click.option("--resolution-study", is_flag=True, help="Solve two volumes again at 80, 40 and 20 nm; takes minutes.")
def report(store: Path, out: Path | None, resolution_study: bool) -> None:
    """Write figures (PNG, SVG) and tables (CSV, Markdown) of a finished STORE."""
    from nmcdist.products.stores import RESOLUTIONS_NM, build_report

    sizes = RESOLUTIONS_NM if resolution_study else ()
    click.echo(build_report(store, out, sizes, note))


@click.command()
@click.argument("store", type=PATH)
@click.option("--item", "items", metavar="N or A-B", multiple=True, help="Items of a store; can be repeated.")
@click.option("--format", "file_format", default="tiff", show_default=True, cls=_FormatOption)
@click.option("--out", type=PATH, help="File to write; for several items, the folder.")
@click.option(
    "--voxel-size-nm",
    type=EDGES,
    help="Voxel size for particles; default 50, or what a number of elements needs. Of an image that says none: its.",
)
@click.option("--label", type=Whole(), help="Grain or phase to export, for stl and ply.")
@click.option(
    "--smoothing", type=Whole(), help="Smoothing sweeps for surfaces and tetrahedra; 0 keeps the voxel steps."
)
@click.option(
    "--elements",
    type=_Elements(),
    help="Elements of volume meshes: hexahedra (default), tetrahedra, or about how many tetrahedra, such as 200000.",
)
@click.option(
    "--min-angle",
    type=Real(),
    help="Smallest dihedral angle of tetrahedra, in degrees; default 15, or what is reached.",
)
@click.option("--grains", metavar="1,5,20-40", help="Labels to keep; default: all.")
@click.option(
    "--radius-below-nm",
    "--radius-below",
    "radius_below_nm",
    type=Real(),
    help="Keep the grains of a particle whose centre of mass is closer to its centre.",
)
@click.option("--interface-pairs", is_flag=True, help="Add a set for each pair of labels that touch, for msh and inp.")
@click.option(
    "--mirror", metavar="x,y,z", help="Axes along which the mirror image of a volume follows it: opposite faces match."
)
@click.option("--phase", help="Phase of a pore network: pore (default), solid, or the name of a phase.")
@click.option("--unit", help="Unit of lengths: nm, um or m; default nm, but um for tiff, m for damask and network.")
@click.option("--phases", metavar="NAME=LABEL,...", help="Of an image: names of its labels; default: they are grains.")
@click.option("--axes", help='Of an image that does not say it: the order of its axes, such as "zyx".')
@click.option(
    "--dataset",
    metavar="NAME",
    help="Of an image: its name in an HDF5 file, a Zarr group or a VTK file, or number in a TIFF file.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file or folder.")
def export(
    store: Path, items: tuple[str, ...], file_format: str, out: Path | None, phases: str | None, axes: str | None,
    dataset: str | None, **options: Any,
) -> None:  # fmt: skip
    """Write items of STORE, or an image of labels in its place, to files that other programs read.

    Without --item, STORE is an image as `nmcdist measure` reads it, in three dimensions.
    """
    from nmcdist.datasets.items import default_name, item_count
    from nmcdist.products.stores import export_item

    of_image = {"phases": named_numbers("phases", phases), "axes": axes, "dataset": dataset}
    if not items:
        click.echo(_export_image(store, file_format, out, of_image, options))
        return
    if any(value is not None for value in of_image.values()):
        raise InputError("--phases, --axes and --dataset are of an image, and --item of a store: give one of them")
    if store.is_file():
        raise InputError(f"{store}: is a file, expected a store for --item; leave --item out to export the image in it")
    numbers = _numbers(items, item_count(store))
    for item in numbers:
        target = out if out is None or len(numbers) == 1 else out / default_name(store, item, file_format)
        click.echo(export_item(store, item, file_format, target, progress=note, **options))


def _export_image(
    image: Path, file_format: str, out: Path | None, of_image: dict[str, Any], options: dict[str, Any]
) -> Path:  # fmt: skip
    from nmcdist.datasets.store import read_attributes
    from nmcdist.products.images import export_image

    if options.pop("radius_below_nm") is not None:
        raise InputError("--radius-below-nm: is of a particle of a store, expected none for an image")
    with contextlib.suppress(StoreError):
        name = read_attributes(image)["name"]
        raise InputError(f"--item: found none, expected the number of an item of the store {name}")
    return export_image(image, file_format, out, **of_image, progress=note, **options)


def _numbers(texts: tuple[str, ...], count: int) -> list[int]:
    """Return the items named by texts such as 3 and 5-9, of the `count` items of a store."""
    numbers: list[int] = []
    for text in texts:
        found = re.fullmatch("([0-9]{1,12})(?:-([0-9]{1,12}))?", text)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise InputError(f"item: found {shown(text)}, expected a number from 0 or a range such as 0-9")
        if last >= count:
            raise InputError(f"item: found {text}, expected items from 0 to {count - 1}")
        numbers += range(first, last + 1)
    return list(dict.fromkeys(numbers))
