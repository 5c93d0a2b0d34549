"""How well methods segment phantoms, judged by properties: ``python -m benchmarks.segmenter_judged ROWS [options]``.

Fresh realisations of the additive, of seeds that no training has, are imaged with each frozen setting, and with eta
doubled; ramp and true drift are taken out. Each method of benchmarks/segmenter_methods.py segments each phantom with
all settings that its operator is free to choose. ROWS is a file of JSON lines, one for a method on a phantom; what it
holds is not made again, so the benchmark can be run in parts, and stopped. In the end, tables of all rows are printed:
agreement and errors with the first setting of each method, as means and, in brackets, means of absolute values (of
Dice, that of all pixels together, as some phantoms have little graphite); how far its free settings spread each
property; and the distances of image statistics from those of the training, also with twice the noise and twice the
blur, with the area under the curve.

--unet BUNDLE      the segmenter: fib-sem-unet-2026 by default; "none" leaves it out, and the tuned one
--lenet BUNDLE     a LeNet-5; without it, there is none. It sees 4 slices of 128 x 128 pixels, as it is slow.
--count N          realisations, 4 by default
--setting NAME     easy, paper-like, hard, or eta-doubled; may be given more than once
--method NAME      otsu, fixed, watershed, forest, lenet, unet, tuned, or distance; may be given more than once
--table            print the tables of ROWS and make no row

A phantom is 16 slices of 320 x 320 pixels of 10 nm. Surface, M-factor (along x), pore size and permeability are those
of cubic voxels of 20 nm. The forest and the tuned net see scribbles over a fifth of two slices of the same volume, and
are judged with these slices.
"""

import argparse
import dataclasses
import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.segmenter import BASE, FIRST_SEED, PIXEL_NM, phantoms
from benchmarks.segmenter_methods import (
    FACTORS,
    Case,
    Method,
    fixed,
    forest,
    net,
    otsu,
    tuned,
    watershed,
)  # fmt: skip
from nmcdist.calibration.microscope import FIB_SEM, FibSem, FibSemPhantom
from nmcdist.calibration.segmenter.bundles import Segmenter, load_segmenter
from nmcdist.calibration.segmenter.draws import held, normal_stack
from nmcdist.calibration.segmenter.judging import binned, calibration_error, confusion, reliability, scores_of
from nmcdist.calibration.segmenter.properties import cubic_labels, errors_of, properties
from nmcdist.calibration.segmenter.statistics import image_statistics

NAMES = ("pore", "carbon_binder", "graphite")
DOUBLED = "eta-doubled"
SETTINGS = (*FIB_SEM, DOUBLED)
BINARY = ("otsu", "fixed", "watershed")
SLOW = (slice(6, 10), slice(96, 224), slice(96, 224))  # what a LeNet sees
COLUMNS = ("method", "n", "pore or solid", "Dice of graphite", "porosity", "surface", "M-factor", "pore size",
           "permeability", "calibration error", "CPU s per Mpx")  # fmt: skip
SPREAD = ("porosity", "surface of pore", "M-factor of pore", "permeability of pore")
KINDS = {
    "as it is": lambda s: s,
    "twice the noise": lambda s: dataclasses.replace(s, dose=s.dose / 4, read_noise=2 * s.read_noise),
    "twice the blur": lambda s: dataclasses.replace(s, blur_px=2 * s.blur_px),
}


def drawn(setting: str, seed: int, kind: str = "as it is") -> FibSemPhantom:
    how: FibSem = KINDS[kind](FIB_SEM["paper-like" if setting == DOUBLED else setting])
    finer = BASE.with_parameters(eta_per_nm=2 * BASE.cba().eta_per_nm)
    return next(phantoms(1, how, finer if setting == DOUBLED else BASE, seed))


def case_of(phantom: FibSemPhantom, seed: int) -> Case:
    image = held(phantom.grey, (2 * PIXEL_NM, PIXEL_NM, PIXEL_NM))
    return Case(normal_stack(image, ramp=True, shifts_px=phantom.drift_px)[0], phantom.labels, seed)


def row_of(method: Method, name: str, case: Case) -> dict[str, Any]:
    """Return what a method makes of a case, with each of its settings; on a part of it if it is slow."""
    part = SLOW if name == "lenet" else tuple(slice(0, n) for n in case.truth.shape)
    truth, found = case.truth[part], []
    true, names = measured(truth), NAMES
    if name in BINARY:
        truth, names = np.minimum(truth, 1), ("pore", "solid")
    start = time.process_time()
    for text, labels, shares in method(part_of(case) if name == "lenet" else case):
        took = time.process_time() - start
        ours = {n: v for n, v in measured(labels).items() if name not in BINARY or "por" in n}
        table = confusion(labels, truth, len(names))
        chances = None if shares is None else reliability(shares, truth)
        found.append({
            "free": text, "confusion": table.tolist(), **scores_of(table, names),
            "values": ours, "errors": errors_of(ours, {n: v for n, v in true.items() if n in ours}),
            "reliability": chances is not None and binned(chances),
            "calibration_error": None if chances is None else calibration_error(chances), "cpu_s": round(took, 2),
        })  # fmt: skip
        start = time.process_time()
    return {"pixels": truth.size, "true": true, "found": found}


def part_of(case: Case) -> Case:
    """Return the part of a case that a slow method sees; beyond its edges the image continues as in a mirror."""
    values = case.values[SLOW]
    return Case(_Plain(values), case.truth[SLOW], case.seed)


@dataclasses.dataclass(frozen=True, eq=False)
class _Plain:
    """A part of a normalised image, in memory."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def read(self, z: slice, y: slice = slice(None), x: slice = slice(None)) -> np.ndarray:
        return self.array[z, y, x]


def measured(labels: np.ndarray) -> dict[str, float]:
    cubes = cubic_labels(labels, FACTORS, len(NAMES))
    found = properties(cubes, (2 * PIXEL_NM,) * 3, NAMES, flow=True)
    return {"porosity": float((labels == 0).mean()), **found}


def distances(segmenter: Segmenter, setting: str, seed: int) -> dict[str, Any]:
    found = {}
    for kind in KINDS:
        image = held(drawn(setting, seed, kind).grey, (2 * PIXEL_NM, PIXEL_NM, PIXEL_NM))
        found[kind] = segmenter.reference.distance(image_statistics(normal_stack(image, ramp=True)[1]))
    return {"distances": found, "limit": segmenter.reference.limit}


def make_rows(path: Path, options: argparse.Namespace) -> None:
    """Append the rows that are missing, each when it is made."""
    methods: dict[str, Method] = {"otsu": otsu, "fixed": fixed, "watershed": watershed, "forest": forest}
    unet = None if options.unet == "none" else load_segmenter(options.unet)
    if options.lenet:
        methods["lenet"] = _likeliest(load_segmenter(options.lenet))
    if unet is not None:
        methods |= {"unet": net(unet), "tuned": tuned(unet)}
    wanted = [name for name in (*methods, "distance") if not options.method or name in options.method]
    if unet is None and "distance" in wanted:
        wanted.remove("distance")
    has = {(row["setting"], row["seed"], row["method"]) for row in rows_of(path)}
    for setting in options.setting or SETTINGS:
        for seed in range(FIRST_SEED, FIRST_SEED + options.count):
            todo = [name for name in wanted if (setting, seed, name) not in has]
            if setting == DOUBLED and "distance" in todo:  # outside the additive of the training, not the image's range
                todo.remove("distance")
            case = case_of(drawn(setting, seed), seed) if set(todo) - {"distance"} else None
            for name in todo:
                row = distances(unet, setting, seed) if name == "distance" else row_of(methods[name], name, case)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"setting": setting, "seed": seed, "method": name, **row}) + "\n")
                print(f"{setting}, seed {seed}: {name}", flush=True)


def _likeliest(segmenter: Segmenter) -> Method:
    """Return the method of a net without the settings that need the whole image."""
    method = net(segmenter)
    return lambda case: islice(method(case), 3)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def print_tables(rows: list[dict[str, Any]]) -> None:
    judged = [row for row in rows if row["method"] != "distance"]
    for setting in SETTINGS:
        own = [row for row in judged if row["setting"] == setting]
        if own:
            print(f"\n## {setting}\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for method in dict.fromkeys(row["method"] for row in own):
            print(_line(method, [row for row in own if row["method"] == method]))
    _print_spreads(judged)
    _print_distances([row for row in rows if row["method"] == "distance"])


def _line(method: str, rows: list[dict[str, Any]]) -> str:
    first = [row["found"][0] for row in rows]
    dice = [each["dice"].get("graphite") for each in first]
    stated = [each["calibration_error"] for each in first]
    accuracy = _mean([each["accuracy_of_first"] for each in first], ".4f")
    pooled = scores_of(np.sum([each["confusion"] for each in first], axis=0), NAMES[: len(first[0]["confusion"])])
    of_all = pooled["dice"].get("graphite")
    cells = [method, str(len(rows)), accuracy, _mean(dice, ".3f") + ("" if of_all is None else f" ({of_all:.3f})")]
    for name in ("porosity", "surface of pore", "M-factor of pore", "median radius of pore", "permeability of pore"):
        errors = [each["errors"][name] for each in first if each["errors"].get(name) is not None]
        cells.append(f"{np.mean(errors):+.1%} ({np.mean(np.abs(errors)):.1%})" if errors else "-")
    took = sum(each["cpu_s"] for each in first) / sum(row["pixels"] for row in rows) * 1e6
    return "| " + " | ".join([*cells, _mean(stated, ".4f"), f"{took:.2f}"]) + " |"


def _mean(values: list[float | None], how: str) -> str:
    known = [value for value in values if value is not None]
    return format(float(np.mean(known)), how) if known else "-"


def spreads_of(row: dict[str, Any]) -> list[float]:
    """Return largest less smallest value over the free settings, relative to the true one, of each property."""
    return [float(np.ptp([each["values"][name] for each in row["found"]]) / row["true"][name]) for name in SPREAD]


def _print_spreads(rows: list[dict[str, Any]]) -> None:
    print("\n## Spread over the free settings, largest less smallest over the true value, mean of the phantoms\n")
    print(
        "| setting | method | settings | porosity | surface | M-factor | permeability |\n|---|---|---|---|---|---|---|"
    )
    for setting in SETTINGS:
        for method in dict.fromkeys(row["method"] for row in rows):
            own = [row for row in rows if (row["setting"], row["method"]) == (setting, method)]
            if own:
                cells = [f"{value:.1%}" for value in np.mean([spreads_of(row) for row in own], axis=0)]
                print(f"| {setting} | {method} | {len(own[0]['found'])} | " + " | ".join(cells) + " |")


def _print_distances(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    print(f"\n## Distance from the training; the warning comes beyond {rows[0]['limit']:.2f}\n")
    for setting in dict.fromkeys(row["setting"] for row in rows):
        for kind in KINDS:
            found = [row["distances"][kind] for row in rows if row["setting"] == setting]
            print(f"{setting}, {kind}: {', '.join(f'{value:.2f}' for value in found)}")
    inside = [row["distances"]["as it is"] for row in rows]
    outside = [value for row in rows for kind, value in row["distances"].items() if kind != "as it is"]
    area = np.mean([(a < b) + (a == b) / 2 for a in inside for b in outside])
    print(f"area under the curve {area:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--unet", default="fib-sem-unet-2026")
    parser.add_argument("--lenet")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--setting", action="append", choices=SETTINGS)
    parser.add_argument("--method", action="append")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not options.table:
        make_rows(options.rows, options)
    print_tables(rows_of(options.rows))


if __name__ == "__main__":
    main()
