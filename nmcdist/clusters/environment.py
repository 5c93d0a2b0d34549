"""What worker processes find in their environment: the threads of their kernels, and Dask's settings."""

from typing import Any

from nmcdist.kernels import THREADS_VARIABLE

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", THREADS_VARIABLE,
)  # fmt: skip


def thread_variables(threads: int) -> dict[str, str]:
    """Return what a worker needs before it imports anything; Dask's own default is one thread for BLAS."""
    return {"MALLOC_TRIM_THRESHOLD_": "65536", **dict.fromkeys(THREAD_VARIABLES, str(threads))}


def memory_settings() -> dict[str, Any]:
    """Return Dask's settings of a worker's memory.

    Tasks return next to nothing, so a worker has nothing to spill, and a paused one would only stall.
    """
    prefix = "distributed.worker.memory."
    return {f"{prefix}target": False, f"{prefix}spill": False, f"{prefix}pause": False, f"{prefix}terminate": 0.95}


def as_environment(settings: dict[str, Any]) -> dict[str, str]:
    """Return settings of Dask as the environment variables from which Dask reads them."""
    return {"DASK_" + name.upper().replace(".", "__").replace("-", "_"): str(v) for name, v in settings.items()}
