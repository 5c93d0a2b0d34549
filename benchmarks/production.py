"""Print how many items a second are produced, against batch size and workers: `python -m benchmarks.production`.

The items are particles of about 1 um, records only, so small that what surrounds them shows. Seconds are those from
the first receipt of a run to its last, so that starting workers and compiling do not count.
"""

import tempfile
from pathlib import Path

from nmcdist.bundle import Bundle, load_bundle, save_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.products.registry import parsed_recipe
from nmcdist.runs.run import run_recipe
from nmcdist.runs.status import status_of

BATCHES, WORKERS = (5, 25, 100), (1, 2)
TASKS_AT_LEAST, ITEMS_AT_LEAST = 12, 600


def main() -> int:
    """Measure and print a Markdown table."""
    small = load_bundle("nmc811-radial").with_parameters(shell_scale_nm=5600.0, shell_sigma=0.1)
    print("| items a batch | items a second, 1 worker | 2 workers | ratio |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        bundle = load_bundle(save_bundle(small, Path(folder) / "small"))
        for batch in BATCHES:
            one, two = (_rate(bundle, batch, workers, Path(folder)) for workers in WORKERS)
            print(f"| {batch} | {one:.0f} | {two:.0f} | {two / one:.2f} |", flush=True)
    return 0


def _rate(bundle: Bundle, batch: int, workers: int, folder: Path) -> float:
    count = max(ITEMS_AT_LEAST, TASKS_AT_LEAST * batch)
    name = f"b{batch}-w{workers}"
    content = {
        "name": name, "version": "1.0.0", "title": "Throughput", "bundle": "small", "seed": 1,
        "particles": {"count": count, "batch": batch},
    }  # fmt: skip
    deployment = Deployment(workers=workers, threads_per_worker=1, memory_per_worker="4GiB", dashboard=False)
    run_recipe(parsed_recipe(content, name), bundle, folder, deployment)
    rate = status_of(folder / f"{name}.zarr").rate
    return batch * (rate or float("nan"))


if __name__ == "__main__":
    raise SystemExit(main())
