"""The report of a store of any kind: statistics and histograms of numbers, curves, and slices of volumes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.datasets.layout import SAMPLE, VOLUME
from nmcdist.datasets.store import open_store, read_attributes, read_block, read_origin
from nmcdist.errors import StoreError
from nmcdist.report.intervals import PERCENT, mean_of
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.style import SERIES, figure, save
from nmcdist.report.tables import markdown, with_unit, write_csv

if TYPE_CHECKING:
    import xarray as xr

    from nmcdist.report.render import Part

_MOST_PANELS = 24  # largest number of histograms; the table includes all numbers
_MOST_LABELS = 32  # labels of an axis with entries that become separate numbers, such as phases
_SLICES = 4
_LONGEST_SLICE, _LONGEST_CUBE = 512, 256


@dataclass(frozen=True)
class Number:
    """A number of every item.

    Attributes
    ----------
    name, unit, long_name : str
    values : ndarray, shape (items,)
    """

    name: str
    unit: str
    long_name: str
    values: np.ndarray


def report_plain(store: Path, folder: Path, solids: Sequence["Part"] = ()) -> Path:
    """Write the report of a store of a kind that defines none; see :func:`nmcdist.products.stores.build_report`.

    Parameters
    ----------
    store, folder : Path
    solids : sequence of Part
        All phases but the pores: colours and names of the slices, and surfaces in a picture of the first volume in
        three dimensions; none: no such picture, and slices without a legend.

    Raises
    ------
    StoreError
        If the store holds nothing that a report can show, or is damaged.
    """
    data, attributes, (recipe, _) = open_store(store), read_attributes(store), read_origin(store)
    numbers, curves = list(_numbers(data)), list(_curves(data))
    if not numbers and not curves and VOLUME not in data:
        raise StoreError(f"{store}: holds no descriptors; `nmcdist describe {store}` computes them")
    make_folder(folder)
    made, captions = [], {}
    if numbers:
        write_csv(folder / "items.csv", *_table_of_items(data.sizes[SAMPLE], numbers))
        if data.sizes[SAMPLE] > 1:  # the table says all that one item has
            made.append(_histograms(numbers[:_MOST_PANELS], folder / "distributions.png"))
            captions["distributions.png"] = _about_histograms(len(numbers))
    if curves:
        made.append(_draw_curves(curves, folder / "curves.png"))
        captions["curves.png"] = "Mean over items; the band is one standard deviation of the items to either side."
    if VOLUME in data:
        made.append(_slices(store, data[VOLUME], folder / "slices.png", solids))
        captions["slices.png"] = "The middle slice, normal to z, of the first items."
        if solids:
            made.append(_volume(store, data[VOLUME], folder / "volume.png", solids))
            captions["volume.png"] = "The first volume, corner at the origin; its nearest octant is cut open."
    parts = [
        f"# {attributes['title']}",
        f"Dataset `{attributes['name']}` {attributes['version']}: {data.sizes[SAMPLE]} items, "
        f"bundle `{recipe.get('bundle')}`, seed {recipe['seed']}.",
    ]
    if numbers:
        parts += [
            "## Numbers of the items",
            markdown(["quantity", "unit", "items", "mean", f"{PERCENT} interval", "sd", "least", "most"],
                     [_row(number) for number in numbers]),
            f"Intervals of means: {PERCENT}, by Student's t; none below three items. "
            "Table: [items.csv](items.csv), one row per item.",
        ]  # fmt: skip
    return write_page(folder, parts, made, captions)


def _volume(store: Path, volumes: "xr.DataArray", path: Path, parts: Sequence["Part"]) -> Path:
    from nmcdist.report.render import render_volume

    z, y, x = (min(n, _LONGEST_CUBE) for n in volumes.shape[1:])
    labels = read_block(store, 0, ((0, z), (0, y), (0, x)))
    return render_volume(labels, float(volumes.attrs["voxel_size_nm"]), path, parts=parts)


def _numbers(data: "xr.Dataset") -> Iterator[Number]:
    """Yield the variables with one number per item, and per entry of short labelled axes."""
    for name, variable in data.data_vars.items():
        if variable.dims[:1] != (SAMPLE,) or variable.dtype.kind not in "fiub" or name == VOLUME:
            continue
        axes = variable.dims[1:]
        if not all(_is_labelled(data, axis) for axis in axes):
            continue
        values = variable.values.astype(float).reshape(variable.shape[0], -1)
        labels = [data[axis].values.tolist() for axis in axes]
        unit, long_name = str(variable.attrs.get("units", "1")), str(variable.attrs.get("long_name", name))
        for place, index in enumerate(np.ndindex(*variable.shape[1:])):
            suffix = ", ".join(str(own[k]) for own, k in zip(labels, index, strict=True))
            yield Number(f"{name}[{suffix}]" if suffix else str(name), unit, long_name, values[:, place])


def _is_labelled(data: "xr.Dataset", axis: object) -> bool:
    return axis in data.coords and data[axis].dtype.kind in "UTO" and data.sizes[axis] <= _MOST_LABELS


def _curves(data: "xr.Dataset") -> Iterator["xr.DataArray"]:
    """Yield the variables with one curve per item along a numeric axis."""
    for name, variable in data.data_vars.items():
        if name != VOLUME and variable.ndim == 2 and variable.dims[0] == SAMPLE and variable.dtype.kind == "f":
            axis = variable.dims[1]
            if axis in data.coords and data[axis].dtype.kind in "fi":
                yield variable


def _row(number: Number) -> list[str]:
    estimate = mean_of(number.values)
    known = number.values[np.isfinite(number.values)]
    interval = "" if estimate.bounds is None else "{:.4g} to {:.4g}".format(*estimate.bounds)
    spread = f"{known.std(ddof=1):.3g}" if len(known) > 1 else ""
    ends = [f"{known.min():.4g}", f"{known.max():.4g}"] if len(known) else ["", ""]
    mean = f"{estimate.value:.4g}" if len(known) else ""
    return [f"`{number.name}`", number.unit, estimate.number, mean, interval, spread, *ends]


def _table_of_items(count: int, numbers: list[Number]) -> tuple[list[str], Iterator[list[object]]]:
    header = [SAMPLE, *(with_unit(number.name, number.unit) for number in numbers)]
    return header, ([item, *(number.values[item] for number in numbers)] for item in range(count))


def _about_histograms(count: int) -> str:
    said = "Distributions of the numbers in the table above over the items; dashed: their mean."
    return said if count <= _MOST_PANELS else f"{said} The first {_MOST_PANELS} of {count} are shown."


def _histograms(numbers: list[Number], path: Path) -> Path:
    from matplotlib.ticker import MaxNLocator

    columns = min(3, len(numbers))
    rows = math.ceil(len(numbers) / columns)
    with figure(rows, columns, 4.2 * columns, 3.2 * rows) as (drawing, axes):
        for panel, number in zip(axes.flat, numbers, strict=False):
            known = number.values[np.isfinite(number.values)]
            if len(known):
                panel.hist(known, bins=min(30, max(5, math.isqrt(len(known)))), color=SERIES[0][0])
                panel.axvline(known.mean(), color=SERIES[1][0], linestyle="--")
            panel.set(xlabel=with_unit(number.name, number.unit), ylabel="items")
            panel.xaxis.label.set_size(10)
            panel.xaxis.set_major_locator(MaxNLocator(4))
            panel.yaxis.set_major_locator(MaxNLocator(integer=True))
        for panel in axes.flat[len(numbers) :]:
            panel.set_axis_off()
        return save(drawing, path)


def _draw_curves(curves: list["xr.DataArray"], path: Path) -> Path:
    columns = min(2, len(curves))
    rows = math.ceil(len(curves) / columns)
    with figure(rows, columns, 5.5 * columns, 4.2 * rows) as (drawing, axes):
        for panel, curve in zip(axes.flat, curves, strict=False):
            axis = curve.dims[1]
            along, values = curve[axis].values, curve.values
            mean, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
            panel.plot(along, mean, color=SERIES[0][0])
            panel.fill_between(along, mean - spread, mean + spread, color=SERIES[0][0], alpha=0.2)
            unit = str(curve.attrs.get("units", "1"))
            panel.set(xlabel=str(axis), ylabel=with_unit(str(curve.name), unit))
        for panel in axes.flat[len(curves) :]:
            panel.set_axis_off()
        return save(drawing, path)


def _slices(store: Path, volumes: "xr.DataArray", path: Path, parts: Sequence["Part"]) -> Path:
    """Draw the middle slice of the first items, in the colours of their phases if these are known."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    count, nz, ny, nx = volumes.shape
    shown, voxel_nm = min(_SLICES, count), volumes.attrs.get("voxel_size_nm")
    step, unit = (1.0, "voxels") if voxel_nm is None else (float(voxel_nm) / 1000, "µm")
    ny, nx = min(ny, _LONGEST_SLICE), min(nx, _LONGEST_SLICE)
    phases = [("pore", "white"), *((part.name, part.colour) for part in sorted(parts, key=lambda part: part.label))]
    colours: dict[str, Any] = {"cmap": "cividis"}
    if parts:
        colours = {"cmap": ListedColormap([colour for _, colour in phases]), "vmin": 0, "vmax": len(parts)}
    edge = max(3.4, 5.6 / shown)
    with figure(1, shown, edge * shown, edge + 0.7) as (drawing, axes):
        for item, panel in enumerate(axes.flat):
            plane = read_block(store, item, ((nz // 2, nz // 2 + 1), (0, ny), (0, nx)))[0]
            panel.imshow(plane, interpolation="nearest", origin="lower", extent=(0, nx * step, 0, ny * step), **colours)
            panel.grid(visible=False)
            panel.spines[:].set_visible(True)
            panel.set(title=f"item {item}", xlabel=f"x / {unit}", ylabel=f"y / {unit}" if item == 0 else "")
        if parts:
            handles = [Patch(facecolor=colour, edgecolor="black", label=name) for name, colour in phases]
            drawing.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=11)
        return save(drawing, path)
