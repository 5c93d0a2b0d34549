"""The memory that a process may use and has used; each kind of dataset defines the memory of its tasks."""

import contextlib
import resource
from pathlib import Path

PROCESS = 400 * 2**20  # bytes: interpreter, libraries, compiled kernels
USABLE = 0.9  # share of a worker's limit that a plan may use; Dask ends a worker at 95 %


def reset_peak_memory() -> None:
    """Restart the measurement of :func:`peak_memory_bytes`, if the system supports it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes() -> int:
    """Return the largest memory of this process since the start of the measurement."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
