"""SLURM."""

import re
from collections.abc import Callable
from typing import Any

from nmcdist.clusters.ask import Listing, answer_to_script, words_of
from nmcdist.clusters.fields import DeploymentFields, clock
from nmcdist.clusters.queue import Queue
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.start import NAME
from nmcdist.errors import PlanError


class Slurm(Queue):
    """Jobs of SLURM; a dry run precedes the first submission."""

    kind = "slurm"
    listing = Listing(("squeue", "-h", "-o", "%A %T (%r)", "-u"), re.compile(r"(\d+) (.*)"))

    def plain_job(self) -> type:
        """Return dask-jobqueue's class."""
        from dask_jobqueue.slurm import SLURMJob

        return SLURMJob

    def requests(self, deployment: DeploymentFields, resources: Resources) -> dict[str, Any]:
        """Return the options of sbatch."""
        gpus = [f"--gres=gpu:{deployment.gpus_per_worker}"] if deployment.gpus_per_worker else []
        logs = f"-o {self.log_folder(deployment)}/{NAME}-%j.log"
        return {
            "queue": deployment.queue,
            "account": deployment.project,
            "job_cpu": resources.threads,
            "job_mem": f"{resources.mebibytes}M",
            "walltime": clock(deployment.walltime or 0),
            "job_extra_directives": [logs, *gpus, *deployment.directives],
        }

    def ask_queue(self, deployment: DeploymentFields, resources: Resources, script: str) -> None:
        """Refuse jobs that sbatch refuses, with advice, and a walltime with which the job would wait for ever."""
        status, _, text = answer_to_script(["sbatch", "--test-only"], script)
        if status == 0:
            return _check_time_limit(deployment)
        said = text.removeprefix("allocation failure: ")
        for sign, advise in _ADVICE:
            if sign in text:
                raise PlanError(f"{advise(deployment)} (sbatch: {said})")
        raise PlanError(f"slurm refuses the job: {said}")


CLUSTER = Slurm()


def _sinfo(*options: str) -> list[str]:
    return words_of(["sinfo", "-h", *options])


def _check_time_limit(deployment: DeploymentFields) -> None:
    """Refuse a walltime beyond that of the queue: SLURM would let the job wait for ever."""
    limits = {name: limit for name, is_one, limit in (word.partition("=") for word in _sinfo("-o", "%P=%l")) if is_one}
    name = next((name for name in limits if name.rstrip("*") == deployment.queue), None)
    if deployment.queue is None:
        name = next((name for name in limits if name.endswith("*")), None)
    limit = _seconds(limits.get(name or "", ""))
    if limit is not None and (deployment.walltime or 0) > limit:
        raise PlanError(
            f"walltime: found {clock(deployment.walltime or 0)}, queue {str(name).rstrip('*')} allows {clock(limit)}"
        )


def _seconds(text: str) -> int | None:
    """Return the seconds of D-HH:MM:SS, whose first parts are optional; None for "infinite" or other text."""
    days, _, time = text.rpartition("-")
    parts = time.split(":")
    if not all(part.isdecimal() for part in parts) or (days and not days.isdecimal()):
        return None
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return 86400 * int(days or 0) + seconds


def _largest_node(deployment: DeploymentFields) -> str:
    where = ["-p", deployment.queue] if deployment.queue else []
    words = (re.fullmatch(r"(\d+)\+?:(\d+)\+?", word) for word in _sinfo("-e", *where, "-o", "%c:%m"))
    nodes = [node for node in words if node]
    if not nodes:
        return ""
    cores = max(int(node[1]) for node in nodes)
    memory = max(int(node[2]) for node in nodes)
    return f"; its largest nodes have {cores} cores, {memory / 1024:.1f} GiB"


def _queues() -> str:
    return ", ".join(dict.fromkeys(_sinfo("-o", "%R"))) or "what sinfo lists"


_ADVICE: tuple[tuple[str, Callable[[DeploymentFields], str]], ...] = (
    ("invalid partition", lambda d: f"queue: found {d.queue!r}, expected one of: {_queues()}"),
    (
        "node configuration is not available",
        lambda d: (
            f"memory_per_worker, threads_per_worker: more than a node of {d.queue or 'the default queue'} has"
            f"{_largest_node(d)}"
        ),
    ),
    ("emory specification", lambda d: f"memory_per_worker: more than a node has{_largest_node(d)}"),
    ("CPU count", lambda d: f"threads_per_worker: more than a node has{_largest_node(d)}"),
    ("time limit", lambda d: f"walltime: {clock(d.walltime or 0)} is more than queue {d.queue or 'default'} allows"),
    ("generic resource", lambda d: f"gpus_per_worker: {d.gpus_per_worker} are not in queue {d.queue or 'default'}"),
    ("nvalid account", lambda d: f"project: {d.project!r} cannot be charged on this queue"),
    ("contact slurm controller", lambda d: "the SLURM controller does not answer; is the cluster up?"),
    ("DNS SRV", lambda d: "this host knows no SLURM controller; run on a login node, or set SLURM_CONF"),
)
