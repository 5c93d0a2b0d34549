"""Time a filter and seven histograms over a million rows: `python -m benchmarks.queries [ROWS]`."""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nmcdist.datasets.integrity import write_manifest
from nmcdist.datasets.layout import ITEMS_PER_FILE, SAMPLE, Coordinate, Layout, batch_variable
from nmcdist.datasets.writing import consolidate, create_store, write_coordinates, write_rows
from nmcdist.queries.columns import Columns

NAMES = ("d_max_nm", "sphericity", "compactness", "aspect_ratio", "volume_nm3", "area_nm2", "grains")
BATCH, BINS, REPEATS = 10_000, 64, 200
GOAL_MS = 50.0


def main(rows: int) -> int:
    """Print the times of random queries, and return 1 if their 95th percentile misses the goal."""
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder, "million.zarr"), rows)
        began = time.perf_counter()
        columns = Columns.of(store, Path(folder, "cache"))
        columns.histograms("", NAMES, BINS)
        print(f"{rows} rows; first query, which reads the store: {time.perf_counter() - began:.1f} s")
        began = time.perf_counter()
        again = Columns.of(store, Path(folder, "cache"))
        again.histograms("", NAMES, BINS)
        print(f"first query of the next process, from the cache: {time.perf_counter() - began:.2f} s")
        rng = np.random.default_rng(12)
        timed = np.array([_timed(again, rng) for _ in range(REPEATS)]) * 1e3
    (median, p95), (cpu_median, cpu_p95) = np.quantile(timed, (0.5, 0.95), axis=0).T
    print(f"filter and {len(NAMES)} histograms, {REPEATS} times: median {median:.1f} ms, p95 {p95:.1f} ms")
    print(f"of the processor: median {cpu_median:.1f} ms, p95 {cpu_p95:.1f} ms")
    return int(p95 > GOAL_MS)


def make_store(store: Path, rows: int) -> Path:
    """Write a finished store of random shell descriptors."""
    rng = np.random.default_rng(811)
    variables = tuple(
        batch_variable(
            name, rows, BATCH, (SAMPLE,), (), "float64", {"units": "1", "long_name": name, ITEMS_PER_FILE: BATCH}
        )
        for name in (f"shell_{name}" if name != "grains" else name for name in NAMES)
    )
    sample = Coordinate(SAMPLE, (SAMPLE,), np.arange(rows), {"units": "1", "long_name": "item"})
    texts = ("name", "title", "version", "bundle", "bundle_hash", "recipe", "recipe_hash", "fingerprint")
    layout = Layout(rows, variables, (sample,), {"nmcdist_format": 2, **dict.fromkeys(texts, "million")})
    create_store(store, layout)
    for variable in variables:
        for place in range(-(-rows // BATCH)):
            count = min(BATCH, rows - place * BATCH)
            write_rows(store, variable, place, 1000 * np.exp(rng.normal(2, 0.3, count)))
    write_coordinates(store, layout)
    consolidate(store)
    write_manifest(store, {})
    return store


def _timed(columns: Columns, rng: np.random.Generator) -> tuple[float, float]:
    low, high = np.sort(rng.uniform(3000, 15000, 2))
    where = f"d_max_nm > {low:.0f} and sphericity < {high:.0f} and abs(volume_nm3 / area_nm2 - 1) < {rng.uniform():.2f}"
    began, cpu = time.perf_counter(), time.process_time()
    columns.histograms(where, NAMES, BINS)
    return time.perf_counter() - began, time.process_time() - cpu


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
