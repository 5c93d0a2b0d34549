"""The page on the measurement of an image: its sections, scalars, curves, and how large a volume is representative."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nmcdist.images import Image
from nmcdist.measurement.tables import Row, rows_of, write_result
from nmcdist.report.intervals import PERCENT, mean_of
from nmcdist.report.pages import make_folder, write_page
from nmcdist.report.style import SERIES, figure, save
from nmcdist.report.tables import markdown

COLOURS = ("white", "#0072B2", "#E69F00", "#56616B", "#009E73", "#D55E00", "#AA4499", "#F0E442", "#56B4E9")
_SHOWN = 512  # voxels along an edge of a picture
_PLANES = 4
_CURVES = (
    ("two_point_coverage", "lag_nm", "lag $h$ / nm", "two-point coverage $C(h)$"),
    ("pore_size_distribution", "radius_nm", "radius $r$ / nm", "share covered by balls of radius $r$"),
    ("chord_length_distribution", "length_nm", "length / nm", "share of chords of at least a length"),
)
_STUDIED = (
    "volume_fraction", "area_fraction", "surface_area", "perimeter", "r_max_nm", "constrictivity",
    "geodesic_tortuosity", "percolating_fraction", "m_factor", "permeability",
)  # fmt: skip


def report_measurement(data: xr.Dataset, image: Image, folder: Path) -> Path:
    """Write ``report.md`` with figures, and the values as CSV and NetCDF.

    Parameters
    ----------
    data : xarray.Dataset
        As :func:`nmcdist.measure` returns it.
    image : Image
        What was measured.
    folder : Path

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If the folder cannot be made.
    """
    make_folder(folder)
    write_result(data, folder / "measurement.csv")
    write_result(data, folder / "measurement.nc")
    pictures = {_sections(data, image, folder / "sections.png"): "Sections through the middle of the image."}
    if "plane" in data.dims:
        pictures = {next(iter(pictures)): f"The first planes of {data.sizes['plane']}."}
    if any(name in data for name, *_ in _CURVES):
        about = "Left to right as far as measured: two-point coverage (dotted: the square of the volume fraction, its "
        about += "limit without order), sizes by balls, and chords along the first axis."
        pictures[_curves(data, folder / "curves.png")] = about
    parts = [f"# {data.attrs['image']}", _headline(data), "## Values", table_of(data), _about_values(data)]
    if "windows" in data.dims:
        pictures[_windows(data, folder / "representative-volume.png")] = (
            "Means and standard deviations over windows, against the shortest side of a window; the last point is the "
            "whole image. Directional quantities along the first axis."
        )
        parts += ["## Representative volume", *_about_windows(data)]
    parts += ["## Definitions", markdown(["quantity", "meaning", "estimator"], _definitions(data))]
    return write_page(folder, parts, list(pictures), {path.name: text for path, text in pictures.items()})


def table_of(data: xr.Dataset) -> str:
    """Return the scalars of a measurement as a table in Markdown, with aligned columns."""
    axes = [str(axis) for axis in data["axis"].values] if "axis" in data.coords else []
    lines = [["quantity", "unit", "of", "value", *axes]]
    lines += [_line(row, len(axes)) for row in rows_of(data) if "windows" not in row.dims and row.of]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    header, *body = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return markdown(header, body)


def _line(row: Row, axes: int) -> list[str]:
    values = np.asarray(row.values)
    over = row.dims.index("plane") if "plane" in row.dims else None
    if over is not None:
        values = np.moveaxis(values, over, -1)
    texts = [_text(each, over is not None) for each in (values if "axis" in row.dims else [values])]
    found = ["", *texts] if "axis" in row.dims else [*texts, *[""] * axes]
    return [row.name, row.unit, _cell(row.of), *found]


def _cell(name: str) -> str:
    """Return a name for a table in Markdown; the bar between the names of a pair does not end the cell."""
    return name.replace("|", "\\|")


def _text(value: Any, is_planes: bool) -> str:
    if not is_planes:
        return f"{value:d}" if np.asarray(value).dtype.kind in "iu" else f"{float(value):.4g}"
    estimate = mean_of(np.asarray(value))
    return f"{estimate.value:.4g}" + ("" if estimate.margin is None else f" ± {estimate.margin:.2g}")


def _headline(data: xr.Dataset) -> str:
    shape, edges = " x ".join(map(str, data.attrs["shape"])), " x ".join(f"{e:g}" for e in data.attrs["voxel_size_nm"])
    named = json.loads(data.attrs["phases"])
    labels = ", ".join(f"{name} = {'+'.join(map(str, values))}" for name, values in named.items())
    cells = "Voxels" if len(data.attrs["shape"]) == 3 else "Pixels"
    cells = f"{data.sizes['plane']} planes. {cells}" if "plane" in data.dims else cells
    order = "z, y, x" if len(data.attrs["shape"]) == 3 else "y, x"
    text = f"{cells}: {shape} along {order}, of {edges} nm. Labels: {labels}."
    if data.attrs.get("conductivity"):
        given = ", ".join(f"{name} {value:g}" for name, value in json.loads(data.attrs["conductivity"]).items())
        text += f" Together conduct: {given}."
    if data.attrs["periodic"]:
        text += (
            " The image continues itself in volumes, coverage, interfaces and sizes; it ends at its faces elsewhere."
        )
    return text


def _about_values(data: xr.Dataset) -> str:
    text = "All values: [measurement.csv](measurement.csv); with the curves: [measurement.nc](measurement.nc) (NetCDF)."
    if "plane" in data.dims:
        text = f"Means over {data.sizes['plane']} planes, with {PERCENT} intervals by Student's t. " + text
    return text


def _definitions(data: xr.Dataset) -> Iterator[list[str]]:
    for name, variable in data.data_vars.items():
        if "windows" not in variable.dims:
            meaning = "; ".join(variable.attrs[key] for key in ("long_name", "description") if key in variable.attrs)
            yield [f"`{name}`", meaning, str(variable.attrs.get("estimator", ""))]


# ---- Figures -------------------------------------------------------------------------------------------------


def _sections(data: xr.Dataset, image: Image, path: Path) -> Path:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    named = json.loads(data.attrs["phases"])
    values = sorted({value for each in named.values() for value in each})
    alone = {each[0]: name for name, each in named.items() if len(each) == 1}
    names = [alone.get(value, f"label {value}") for value in values]
    colours = [COLOURS[k % len(COLOURS)] for k in range(len(values))]
    cuts = list(_cuts(image, is_planes="plane" in data.dims))
    with figure(1, len(cuts), 4.2 * len(cuts), 4.8) as (drawing, axes):
        for panel, (title, plane, (down, across), sides) in zip(axes.flat, cuts, strict=True):
            height, width = (n * side / 1000 for n, side in zip(plane.shape, sides, strict=True))
            panel.imshow(
                np.searchsorted(values, plane), cmap=ListedColormap(colours), vmin=-0.5, vmax=len(values) - 0.5,
                extent=(0, width, height, 0), interpolation="nearest",
            )  # fmt: skip
            panel.grid(visible=False)
            panel.spines[:].set_visible(True)
            panel.set(title=title, xlabel=f"{across} / µm", ylabel=f"{down} / µm")
        handles = [Patch(facecolor=c, edgecolor="black", label=n) for c, n in zip(colours, names, strict=True)]
        drawing.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5), fontsize=11)
        return save(drawing, path)


def _cuts(image: Image, *, is_planes: bool) -> Iterator[tuple[str, np.ndarray, tuple[str, str], tuple[float, float]]]:
    """Yield sections: title, labels, names of the axes down and across, and edges of a pixel."""
    nz, ny, nx = image.shape
    z, y, x = image.voxel_size_nm
    part = slice(0, _SHOWN)
    if is_planes or image.is_planar:
        for k in range(min(_PLANES, nz)):
            plane = image.read(slice(k, k + 1), part, part)[0]
            yield f"plane {k}" if is_planes else "", plane, ("y", "x"), (y, x)
        return
    yield "normal to z", image.read(slice(nz // 2, nz // 2 + 1), part, part)[0], ("y", "x"), (y, x)
    yield "normal to y", image.read(part, slice(ny // 2, ny // 2 + 1), part)[:, 0], ("z", "x"), (z, x)
    yield "normal to x", image.read(part, part, slice(nx // 2, nx // 2 + 1))[:, :, 0], ("z", "y"), (z, y)


def _curves(data: xr.Dataset, path: Path) -> Path:
    shown = [each for each in _CURVES if each[0] in data]
    with figure(1, len(shown), 5.2 * len(shown), 4.8) as (drawing, axes):
        for panel, (name, along, xlabel, ylabel) in zip(axes.flat, shown, strict=True):
            variable = data[name].isel(axis=0) if "axis" in data[name].dims else data[name]
            variable = variable.mean("plane") if "plane" in variable.dims else variable
            at, drawn = data[along].values, 2
            for (colour, marker), phase in zip(SERIES * 11, data["phase"].values, strict=False):
                curve = variable.sel(phase=phase).values
                if not np.isfinite(curve).any():
                    continue
                every = max(1, len(at) // 12)
                panel.plot(at, curve, color=colour, marker=marker, markevery=every, markersize=5, label=str(phase))
                if name == "two_point_coverage":
                    panel.axhline(curve[0] ** 2, color=colour, linestyle=":", linewidth=1.2)
                    drawn = len(at)
                drawn = max(drawn, int(np.flatnonzero(curve > 0.002).max(initial=0)) + 2)
            panel.set(xlabel=xlabel, ylabel=ylabel, xlim=(0, at[min(drawn, len(at)) - 1]), ylim=(0, None))
            if panel.lines:
                panel.legend(fontsize=11)
        return save(drawing, path)


def _windows(data: xr.Dataset, path: Path) -> Path:
    shown = [name for name in _STUDIED if f"{name}_windows_mean" in data]
    columns = min(3, max(1, len(shown)))
    rows = -(-len(shown) // columns)
    sides = np.array([*data["window_side_nm"].values[::-1], _whole_side(data)]) / 1000
    with figure(rows, columns, 4.6 * columns, 3.9 * rows) as (drawing, axes):
        for panel in axes.flat[len(shown) :]:
            panel.set_axis_off()
        for panel, name in zip(axes.flat, shown, strict=False):
            whole, mean, sd = (_first_axis(data[f"{name}{end}"]) for end in ("", "_windows_mean", "_windows_sd"))
            key = next(str(dim) for dim in whole.dims)
            for (colour, marker), label in zip(SERIES * 11, data[key].values, strict=False):
                values = [*mean.sel({key: label}).values[::-1], float(whole.sel({key: label}))]
                spread = [*sd.sel({key: label}).values[::-1], np.nan]
                if np.isfinite(values).any():
                    panel.errorbar(sides, values, spread, color=colour, marker=marker, capsize=3, label=str(label))
            unit = data[name].attrs["units"]
            title = name.removesuffix("_nm").replace("_", " ")
            panel.set(xlabel="shortest side / µm", ylabel=title + ("" if unit == "1" else f" / {unit}"))
            if panel.lines:
                panel.legend(fontsize=9)
        return save(drawing, path)


def _whole_side(data: xr.Dataset) -> float:
    return float(min(n * edge for n, edge in zip(data.attrs["shape"], data.attrs["voxel_size_nm"], strict=True)))


def _first_axis(variable: xr.DataArray) -> xr.DataArray:
    return variable.isel(axis=0) if "axis" in variable.dims else variable


def _about_windows(data: xr.Dataset) -> list[str]:
    counts, sides = data["window_count"].values, data["window_side_nm"].values
    studied = ", ".join(f"{count} windows of {side / 1000:.3g} µm" for count, side in zip(counts, sides, strict=True))
    largest = int(np.argmax(sides))
    header = ["quantity", "unit", "of", "axis", "whole image", f"mean of {counts[largest]}", "sd", "standard error"]
    return [
        f"Measured: {studied}. The standard error is that of the mean of the largest windows, if these were "
        "independent: a rough error of the value of the whole image. Windows cut what connects: percolation, "
        "constrictivity and tortuosity of small windows are biased, which shows as a drift of their means.",
        markdown(header, _window_rows(data, largest, int(counts[largest]))),
    ]


def _window_rows(data: xr.Dataset, size: int, count: int) -> Iterator[list[str]]:
    whole = {(row.name, row.of): row for row in rows_of(data) if "windows" not in row.dims}
    means, sds = ({(row.name.removesuffix(end), row.of): row for row in rows_of(data) if row.name.endswith(end)}
                  for end in ("_windows_mean", "_windows_sd"))  # fmt: skip
    for key, mean in means.items():
        values, mean_at, sd_at = (_at_size(row, size) for row in (whole[key], mean, sds[key]))
        names = data["axis"].values if "axis" in mean.dims else [""]
        for axis, value, average, sd in zip(names, values, mean_at, sd_at, strict=True):
            error = f"{sd / np.sqrt(count):.2g}" if np.isfinite(sd) else ""
            sd_text = f"{sd:.2g}" if np.isfinite(sd) else ""
            yield [f"`{key[0]}`", mean.unit, _cell(key[1]), str(axis), f"{value:.4g}", f"{average:.4g}", sd_text, error]


def _at_size(row: Row, size: int) -> np.ndarray:
    """Return the values of windows of one size, by axis."""
    values = np.take(row.values, size, axis=row.dims.index("windows")) if "windows" in row.dims else row.values
    return np.atleast_1d(values)
