"""Resources: on this machine what is left open is chosen to fit the run; on a cluster all is as said."""

from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine, Resources, this_machine
from nmcdist.clusters.sizing import resources_for

GIB = 2**30
MACHINE = Machine(cores=8, memory=64 * GIB)


def chosen(need_gib, tasks=100, **deployment):
    return resources_for(Deployment(**deployment), MACHINE, tasks, lambda threads: need_gib * GIB)


def test_as_many_workers_as_fit_share_cores_and_memory():
    assert chosen(1) == Resources(8, 1, 8 * GIB)
    assert chosen(20) == Resources(3, 2, 64 * GIB // 3)
    assert chosen(60) == Resources(1, 8, 64 * GIB)


def test_what_fits_nowhere_gets_one_worker_with_all():
    assert chosen(100) == Resources(1, 8, 64 * GIB)


def test_no_more_workers_than_tasks():
    assert chosen(1, tasks=2) == Resources(2, 4, 32 * GIB)


def test_what_is_given_is_kept():
    assert chosen(1, workers=2) == Resources(2, 4, 32 * GIB)
    assert chosen(1, workers=2, threads_per_worker=1, memory_per_worker="4GiB") == Resources(2, 1, 4 * GIB)
    assert chosen(1, threads_per_worker=4) == Resources(2, 4, 32 * GIB)
    assert chosen(1, memory_per_worker=16 * GIB) == Resources(4, 2, 16 * GIB)
    assert chosen(1, workers=0) == Resources(0, 8, 64 * GIB)


def test_on_a_cluster_this_machine_does_not_count():
    queue = {"kind": "slurm", "workers": 100, "memory_per_worker": "128GiB", "walltime": "2h"}
    assert chosen(1, **queue) == Resources(100, 1, 128 * GIB, 7200.0)
    assert chosen(1, **queue, threads_per_worker=32) == Resources(100, 32, 128 * GIB, 7200.0)
    there = {"kind": "scheduler", "workers": 3, "memory_per_worker": "1GiB", "address": "tcp://a:1"}
    assert chosen(1, **there) == Resources(3, 1, GIB)


def test_this_machine_has_cores_and_memory():
    assert this_machine().cores >= 1
    assert this_machine().memory > 2**28
