"""The command that measures an image of labels."""

import contextlib
from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import EDGES, PATH, Real, Whole, cluster_options, note, spreading, taken_cluster
from nmcdist.errors import InputError
from nmcdist.wording import shown

_BLOCK_BYTES = 4 << 30  # memory of a block with lags of 100 voxels around it
_PHASES = "Names of the labels, such as pore=0,nmc=1,cbd=2; solid=1+2 is a union. Default: numbers."
_VOXEL_SIZE = "Edge of a voxel, or edges along z, y, x (y, x of a planar image). Needed if the image says none."
_CONDUCTIVITY = "Phases that conduct together, such as nmc=1,cbd=0.01. Each phase is also solved alone."
_WINDOWS = "Representative volume: also measure the parts of the image, cut so many times along each axis."
_BLOCKS = "Read and measure blocks of so many voxels along each edge, for images larger than the memory."
_MANY = 1 << 20  # blocks, before their number is known


class _Groups(click.Option):
    """Lists the groups of descriptors in its help, and imports them only when the help is shown."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from nmcdist.measurement.groups import GROUPS

        listed = "; ".join(f"{name} ({group.about})" for name, group in GROUPS.items())
        self.help = f"What to compute: {listed}. Default: all."
        return super().get_help_record(ctx)


@click.command()
@click.argument("image", type=PATH)
@click.option("--phases", metavar="NAME=LABEL,...", help=_PHASES)
@click.option("--voxel-size-nm", type=EDGES, help=_VOXEL_SIZE)
@click.option("--conductivity", metavar="NAME=NUMBER,...", help=_CONDUCTIVITY)
@click.option("--fluid", metavar="NAME,...", help="Phases whose permeability is computed. Default: none.")
@click.option("--boundary", type=click.Choice(["open", "periodic", "walls"]), default="open", show_default=True,
              help="Sides of the flow.")  # fmt: skip
@click.option("--descriptors", metavar="GROUP,...", cls=_Groups)
@click.option("--along", metavar="z,y,x", help="Directions of the directional descriptors. Default: all.")
@click.option("--axes", help='Order of the axes in the file, such as "zyx", if the image does not say it.')
@click.option(
    "--dataset",
    metavar="NAME",
    help="Array in an HDF5 file, a Zarr group or a VTK file with several, or number of a TIFF image.",
)
@click.option("--planes", is_flag=True, help="Measure each plane along z as a planar image of its own.")
@click.option(
    "--periodic", is_flag=True, help="The image continues itself: in volumes, coverage, interfaces and sizes."
)
@click.option("--windows", metavar="2,3,...", help=_WINDOWS)
@click.option("--blocks", type=Whole(8), metavar="EDGE", help=_BLOCKS)
@click.option("--max-lag-nm", type=Real(), help="Longest lag of the coverage. Default: 100 voxels.")
@click.option("--max-radius-nm", type=Real(), help="Largest radius of the size distributions. Default: half a side.")
@click.option("--out", type=PATH, help="File for all values: .csv (scalars), .json or .nc (NetCDF).")
@click.option("--report", "report_folder", type=PATH, help="New folder for a page with tables and figures.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file given with --out.")
@cluster_options
def measure(image: Path, out: Path | None, report_folder: Path | None, overwrite: bool, **options: Any) -> None:
    """Measure an IMAGE of labels: volumes, surfaces, sizes, paths, contacts, conductivity and flow of its phases.

    IMAGE is a TIFF file, a folder of TIFF or PNG slices, a Zarr or OME-Zarr array, or a .npy, HDF5, NRRD, MetaImage
    (.mhd), VTK (.vti, .vtk) or PNG file, in two or three dimensions. The cluster options apply to --blocks.
    """
    from nmcdist.extras import need
    from nmcdist.images import open_labels
    from nmcdist.inputs import folder_of_results
    from nmcdist.measurement.measure import measure
    from nmcdist.measurement.tables import check_file, write_result
    from nmcdist.report.measurement import report_measurement, table_of

    cluster = taken_cluster(options)
    asked = any(value is not None for value in cluster.values())
    if asked and options["blocks"] is None:
        raise InputError("--cluster, --workers, --threads and --memory apply to blocks: give --blocks, too")
    target = None if out is None else check_file(out, overwrite)
    if report_folder is not None:
        need("report", "a report")
    for name in ("phases", "conductivity"):
        options[name] = named_numbers(name, options[name])
    for name in ("fluid", "descriptors", "along"):
        options[name] = _several(options[name])
    if options["windows"] is not None:
        options["windows"] = [_whole("windows", part) for part in options["windows"].split(",")]
    # The folder is made before the work: it may be impossible.
    with folder_of_results(report_folder) if report_folder is not None else contextlib.nullcontext():
        with spreading(cluster, _BLOCK_BYTES, _MANY if asked else 1) as spread:
            found = measure(image, spread=spread, progress=note, **options)
        click.echo(table_of(found))
        if target is not None:
            click.echo(write_result(found, target))
        if report_folder is not None:
            size, axes, dataset, planes = (options[name] for name in ("voxel_size_nm", "axes", "dataset", "planes"))
            opened = open_labels(image, size, axes, dataset, samples_are_slices=planes)
            click.echo(report_measurement(found, opened, report_folder))


def _several(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(","))


def named_numbers(option: str, text: str | None) -> dict[str, Any] | None:
    """Return numbers by name from a text such as pore=0,solid=1+2."""
    if text is None:
        return None
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals or not name or not value:
            expected = "pore=0,nmc=1" if option == "phases" else "nmc=1,cbd=0.01"
            raise InputError(f"--{option}: found {shown(part)}, expected NAME=NUMBER, such as {expected}")
        if name in found:
            raise InputError(f"--{option}: {name} is given twice")
        if option == "phases":
            found[name] = [_whole("phases", label) for label in value.split("+")]
        else:
            found[name] = _number("conductivity", value)
    return found


def _whole(option: str, text: str) -> int:
    try:
        return int(text) if text.strip().isascii() and "_" not in text else int("")
    except ValueError:
        raise InputError(f"--{option}: found {shown(text)}, expected a whole number") from None


def _number(option: str, text: str) -> float:
    try:
        return float(text) if text.strip().isascii() and "_" not in text else float("")
    except ValueError:
        raise InputError(f"--{option}: found {shown(text)}, expected a number") from None
