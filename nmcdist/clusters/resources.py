"""The resources of a deployment: worker processes, threads per task and memory per worker."""

from dataclasses import dataclass

_MIB = 2**20


@dataclass(frozen=True)
class Resources:
    """The resources of a run: worker processes, threads per task, bytes of memory per worker, and the walltime."""

    workers: int
    threads: int
    memory: int
    walltime_s: float | None = None

    @property
    def processes(self) -> int:
        """Processes that run tasks: without workers, this one."""
        return max(1, self.workers)

    @property
    def mebibytes(self) -> int:
        """Memory per worker for requests to queues, rounded up."""
        return max(1, -(-self.memory // _MIB))


@dataclass(frozen=True)
class Machine:
    """Cores and bytes of memory of this machine that this process may use."""

    cores: int
    memory: int


def this_machine() -> Machine:
    """Return the cores and the memory that the system's limits allow this process."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return Machine(int(CPU_COUNT), int(MEMORY_LIMIT))
