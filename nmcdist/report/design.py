"""The report of a design: how volumes answer to several parameters at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nmcdist.report.effects import about_effects
from nmcdist.report.fidelity import ABOUT, coupled, fidelity_table
from nmcdist.report.intervals import PERCENT, Estimate, mean_of
from nmcdist.report.pages import write_page
from nmcdist.report.style import PHASE_COLOUR, SOLID, figure, save
from nmcdist.report.tables import markdown, with_unit, write_samples
from nmcdist.report.window import about_window

ANSWERS = (("volume_fraction", "solid"), ("m_factor_mean", "pore"), ("m_factor_mean", "solid"))
_MOST_COLUMNS = 8  # parameters in the figure; the table has all of them
_NAMES = {"volume_fraction": "volume fraction", "m_factor_mean": "M"}


def report_design(data: xr.Dataset, title: str, intro: str, varied: tuple[str, ...], folder: Path) -> Path:
    """Write the report of a store whose volumes differ in several parameters.

    Parameters
    ----------
    data : xarray.Dataset
        In memory, without volumes.
    title, intro : str
    varied : tuple of str
        Coordinates of the samples that the design varies.
    folder : Path
        Exists.
    """
    write_samples(data, folder / "samples.csv")
    first = first_fidelity(data)
    answers = [(name, phase) for name, phase in ANSWERS if name in data]
    made = [_scatter(first, varied[:_MOST_COLUMNS], answers, folder / "answers.png")]
    parts = [f"# {title}", intro, "## Parameters", _parameters(first, varied), "## Answers", _numbers(first, answers)]
    parts += about_window(first)
    parts += about_effects(first)
    parts.append("Table: [samples.csv](samples.csv), one row per volume.")
    if "fidelity" in data.coords:
        parts += ["## Voxel sizes", ABOUT, fidelity_table(coupled(data))]
    more = "" if len(varied) <= _MOST_COLUMNS else f" The first {_MOST_COLUMNS} of {len(varied)} parameters are shown."
    captions = {"answers.png": "Each volume once in each panel; M of the solid on a logarithmic axis, volumes whose "
                f"solid does not conduct at the bottom.{more}"}  # fmt: skip
    return write_page(folder, parts, made, captions)


def means_by_parameter(
    columns: Mapping[str, np.ndarray], means: Mapping[str, Sequence[Estimate]], path: Path
) -> Path:  # fmt: skip
    """Draw the mean of each quantity at each point of a design, with its interval, over each parameter.

    Parameters
    ----------
    columns : mapping of str to ndarray
        Values of each parameter by point; the name has the unit.
    means : mapping of str to sequence of Estimate
        By point.
    path : Path
    """
    shown = list(columns.items())[:_MOST_COLUMNS]
    with figure(len(means), len(shown), 3.4 * len(shown) + 0.8, 2.8 * len(means)) as (drawing, axes):
        for row, (text, own) in zip(axes, means.items(), strict=True):
            values, margins = [m.value for m in own], [m.margin or 0.0 for m in own]
            for panel, (_, parameter) in zip(row, shown, strict=True):
                panel.errorbar(parameter, values, margins, fmt="o", ms=4, lw=1, capsize=2, alpha=0.8, color=SOLID)
            row[0].set_ylabel(text)
        _finish(axes, [name for name, _ in shown])
        return save(drawing, path)


def first_fidelity(data: xr.Dataset) -> xr.Dataset:
    """Return the volumes with the voxels of the recipe."""
    return data if "fidelity" not in data.coords else data.isel(sample=np.flatnonzero(data["fidelity"].values == 0))


def _parameters(data: xr.Dataset, varied: tuple[str, ...]) -> str:
    rows = []
    for name in varied:
        values, attrs = data[name].values, data[name].attrs
        about = str(attrs.get("long_name", ""))
        rows.append([f"`{name}`", str(attrs["units"]), about, f"{values.min():.4g}", f"{values.max():.4g}"])
    return markdown(["parameter", "unit", "", "least", "most"], rows)


def _numbers(data: xr.Dataset, answers: list[tuple[str, str]]) -> str:
    rows = []
    for name, phase in answers:
        values = _values(data, name, phase)
        estimate, known = mean_of(values), values[np.isfinite(values)]
        interval = "" if estimate.bounds is None else "{:.4g} to {:.4g}".format(*estimate.bounds)
        rows.append([f"{_NAMES[name]}, {phase}", estimate.number, f"{estimate.value:.4g}", interval,
                     f"{known.min():.4g}", f"{known.max():.4g}"])  # fmt: skip
    return markdown(["answer", "volumes", "mean", f"{PERCENT} interval", "least", "most"], rows)


def _scatter(data: xr.Dataset, varied: tuple[str, ...], answers: list[tuple[str, str]], path: Path) -> Path:
    rows, columns = len(answers), len(varied)
    with figure(rows, columns, 3.1 * columns + 0.8, 2.8 * rows) as (drawing, axes):
        for row, (name, phase) in zip(axes, answers, strict=True):
            values = _values(data, name, phase)
            is_logarithmic = (name, phase) == ("m_factor_mean", "solid") and bool((values > 0).any())
            if is_logarithmic:
                values = np.maximum(values, values[values > 0].min() / 2)
            for panel, parameter in zip(row, varied, strict=True):
                panel.plot(data[parameter].values, values, "o", ms=3, alpha=0.6, color=PHASE_COLOUR[phase])
                if is_logarithmic:
                    panel.set_yscale("log")
            row[0].set_ylabel(f"{_NAMES[name]}, {phase}")
        _finish(axes, [with_unit(parameter, str(data[parameter].attrs["units"])) for parameter in varied])
        return save(drawing, path)


def _finish(axes: Any, labels: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    for panel in axes.flat:
        panel.xaxis.set_major_locator(MaxNLocator(3))
    for panel, label in zip(axes[-1], labels, strict=True):
        panel.set_xlabel(label)
        panel.xaxis.label.set_size(10)


def _values(data: xr.Dataset, name: str, phase: str) -> np.ndarray:
    dim = next(str(d) for d in data[name].dims if d != "sample")
    return np.asarray(data[name].sel({dim: phase}).values)
