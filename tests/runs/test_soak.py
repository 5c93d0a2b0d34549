"""Two hundred random faults in one production: nothing lost, nothing twice, nothing half-written, the same bytes."""

import os
import random
import resource
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import yaml

from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.integrity import verify
from tests.conftest import TINY, make, recipe_with, store_sha256

FAULTS = 200
ITEMS = 1000  # so many that the faults strike a production, not a finished store
CHANGES = {"descriptors": {**TINY["descriptors"], "transport": False}, "realisations": ITEMS // 2}
PACE_S = 0.5  # from one fault to the next, at least
STALL_S = 2.0
ENV = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}


class Production:
    """A scheduler, two workers under nannies and a driver, each started again when it is gone, as a queue would."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.faults, self.restarts = folder, Counter(), Counter()
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        (folder / "tiny.yaml").write_text(yaml.safe_dump({**TINY, **CHANGES}))
        cluster = {
            "kind": "scheduler", "workers": 2, "threads_per_worker": 1, "memory_per_worker": "1GiB",
            "address": self.address, "patience": "30s",
        }  # fmt: skip
        (folder / "cluster.yaml").write_text(yaml.safe_dump(cluster))
        self.processes: dict[str, subprocess.Popen] = {}

    @property
    def wip(self) -> Path:
        return self.folder / "out" / "tiny.zarr.wip"

    @property
    def store(self) -> Path:
        return self.folder / "out" / "tiny.zarr"

    @property
    def done(self) -> int:
        receipts = self.folder / "out" / "tiny.run" / "receipts"
        return sum(1 for _ in receipts.glob("*.json")) if receipts.exists() else 0

    def keep_up(self) -> None:
        """Start what is not there; the driver last, and only beside a scheduler that has a worker."""
        for name in ("scheduler", "worker-1", "worker-2", "driver"):
            process = self.processes.get(name)
            if process is None or process.poll() is not None:
                if name == "driver" and process is not None and process.returncode == 0:
                    continue
                self.restarts[name] += process is not None
                self.processes[name] = self._start(name)

    def _start(self, name: str) -> subprocess.Popen:
        dask = [sys.executable, "-m", "distributed.cli.dask_" + name.split("-")[0]]
        if name == "scheduler":
            command = [*dask, "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
        elif name == "driver":
            command = [sys.executable, "-m", "nmcdist.cli", "run", "tiny.yaml", "--out", "out", "--resume"]
            command += ["--cluster", "cluster.yaml"]
        else:
            options = ["--nthreads", "1", "--memory-limit", "1GiB", "--no-dashboard", "--death-timeout", "30"]
            command = [*dask, self.address, *options, "--local-directory", str(self.folder / "scratch")]
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=ENV, stdout=log, stderr=log)

    def workers(self) -> list[psutil.Process]:
        """The processes that the nannies watch."""
        found = []
        for name in ("worker-1", "worker-2"):
            process = self.processes.get(name)
            if process is not None and process.poll() is None:
                children = psutil.Process(process.pid).children()
                found += [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        return found

    def close(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
            process.wait()


def kill(name):
    def fault(production, dice):
        process = production.processes.get(name)
        if process is None or process.poll() is not None:
            return False
        process.kill()
        return True

    return fault


def kill_worker(production, dice):
    workers = production.workers()
    if workers:
        dice.choice(workers).kill()
    return bool(workers)


def stall_worker(production, dice):
    workers = production.workers()
    if workers:
        stalled = dice.choice(workers)
        stalled.suspend()
        time.sleep(STALL_S)
        stalled.resume()
    return bool(workers)


def fill_the_disk(production, dice):
    """Let the workers' files not grow beyond some bytes for a while, which fails as a full disk does."""
    workers = production.workers()
    before = {w.pid: resource.prlimit(w.pid, resource.RLIMIT_FSIZE) for w in workers}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, hard))
    time.sleep(0.5)
    for pid, limit in before.items():
        if psutil.pid_exists(pid):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
    return bool(workers)


def shards(production):
    """Shards that stand under their names, whether or not a receipt vouches for them yet."""
    root = production.wip if production.wip.exists() else production.store
    return sorted(root.glob("volume/c/*/0/0/0"))


def flip_a_byte(production, dice):
    files = shards(production)
    if files:
        with dice.choice(files).open("r+b") as shard:
            place = dice.randrange(os.fstat(shard.fileno()).st_size)
            byte = os.pread(shard.fileno(), 1, place)[0]
            os.pwrite(shard.fileno(), bytes([byte ^ 1 << dice.randrange(8)]), place)
    return bool(files)


def tear_a_shard(production, dice):
    files = shards(production)
    if files:
        path = dice.choice(files)
        os.truncate(path, path.stat().st_size // 2)
    return bool(files)


def forget_the_bundle(production, dice):
    from distributed import Client

    def forget():
        from nmcdist.execution import worker as task

        task._held.clear()

    with Client(production.address, timeout=5, set_as_default=False) as client:
        workers = list(client.scheduler_info(n_workers=-1)["workers"])
        if workers:
            client.run(forget, workers=[dice.choice(workers)])
        return bool(workers)


KINDS = {
    "worker killed": kill_worker,
    "nanny killed": lambda production, dice: kill(dice.choice(["worker-1", "worker-2"]))(production, dice),
    "scheduler killed": kill("scheduler"),
    "driver killed": kill("driver"),
    "disk full": fill_the_disk,
    "byte flipped": flip_a_byte,
    "shard torn": tear_a_shard,
    "bundle forgotten": forget_the_bundle,
    "worker stalled": stall_worker,
}
WEIGHTS = {"scheduler killed": 1, "driver killed": 2, "nanny killed": 2, "disk full": 2}  # of others 4: these take long


@pytest.mark.slow
def test_two_hundred_faults_change_nothing(tmp_path):
    dice = random.Random(2026)
    production = Production(tmp_path)
    names, weights = list(KINDS), [WEIGHTS.get(name, 4) for name in KINDS]
    try:
        while production.faults.total() < FAULTS:
            production.keep_up()
            name = dice.choices(names, weights)[0]
            try:
                happened = KINDS[name](production, dice)
            except Exception:
                happened = False  # what it was to strike was gone, or went while it was struck
            production.faults[name] += happened
            time.sleep(PACE_S)
            if "driver" in production.processes and production.processes["driver"].poll() == 0:
                production.processes.pop("driver")  # it ended well; a new one heals what strikes the store
        deadline = time.monotonic() + 900
        while True:
            assert time.monotonic() < deadline, (production.folder / "driver.log").read_text()[-2000:]
            production.keep_up()
            driver = production.processes["driver"]
            if driver.poll() == 0:
                if verify(production.store) == []:
                    break
                production.processes.pop("driver")
            time.sleep(0.5)
    finally:
        production.close()
    print(f"\n{dict(production.faults)}, started again: {dict(production.restarts)}")
    assert set(production.faults) == set(KINDS)
    assert production.faults.total() == FAULTS
    recipe = recipe_with(**CHANGES)
    make(tmp_path / "quiet", Deployment(workers=2, threads_per_worker=1, memory_per_worker="2GiB"), recipe)
    assert store_sha256(production.store) == store_sha256(tmp_path / "quiet" / "tiny.zarr")
    assert [p.name for p in production.store.parent.iterdir() if p.name.endswith((".wip", ".old"))] == []
