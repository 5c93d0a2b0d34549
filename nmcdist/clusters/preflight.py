"""The check that a cluster will take the workers of a deployment, before anything is written or queued.

Every question has a time-out, and every error says what to change.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nmcdist.clusters.batch import clock, job_class, job_script, kubecluster, mebibytes, scheduler_address
from nmcdist.clusters.deployment import QUEUES, Deployment
from nmcdist.clusters.resources import Resources
from nmcdist.errors import PlanError

ANSWER_TIMEOUT_S = 20.0  # of one command of the queue, or one look at a scheduler
_ASIDE_TIMEOUT_S = 5.0


def preflight(deployment: Deployment, resources: Resources) -> None:
    """Ask the cluster whether it would take the workers; nothing is queued, and every question has a time-out.

    Raises
    ------
    PlanError
        With what to change in the deployment.
    """
    if deployment.kind in QUEUES:
        script = job_script(deployment, resources)
        _check_interface(deployment)
        command = job_class(deployment)[0].submit_command
        if shutil.which(command) is None:
            raise PlanError(
                f"kind: {deployment.kind} needs the command {command}, which this host lacks; run on a login node"
            )
        if deployment.kind == "slurm":
            _ask_slurm(deployment, script)
        elif deployment.kind == "sge":
            _ask_sge(deployment, resources, script)
    elif deployment.kind == "kubernetes":
        _ask_kubernetes(deployment)
    elif deployment.kind == "scheduler":
        ask_scheduler(scheduler_address(deployment))


def _check_interface(deployment: Deployment) -> None:
    if deployment.interface is None:
        return
    import socket

    from distributed.utils import get_ip_interface

    try:
        get_ip_interface(deployment.interface)
    except ValueError:
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise PlanError(
            f"interface: found {deployment.interface!r}, expected one of this host with an IPv4 address: {names}"
        ) from None


class Answer(NamedTuple):
    """What a command of the queue answered, each text in one line.

    Attributes
    ----------
    status : int
        Its exit status.
    printed : str
        What it wrote to its standard output.
    said : str
        That, and what it wrote to its standard error, where warnings of others may stand too.
    """

    status: int
    printed: str
    said: str


def answer(command: list[str], timeout_s: float) -> Answer:
    """Run a command of the queue, and return what it answered.

    Raises
    ------
    PlanError
        If it does not answer in time.
    """
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, errors="replace", start_new_session=True
        ) as process:
            try:
                printed, warned = process.communicate(timeout=timeout_s)
            except BaseException:
                # Also what a script has started: it would hold the pipes open, and be waited for.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
    except subprocess.TimeoutExpired:
        raise PlanError(
            f"{shlex.join(command[:1])} did not answer within {timeout_s:.0f} s; is the queue up?"
        ) from None
    except OSError as error:
        raise PlanError(f"{command[0]} cannot be run: {error.strerror}") from None
    return Answer(process.returncode, " ".join(printed.split()), " ".join(f"{printed} {warned}".split()))


def _ask_slurm(deployment: Deployment, script: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job.sh")
        path.write_text(script, encoding="utf-8")
        status, _, text = answer(["sbatch", "--test-only", str(path)], ANSWER_TIMEOUT_S)
    if status == 0:
        return _check_time_limit(deployment)
    said = text.removeprefix("allocation failure: ")
    for sign, advise in _SLURM_ADVICE:
        if sign in text:
            raise PlanError(f"{advise(deployment)} (sbatch: {said})")
    raise PlanError(f"slurm refuses the job: {said}")


def _sinfo(*options: str) -> list[str]:
    """Return the words that sinfo answers, none where it does not."""
    try:
        status, text, _ = answer(["sinfo", "-h", *options], _ASIDE_TIMEOUT_S)
    except PlanError:
        return []
    return text.split() if status == 0 else []


def _check_time_limit(deployment: Deployment) -> None:
    """Refuse a walltime beyond that of the queue, where SLURM would let the job wait for ever."""
    limits = {name: limit for name, is_one, limit in (word.partition("=") for word in _sinfo("-o", "%P=%l")) if is_one}
    name = next((name for name in limits if name.rstrip("*") == deployment.queue), None)
    if deployment.queue is None:
        name = next((name for name in limits if name.endswith("*")), None)
    limit = _slurm_seconds(limits.get(name or "", ""))
    if limit is not None and (deployment.walltime or 0) > limit:
        raise PlanError(
            f"walltime: found {clock(deployment.walltime or 0)}, queue {str(name).rstrip('*')} allows {clock(limit)}"
        )


def _slurm_seconds(text: str) -> int | None:
    """Return what D-HH:MM:SS, with or without what comes first, means; None for "infinite" or what is no time."""
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdecimal() for part in parts) or (days and not days.isdecimal()):
        return None
    return 86400 * int(days or 0) + sum(60**k * int(part) for k, part in enumerate(reversed(parts)))


def _largest_node(deployment: Deployment) -> str:
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


_SLURM_ADVICE: tuple[tuple[str, Callable[[Deployment], str]], ...] = (
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


def _ask_sge(deployment: Deployment, resources: Resources, script: str) -> None:
    """Ask for a dry run on the cluster as if it were empty; such a run knows none of the nodes' own measurements."""
    end = time.monotonic() + ANSWER_TIMEOUT_S
    status, text = _verified(script, end)
    said = text.removeprefix("Unable to run job: ").removesuffix(" Exiting.")
    for sign, advise in _SGE_ADVICE if status else ():
        if sign in text:
            raise PlanError(f"{advise(deployment)} (qsub: {said})")
    _check_sge_counts(deployment, resources)
    if status == 0:
        return
    if "no suitable queues" not in text:
        raise PlanError(f"sge refuses the job: {said}")
    script = re.sub(r"^#\$ -l mem_free=\w+\n|(?<=^#\$ -l )mem_free=\w+,", "", script, flags=re.MULTILINE)
    if _verified(script, end)[0] == 0:
        _check_sge_memory(resources)
        return
    for field, request in _SGE_REQUESTS:
        less = re.sub(request, "", script, flags=re.MULTILINE)
        if less != script and _verified(less, end)[0] == 0:
            raise PlanError(f"{field}: more than {deployment.queue or 'any queue'} has or allows (qsub: {said})")
    raise PlanError(f"sge refuses the job: {said}")


def _verified(script: str, end: float) -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job.sh")
        path.write_text(script, encoding="utf-8")
        status, _, said = answer(["qsub", "-w", "v", str(path)], max(1.0, end - time.monotonic()))
    return status, said


def _check_sge_counts(deployment: Deployment, resources: Resources) -> None:
    """Refuse amounts that this cluster counts for each slot, so that a job would hold them once for each thread."""
    slots = resources.threads
    if slots == 1 or deployment.parallel_environment is None:
        return
    try:
        text = answer(["qconf", "-sc"], _ASIDE_TIMEOUT_S).printed
    except PlanError:
        return
    asked = (
        ("gpus_per_worker", "gpu", deployment.gpus_per_worker, ""),
        ("memory_per_worker", "mem_free", mebibytes(resources), "M"),
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


def _check_sge_memory(resources: Resources) -> None:
    """Refuse what no node could ever have free; nodes to which mem_free is given have refused it already."""
    try:
        status, text, _ = answer(["qhost", "-F", "mem_free,mem_total"], _ASIDE_TIMEOUT_S)
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
    try:
        status, text, _ = answer(["qconf", option], _ASIDE_TIMEOUT_S)
    except PlanError:
        status, text = 1, ""
    return ", ".join(text.split()) if status == 0 and text else f"what `qconf {option}` lists"


_SGE_REQUESTS = (
    ("walltime", r"^#\$ -l h_rt=.*\n"),
    ("gpus_per_worker", r"^#\$ -l gpu=\d+\n"),
    ("parallel_environment, threads_per_worker", r"^#\$ -pe .*\n"),
)
_SGE_ADVICE: tuple[tuple[str, Callable[[Deployment], str]], ...] = (
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


def ask_scheduler(address: str) -> None:
    """Check that a Dask scheduler answers; a client alone would wait for ever where something else listens.

    Raises
    ------
    PlanError
        If none does in time.
    """
    found = []

    def look() -> None:
        with contextlib.suppress(Exception):  # what strangers say to Dask's protocol has no common base
            found.append(_who_answers(address))

    # A resolver that does not answer cannot be stopped; a thread of asyncio's would be waited for.
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(ANSWER_TIMEOUT_S)
    if found != ["Scheduler"]:
        raise PlanError(
            f"address: no Dask scheduler answers at {address}; check it, or start one with `dask scheduler`"
        )


def _who_answers(address: str) -> str:
    import asyncio
    import socket

    from distributed.comm import connect, get_address_host
    from distributed.security import Security

    async def ask() -> str:
        comm = await connect(address, timeout=ANSWER_TIMEOUT_S, **Security().get_connection_args("client"))
        try:
            await comm.write({"op": "identity", "reply": True})
            found = await comm.read()
            return str(found["type"])
        finally:
            comm.abort()

    socket.getaddrinfo(get_address_host(address), None)  # here, since asyncio's threads hold up the end of the process
    return asyncio.run(asyncio.wait_for(ask(), ANSWER_TIMEOUT_S))


def _ask_kubernetes(deployment: Deployment) -> None:
    import asyncio

    kubecluster()
    import kr8s.asyncio

    async def ask() -> None:
        api = await kr8s.asyncio.api(namespace=deployment.namespace)
        await api.version()
        async for found in api.get("customresourcedefinitions", "daskclusters.kubernetes.dask.org"):
            del found

    try:
        asyncio.run(asyncio.wait_for(ask(), ANSWER_TIMEOUT_S))
    except TimeoutError:
        raise PlanError(f"kubernetes: no answer within {ANSWER_TIMEOUT_S:.0f} s; check `kubectl version`") from None
    except kr8s.NotFoundError:
        raise PlanError(
            "kubernetes: the Dask operator is not installed there: "
            "helm install --repo https://helm.dask.org --generate-name dask-kubernetes-operator"
        ) from None
    except Exception as error:  # what a client of Kubernetes raises has no common base
        text = " ".join(str(error).split()) or type(error).__name__
        raise PlanError(f"kubernetes: cannot be reached ({text}); check `kubectl version`") from None
