"""The resources of a deployment: worker processes, threads per task and memory per worker."""

from collections.abc import Callable
from dataclasses import dataclass

from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.deployment import Deployment

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


def resources_for(deployment: Deployment, machine: Machine, tasks: int, need: Callable[[int], float]) -> Resources:
    """Choose the fields that a deployment on this machine leaves open: as many workers as have work and fit.

    On a cluster, the deployment sets everything.

    Parameters
    ----------
    deployment : Deployment
    machine : Machine
    tasks : int
        Number of tasks, if each volume is one task.
    need : callable
        Returns the bytes that a worker needs for such a task, given its threads.
    """
    if not cluster_of(deployment).on_this_machine:
        assert deployment.workers is not None and deployment.memory_per_worker is not None
        walltime = None if deployment.walltime is None else float(deployment.walltime)
        return Resources(deployment.workers, deployment.threads_per_worker or 1, deployment.memory_per_worker, walltime)
    cores, total = machine.cores, machine.memory
    workers, threads, memory = deployment.workers, deployment.threads_per_worker, deployment.memory_per_worker
    if workers is None:
        most = max(1, min(tasks, cores // (threads or 1), total // (memory or 1)))
        fitting = (n for n in range(most, 0, -1) if need(threads or cores // n) <= (memory or total // n))
        workers = next(fitting, 1)
    processes = max(1, workers)
    return Resources(workers, threads or max(1, cores // processes), memory or total // processes)
