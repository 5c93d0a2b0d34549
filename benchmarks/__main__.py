"""Print how ours and the peers compare: `python -m benchmarks [CASE ...]`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.cases import CASES, Case

_HEADER = ("case", "peer", "CPU s ours", "CPU s peer", "CPU ratio", "goal", "wall ratio", "peak GiB ours", "peer",
           "largest difference, or both answers")  # fmt: skip


def main(names: list[str]) -> int:
    """Measure the named cases (default: all) and print a Markdown table; return 1 if a goal was missed."""
    unknown = sorted(set(names) - set(CASES))
    if unknown:
        print(f"unknown case {unknown[0]!r}, expected some of {', '.join(CASES)}", file=sys.stderr)
        return 2
    missed = False
    print("| " + " | ".join(_HEADER) + " |")
    print("|" + " --- |" * len(_HEADER), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in names or CASES:
            row, reached = _compare(name, CASES[name], Path(folder))
            print("| " + " | ".join(row) + " |", flush=True)
            missed |= not reached
    return int(missed)


def _compare(name: str, case: Case, folder: Path) -> tuple[list[str], bool]:
    given = folder / f"input {case.given.size}.npy"
    if not given.exists():
        np.save(given, case.given.make())
    ours, a = _measure(name, "ours", given, folder)
    peer, b = _measure(name, "peer", given, folder)
    ratio = peer["cpu_s"] / ours["cpu_s"]
    row = [
        f"{case.title}, {case.given.size}", case.peer_name,
        f"{ours['cpu_s']:.2f}", f"{peer['cpu_s']:.1f}", f"{ratio:.1f}",
        "" if case.goal is None else f"{case.goal:g}", f"{peer['wall_s'] / ours['wall_s']:.1f}",
        f"{ours['peak_gib']:.2f}", f"{peer['peak_gib']:.2f}",
        f"{_compared(case, a, b)} ({case.meaning})",
    ]  # fmt: skip
    return row, case.goal is None or ratio >= case.goal


def _compared(case: Case, ours: np.ndarray, peer: np.ndarray) -> str:
    if case.scored:
        return f"{ours.item():.4f} ours, {peer.item():.4f} peer"
    return f"{np.abs(ours - peer).max():.2g} of {np.abs(peer).max():.3g}"


def _measure(name: str, side: str, given: Path, folder: Path) -> tuple[dict[str, float], np.ndarray]:
    answer = folder / f"{name}-{side}.npy"
    python = sys.executable if side == "ours" else CASES[name].peer_python
    command = [python, "-m", "benchmarks.measure", name, side, str(given), str(answer)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(CASES[name].threads))
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads}, check=False)
    if done.returncode:
        raise SystemExit(f"{name}, {side}: failed\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1]), np.load(answer)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
