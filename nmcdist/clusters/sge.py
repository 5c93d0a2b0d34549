"""Grid Engine."""

import re
import time
from collections.abc import Callable
from typing import Any

from nmcdist.clusters import ask
from nmcdist.clusters.ask import Listing, answer, answer_to_script, words_of
from nmcdist.clusters.fields import DeploymentFields, clock
from nmcdist.clusters.queue import Queue
from nmcdist.clusters.resources import Resources
from nmcdist.errors import PlanError


class GridEngine(Queue):
    """Jobs of Grid Engine; a dry run precedes the first submission."""

    kind = "sge"
    takes = Queue.takes | {"parallel_environment"}
    listing = Listing(
        ("qstat", "-u"),
        re.compile(r"\s*(\d+)\s+\S+\s+\S+\s+\S+\s+(\w+)"),
        stuck=re.compile("E"),
        why=("qstat", "-j"),
        reason=re.compile(r"error reason +\d+: +\S+ \S+ (?:\[.*?\]: )?(?:error: )?(.*)"),
    )

    def plain_job(self) -> type:
        """Return dask-jobqueue's class."""
        from dask_jobqueue.sge import SGEJob

        return SGEJob

    def faults(self, deployment: DeploymentFields) -> list[str]:
        """Return also an error for several threads without the parallel environment that gives them slots."""
        found = super().faults(deployment)
        if (deployment.threads_per_worker or 1) > 1 and deployment.parallel_environment is None:
            found.append("parallel_environment: missing, needed by kind sge for several threads (see `qconf -spl`)")
        return found

    def requests(self, deployment: DeploymentFields, resources: Resources) -> dict[str, Any]:
        """Return the options of qsub."""
        environment = deployment.parallel_environment
        slots = [f"-pe {environment} {resources.threads}"] if environment else []
        gpus = f",gpu={deployment.gpus_per_worker}" if deployment.gpus_per_worker else ""
        logs = f"-o {self.log_folder(deployment)}/"
        return {
            "queue": deployment.queue,
            "project": deployment.project,
            "resource_spec": f"mem_free={resources.mebibytes}M{gpus}",
            "walltime": clock(deployment.walltime or 0),
            "job_extra_directives": ["-S /bin/bash", logs, *slots, *deployment.directives],
        }

    def ask_queue(self, deployment: DeploymentFields, resources: Resources, script: str) -> None:
        """Do a dry run on the cluster as if it were empty; it ignores values that the nodes measure themselves."""
        end = time.monotonic() + ask.ANSWER_TIMEOUT_S
        status, text = _verified(script, end)
        said = text.removeprefix("Unable to run job: ").removesuffix(" Exiting.")
        for sign, advise in _ADVICE if status else ():
            if sign in text:
                raise PlanError(f"{advise(deployment)} (qsub: {said})")
        _check_counts(deployment, resources)
        if status == 0:
            return
        if "no suitable queues" not in text:
            raise PlanError(f"sge refuses the job: {said}")
        script = re.sub(r"^#\$ -l mem_free=\w+\n|(?<=^#\$ -l )mem_free=\w+,", "", script, flags=re.MULTILINE)
        if _verified(script, end)[0] == 0:
            _check_memory(resources)
            return
        for field, request in _REQUESTS:
            less = re.sub(request, "", script, flags=re.MULTILINE)
            if less != script and _verified(less, end)[0] == 0:
                raise PlanError(f"{field}: more than {deployment.queue or 'any queue'} has or allows (qsub: {said})")
        raise PlanError(f"sge refuses the job: {said}")


CLUSTER = GridEngine()


def _verified(script: str, end: float) -> tuple[int, str]:
    status, _, said = answer_to_script(["qsub", "-w", "v"], script, max(1.0, end - time.monotonic()))
    return status, said


def _check_counts(deployment: DeploymentFields, resources: Resources) -> None:
    """Refuse amounts that this cluster counts per slot, since a job would hold them once per thread."""
    slots = resources.threads
    if slots == 1 or deployment.parallel_environment is None:
        return
    try:
        text = answer(["qconf", "-sc"], ask.ASIDE_TIMEOUT_S).printed
    except PlanError:
        return
    asked = (
        ("gpus_per_worker", "gpu", deployment.gpus_per_worker, ""),
        ("memory_per_worker", "mem_free", resources.mebibytes, "M"),
    )
    for field, name, amount, unit in asked:
        each, rest = divmod(amount, slots) if name == "gpu" else (-(-amount // slots), 0)
        said = any(re.match(rf"-l\s.*\b{name}=", line) for line in deployment.directives)
        if amount and not said and re.search(rf" {name} \S+ \S+ \S+ \S+ YES ", text):
            advice = "threads_per_worker: 1" if rest else f'directives: ["-l {name}={each}{unit}"]'
            raise PlanError(
                f"{field}: {slots} slots would hold {slots * amount}{unit}, not {amount}{unit}: {name} counts for each "
                f"slot in this cluster (`qconf -sc`: consumable YES); set {advice}"
            )


def _check_memory(resources: Resources) -> None:
    """Refuse memory that no node can ever have free; nodes with a fixed mem_free have already refused it."""
    try:
        status, text, _ = answer(["qhost", "-F", "mem_free,mem_total"], ask.ASIDE_TIMEOUT_S)
    except PlanError:
        return
    nodes = text.split("Host Resource(s):")[1:]
    measured = [node for node in nodes if not re.search(r"h[cf]:mem_free", node)]
    found = [re.search(r"hl:mem_total=([\d.]+)([KMGTP]?)", node) for node in measured]
    sizes = [float(size[1]) * 1024.0 ** " KMGTP".index(size[2] or " ") for size in found if size]
    known = bool(sizes) or (bool(nodes) and not measured)
    if status == 0 and known and max(sizes, default=0.0) < resources.memory:
        largest = f" has; the largest has {max(sizes) / 2**30:.1f} GiB" if sizes else " gives; see `qhost -F mem_free`"
        raise PlanError(f"memory_per_worker: more than a node of sge{largest}")


def _listed(option: str) -> str:
    """Return the names that qconf lists."""
    return ", ".join(words_of(["qconf", option])) or f"what `qconf {option}` lists"


_REQUESTS = (
    ("walltime", r"^#\$ -l h_rt=.*\n"),
    ("gpus_per_worker", r"^#\$ -l gpu=\d+\n"),
    ("parallel_environment, threads_per_worker", r"^#\$ -pe .*\n"),
)
_ADVICE: tuple[tuple[str, Callable[[DeploymentFields], str]], ...] = (
    ("unknown queue", lambda d: f"queue: found {d.queue!r}, expected one of: {_listed('-sql')}"),
    (
        "requested parallel environment",
        lambda d: f"parallel_environment: found {d.parallel_environment!r}, expected one of: {_listed('-spl')}",
    ),
    ("requested project", lambda d: f"project: found {d.project!r}, expected one of: {_listed('-sprjl')}"),
    ('unknown resource "gpu"', lambda d: "gpus_per_worker: this cluster has no resource named gpu; see `qconf -sc`"),
    ("qmaster", lambda d: "the Grid Engine master does not answer; is the cluster up?"),
    ("SGE_ROOT", lambda d: "this host knows no Grid Engine; run on a login node, or set SGE_ROOT"),
)
