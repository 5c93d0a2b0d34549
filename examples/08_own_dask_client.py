"""Run on a Dask cluster of your own, and run again in parts without Dask: both give the same bytes.

Any client will do: of workers on this machine, as here, or of a cluster at your site. Its workers need one thread each
and a memory limit. Nothing of the client is closed.
"""

import sys
from pathlib import Path

from distributed import Client, LocalCluster

import nmcdist
from nmcdist.runs import finalise_store

RECIPE = {
    "name": "twice",
    "version": "1.0.0",
    "title": "The same volumes, made in two ways",
    "bundle": "cba-cathode-2025",
    "seed": 8,
    "volume": {"shape": [48, 48, 48], "voxel_size_nm": 80.0},
    "realisations": 4,
    "descriptors": {"transport": False},
}


def main(folder: Path) -> None:
    """Make the dataset twice and print how, how long the tasks are, and the hash of the manifest."""
    workers = LocalCluster(n_workers=1, threads_per_worker=1, memory_limit="2GiB", dashboard_address=":0")
    with workers as cluster, Client(cluster) as client:
        by_client = nmcdist.run(RECIPE, folder / "by-client", client=client)

    # Each part could run on another host that sees the folder, as a job of an array; then the store is sealed.
    for number in (1, 2):
        nmcdist.run(RECIPE, folder / "in-parts", workers=0, partition=f"{number}/2")
    in_parts = finalise_store(folder / "in-parts" / "twice.zarr")

    for how, result in (("by a Dask client", by_client), ("in two parts", in_parts)):
        print(f"{how:17} {result.store.name}  manifest {result.manifest_sha256[:16]}")
    print("same bytes:", by_client.manifest_sha256 == in_parts.manifest_sha256)


if __name__ == "__main__":  # workers import this file, and must not run it
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
