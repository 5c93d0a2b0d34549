"""Times of virtual stores: ``python -m benchmarks.virtual [FOLDER]``.

Prints what a reader waits for, on as many makers as the machine has cores, and the memory that opening needs. To freeze
the million particles draws all of their shells, which takes minutes; FOLDER keeps the stores for another time.
"""

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nmcdist.products.registry import loaded_recipe
from nmcdist.virtual import Computed, freeze, is_virtual

COMMON = {"version": "1.0.0", "title": "Benchmark", "descriptors": "none"}
WINDOWS = {
    **COMMON, "name": "windows", "bundle": "cba-cathode-2025", "seed": 7, "realisations": 10**6,
    "volume": {"shape": [6400, 6400, 6400], "voxel_size_nm": 20.0}, "storage": {"chunk": 64, "shard": "none"},
}  # fmt: skip
PARTICLES = {
    **COMMON, "name": "particles", "bundle": "nmc811-stereological", "seed": 811, "particles": {"count": 10**6},
}  # fmt: skip
OPEN = """
import sys, time
import nmcdist, numpy, xarray, zarr, numba
from nmcdist.products.memory import peak_memory_bytes, reset_peak_memory
reset_peak_memory()
before, start, cpu = peak_memory_bytes(), time.perf_counter(), time.process_time()
nmcdist.open_virtual(sys.argv[1], sys.argv[2])
took = f"{time.perf_counter() - start:.2f} s ({time.process_time() - cpu:.2f} s of CPU)"
print(f"{took}, {(peak_memory_bytes() - before) / 2**20:.0f} MiB more at most")
"""


def store_of(recipe: dict[str, Any], folder: Path) -> Path:
    store = folder / f"{recipe['name']}.zarr"
    if not is_virtual(store):
        read, bundle, _ = loaded_recipe(recipe)
        timed(f"freeze a million {recipe['name']}", lambda: freeze(read, bundle, store))
    size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    metadata = (store / "zarr.json").stat().st_size
    print(f"{recipe['name']}: files {size / 1000:.0f} kB, zarr.json {metadata / 1000:.0f} kB")
    return store


def timed(what: str, work: Callable[[], Any]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    print(f"{what}: {time.perf_counter() - wall:.3f} s ({time.process_time() - cpu:.3f} s of CPU)", flush=True)


def at_once(computed: Computed, keys: list[str]) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(computed.get, keys))


def main() -> None:
    makers, rng = os.cpu_count() or 1, random.Random(1)
    with tempfile.TemporaryDirectory() as cache:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(cache)
        windows, particles = store_of(WINDOWS, folder), store_of(PARTICLES, folder)
        for store in (windows, particles):
            done = subprocess.run([sys.executable, "-c", OPEN, str(store), cache], capture_output=True, text=True)
            print(f"open a million {store.stem}: {done.stdout.strip() or done.stderr}", flush=True)
        cba = Computed.open(windows, Path(cache), 10**9, makers, most_waiting=None)
        cba.warm()
        keys = [f"volume/c/{rng.randrange(10**6)}/{rng.randrange(100)}/{rng.randrange(100)}/0" for _ in range(50)]
        timed("50 windows of 64^3, one after the other, first read", lambda: [cba.get(key) for key in keys])
        cba.close()
        timed("50 windows of 64^3, one after the other, from the cache", lambda: [cba.get(key) for key in keys])
        grains = Computed.open(particles, Path(cache), 10**9, makers, most_waiting=None)
        grains.warm()
        items = rng.sample(range(10**6), 1250)
        records = [f"{name}/c/{item}/0" for item in items[:250] for name in ("gamma", "kept", "offset_nm2")]
        timed(f"records of 250 random particles, {makers} makers", lambda: at_once(grains, records))
        shells = [f"shell_sphericity/c/{item // 16}" for item in items[250:]]
        timed(f"shells of 1,000 random particles, {makers} makers", lambda: at_once(grains, shells))
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
