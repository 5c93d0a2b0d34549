"""Run one side of one case in this process and print CPU seconds, wall seconds and peak memory as JSON."""

import json
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import psutil

from benchmarks.cases import CASES


class PeakMemory:
    """Watch the resident memory of this process while a block runs."""

    def __enter__(self) -> "PeakMemory":
        self._process = psutil.Process()
        self.start = self.peak = self._process.memory_info().rss
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.peak = max(self.peak, self._process.memory_info().rss)


def main(name: str, side: str, volume_file: str, answer_file: str) -> None:
    """Measure `side` ("ours" or "peer") of the case `name`; the answer goes to `answer_file`."""
    warnings.simplefilter("ignore")
    volume = np.load(volume_file)
    run = getattr(CASES[name], side)(volume)
    with PeakMemory() as memory:
        wall, cpu = time.perf_counter(), time.process_time()
        answer = run()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    np.save(answer_file, np.asarray(answer, dtype=float))
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "peak_gib": (memory.peak - memory.start) / 2**30}))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(f"usage: {Path(__file__).name} CASE ours|peer VOLUME.npy ANSWER.npy")
    main(*sys.argv[1:])
