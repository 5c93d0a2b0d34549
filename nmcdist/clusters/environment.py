"""The environment of worker processes: kernel threads and Dask settings."""

from typing import Any

from nmcdist.kernels import THREADS_VARIABLE

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", THREADS_VARIABLE,
)  # fmt: skip


def thread_variables(threads: int) -> dict[str, str]:
    """Return the variables that a worker needs before its imports; Dask's own default is one thread for BLAS."""
    return {"MALLOC_TRIM_THRESHOLD_": "65536", **dict.fromkeys(THREAD_VARIABLES, str(threads))}


def memory_settings() -> dict[str, Any]:
    """Return the Dask settings of a worker's memory.

    Tasks return almost no data, so a worker has nothing to spill, and a paused worker would only stall.
    """
    prefix = "distributed.worker.memory."
    return {f"{prefix}target": False, f"{prefix}spill": False, f"{prefix}pause": False, f"{prefix}terminate": 0.95}


def as_environment(settings: dict[str, Any]) -> dict[str, str]:
    """Return Dask settings as the environment variables from which Dask reads them."""
    return {"DASK_" + name.upper().replace(".", "__").replace("-", "_"): str(v) for name, v in settings.items()}
