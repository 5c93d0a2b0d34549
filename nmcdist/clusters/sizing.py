"""The resources of a run: what its deployment says, and on this machine what fits."""

from collections.abc import Callable

from nmcdist.clusters.cluster import cluster_of
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine, Resources


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
