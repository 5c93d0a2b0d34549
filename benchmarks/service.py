"""Times of readers of a service over HTTP: ``python -m benchmarks.service [FOLDER]``.

A service in a process of its own serves a million windows and a million particles that it computes, to a client of 16
threads. FOLDER keeps the releases for another time, because publishing a million particles draws all of their shells.
"""

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

import nmcdist
from benchmarks.virtual import PARTICLES, WINDOWS

ABOUT = {"license": "CC0-1.0", "creators": [{"name": "Benchmark"}]}
PORT, READERS, COUNT = 8399, 16, 1000


def releases_in(folder: Path) -> Path:
    for recipe in (WINDOWS, PARTICLES):
        if not (folder / "releases" / str(recipe["name"]) / "1.0.0").exists():
            path = folder / f"{recipe['name']}.yaml"
            path.write_text(yaml.safe_dump(recipe))
            nmcdist.publish(path, str(recipe["name"]), "1.0.0", ABOUT, out=folder / "releases", virtual=True)
    return folder / "releases"


@contextlib.contextmanager
def served(releases: Path, cache: Path) -> Iterator[tuple[str, int]]:
    """Run the service in a block, from when it is ready; gives its address and process number."""
    options = ["--port", str(PORT), "--cache", str(cache)]
    process = subprocess.Popen([sys.executable, "-m", "nmcdist.cli", "serve", str(releases), *options])
    url = f"http://127.0.0.1:{PORT}"
    try:
        for _ in range(1200):
            time.sleep(0.25)
            with contextlib.suppress(OSError):
                fetched(f"{url}/readyz")
                break
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def fetched(url: str) -> bytes:
    """Return the answer of a service; 503 means to ask again after a while."""
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code != 503 or "readyz" in url:
                raise
            time.sleep(float(error.headers.get("Retry-After", 1)))


def timed(what: str, urls: list[str], process: int) -> None:
    cpu, wall = cpu_seconds(process), time.perf_counter()
    with ThreadPoolExecutor(READERS) as pool:
        size = sum(map(len, pool.map(fetched, urls)))
    took, worked = time.perf_counter() - wall, cpu_seconds(process) - cpu
    print(f"{what}: {took:.1f} s, {worked:.1f} s of CPU in the service, {size / 1e6:.1f} MB", flush=True)


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
        with served(releases_in(folder), Path(scratch) / "cache") as (url, process):
            windows, particles = f"{url}/v/windows/1.0.0", f"{url}/v/particles/1.0.0"
            places = [[rng.randrange(10**6), *(rng.randrange(100) for _ in range(3))] for _ in range(COUNT)]
            keys = [f"{windows}/volume/c/" + "/".join(map(str, place)) for place in places]
            timed(f"{COUNT} random windows of 64^3, first read", keys, process)
            timed("the same from the cache", keys, process)
            items = rng.sample(range(10**6), COUNT + 250)
            shells = [f"{particles}/shell_sphericity/c/{i // 16}" for i in items[:COUNT]]
            timed(f"shells of {COUNT} random particles", shells, process)
            records = [f"{particles}/{name}/c/{i}/0" for i in items[COUNT:] for name in ("gamma", "kept", "offset_nm2")]
            timed("records of 250 random particles", records, process)


if __name__ == "__main__":
    main()
