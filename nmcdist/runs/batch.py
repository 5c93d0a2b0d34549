"""Jobs and pods that hold the workers of a deployment: their scripts, and a check that the cluster will take them.

One job is one worker with its nanny. It takes one task at a time, whose kernels use all the cores of the job.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from nmcdist.errors import PlanError
from nmcdist.runs.cluster import Resources
from nmcdist.runs.deployment import QUEUES, Deployment

NAME = "nmcdist"
DEATH_TIMEOUT_S = 60  # a worker whose driver is gone for so long ends its job
ANSWER_TIMEOUT_S = 20.0  # of one command of the queue, or one look at a scheduler
_ASIDE_TIMEOUT_S = 5.0
_MIB = 2**20
_UNKNOWN_SCHEDULER = "tcp://SCHEDULER:PORT"
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip
_CONDOR_DISK = "1GiB"  # results go to the store, not through the node's disk


def job_script(deployment: Deployment, resources: Resources) -> str:
    """Return what is handed to the queue for one worker, or to Kubernetes for all; nothing on this machine.

    Raises
    ------
    PlanError
        If the package that speaks to this kind of cluster is not installed.
    """
    if deployment.kind in QUEUES:
        job, options = job_class(deployment)
        made = job(_UNKNOWN_SCHEDULER, name=NAME, **job_options(deployment, resources), **options)
        return str(made.job_script())
    if deployment.kind == "kubernetes":
        return yaml.safe_dump(manifest(deployment, resources), sort_keys=False)
    return ""


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
    elif deployment.kind == "kubernetes":
        _ask_kubernetes(deployment)
    elif deployment.kind == "scheduler":
        ask_scheduler(scheduler_address(deployment))


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment that a worker needs before it imports anything; Dask's own is one thread for BLAS."""
    return {"MALLOC_TRIM_THRESHOLD_": "65536", **dict.fromkeys(_THREAD_VARIABLES, str(threads))}


def worker_settings() -> dict[str, Any]:
    """Return what Dask's workers are to be told of memory.

    Tasks return next to nothing, so a worker has nothing to spill, and a paused one would only stall.
    """
    prefix = "distributed.worker.memory."
    return {f"{prefix}target": False, f"{prefix}spill": False, f"{prefix}pause": False, f"{prefix}terminate": 0.95}


def lifetime(walltime_s: int) -> tuple[int, int]:
    """Return after how many seconds a worker leaves, and by how much that is spread: all before the walltime.

    A task that the worker then holds is made by another one.
    """
    reserve, spread = min(300, max(30, walltime_s // 10)), min(300, walltime_s // 20)
    return walltime_s - reserve - spread, spread


def scheduler_address(deployment: Deployment) -> str:
    """Return the address of a running scheduler, from its file if that is what the deployment names.

    Raises
    ------
    PlanError
        If there is no such file, or it is not a scheduler's.
    """
    if deployment.address is not None:
        return deployment.address
    path = deployment.scheduler_file
    try:
        found = json.loads(Path(str(path)).read_text(encoding="utf-8"))["address"]
    except OSError as error:
        raise PlanError(
            f"scheduler_file: {path}: {error.strerror}; `dask scheduler --scheduler-file {path}` writes it"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise PlanError(
            f"scheduler_file: {path}: found no address in it, expected what `dask scheduler` wrote"
        ) from None
    return str(found)


def job_class(deployment: Deployment) -> tuple[Any, dict[str, Any]]:
    """Return the job class of a queue, and the options that only it has.

    Raises
    ------
    PlanError
        If dask-jobqueue is not installed.
    """
    try:
        from nmcdist.runs import jobs
    except ImportError:
        raise PlanError(f"kind: {deployment.kind} needs dask-jobqueue: pip install 'nmcdist[cluster]'") from None
    return jobs.JOBS[deployment.kind], _OPTIONS[deployment.kind](deployment)


def job_options(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    """Return the options that the jobs of all queues have, and those that name the same thing differently."""
    seconds, spread = lifetime(deployment.walltime or 0)
    extra = ["--lifetime", f"{seconds}s", "--lifetime-stagger", f"{spread}s", "--no-lifetime-restart", "--no-dashboard"]
    if deployment.gpus_per_worker:
        extra += ["--resources", f"GPU={deployment.gpus_per_worker}"]
    environment = {**thread_variables(resources.threads), **_as_environment(worker_settings())}
    exports = " ".join(f"{name}={value}" for name, value in environment.items())
    return {
        "job_name": NAME,
        "cores": 1,  # Dask's threads of a worker: one task at a time
        "processes": 1,
        "memory": resources.memory,
        "nanny": True,
        "interface": deployment.interface,
        "python": deployment.python,
        "death_timeout": DEATH_TIMEOUT_S,
        "local_directory": deployment.local_folder,
        "worker_extra_args": extra,
        "job_script_prologue": [*deployment.prologue, f"export {exports}"],
        **_REQUESTS[deployment.kind](deployment, resources),
    }


def _as_environment(settings: dict[str, Any]) -> dict[str, str]:
    return {"DASK_" + name.upper().replace(".", "__").replace("-", "_"): str(v) for name, v in settings.items()}


def _mebibytes(resources: Resources) -> int:
    return max(1, -(-resources.memory // _MIB))


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _logs(deployment: Deployment) -> Path:
    return deployment.log_folder.absolute()


def _slurm(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    gpus = [f"--gres=gpu:{deployment.gpus_per_worker}"] if deployment.gpus_per_worker else []
    return {
        "job_cpu": resources.threads,
        "job_mem": f"{_mebibytes(resources)}M",
        "walltime": _clock(deployment.walltime or 0),
        "job_extra_directives": [f"-o {_logs(deployment)}/{NAME}-%j.log", *gpus, *deployment.directives],
    }


def _pbs(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    gpus = f":ngpus={deployment.gpus_per_worker}" if deployment.gpus_per_worker else ""
    return {
        "resource_spec": f"select=1:ncpus={resources.threads}:mem={_mebibytes(resources)}mb{gpus}",
        "walltime": _clock(deployment.walltime or 0),
        "job_extra_directives": ["-S /bin/bash", "-j oe", f"-o {_logs(deployment)}/", *deployment.directives],
    }


def _lsf(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    minutes = -(-(deployment.walltime or 0) // 60)
    gpus = [f'-gpu "num={deployment.gpus_per_worker}"'] if deployment.gpus_per_worker else []
    return {
        "ncpus": resources.threads,
        **_lsf_memory(resources),
        "walltime": f"{minutes // 60:02}:{minutes % 60:02}",
        "job_extra_directives": [f"-o {_logs(deployment)}/{NAME}-%J.log", *gpus, *deployment.directives],
    }


def _lsf_memory(resources: Resources) -> dict[str, Any]:
    """Return bytes that dask-jobqueue, which counts in thousands, writes as the right number of LSF's units of 1024."""
    unit = _lsf_unit()
    power = 1 + "kmgtpe".index(unit)
    return {"mem": -(-resources.memory // 1024**power) * 1000**power, "lsf_units": unit}


def _lsf_unit() -> str:
    """Return the unit in which this site's LSF takes limits, as k, m or g; by its manual k where none is set."""
    folder = os.environ.get("LSF_ENVDIR") or os.environ.get("LSF_CONFDIR") or "/etc"
    try:
        text = Path(folder, "lsf.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "k"
    found = re.findall(r"^\s*LSF_UNIT_FOR_LIMITS\s*=\s*\"?([KMGTPE])", text, re.MULTILINE | re.IGNORECASE)
    return str(found[-1]).lower() if found else "k"


def _sge(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    slots = [f"-pe {deployment.parallel_environment} {resources.threads}"] if deployment.parallel_environment else []
    gpus = f",gpu={deployment.gpus_per_worker}" if deployment.gpus_per_worker else ""
    return {
        "resource_spec": f"mem_free={_mebibytes(resources)}M{gpus}",
        "walltime": _clock(deployment.walltime or 0),
        "job_extra_directives": ["-S /bin/bash", f"-o {_logs(deployment)}/", *slots, *deployment.directives],
    }


def _htcondor(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    logs = _logs(deployment)
    directives = {
        "MY.DaskWorkerCores": resources.threads,
        "Output": f"{logs}/{NAME}-$(ClusterId).log",
        "Error": f"{logs}/{NAME}-$(ClusterId).log",
        "Log": f"{logs}/{NAME}-$(ClusterId).events",
        "Stream_Output": True,  # the jobs are ended from outside, which would leave nothing
        "Stream_Error": True,
        "allowed_execute_duration": deployment.walltime,
    }
    if deployment.project:
        directives["accounting_group"] = deployment.project
    if deployment.gpus_per_worker:
        directives["RequestGPUs"] = deployment.gpus_per_worker
    for line in deployment.directives:
        name, _, value = line.partition("=")
        directives[name.strip()] = value.strip()
    return {"disk": _CONDOR_DISK, "job_extra_directives": directives}


_REQUESTS: dict[str, Callable[[Deployment, Resources], dict[str, Any]]] = {
    "slurm": _slurm, "pbs": _pbs, "lsf": _lsf, "sge": _sge, "htcondor": _htcondor,
}  # fmt: skip
_OPTIONS: dict[str, Callable[[Deployment], dict[str, Any]]] = {
    "slurm": lambda d: {"queue": d.queue, "account": d.project},
    "pbs": lambda d: {"queue": d.queue, "account": d.project},
    "lsf": lambda d: {"queue": d.queue, "project": d.project, "use_stdin": True},  # else #BSUB lines are not read
    "sge": lambda d: {"queue": d.queue, "project": d.project},
    "htcondor": lambda d: {},
}


def manifest(deployment: Deployment, resources: Resources, name: str = NAME) -> dict[str, Any]:
    """Return the DaskCluster resource of the Dask operator that holds the scheduler and all workers.

    Raises
    ------
    PlanError
        If dask-kubernetes is not installed.
    """
    kube = _kubecluster()
    memory = f"{_mebibytes(resources)}Mi"
    amounts = {"cpu": str(resources.threads), "memory": memory}
    command = ["dask", "worker", "--nthreads", "1", "--memory-limit", f"{memory}B"]
    command += ["--death-timeout", str(DEATH_TIMEOUT_S)]
    if deployment.gpus_per_worker:
        amounts["nvidia.com/gpu"] = str(deployment.gpus_per_worker)
        command += ["--resources", f"GPU={deployment.gpus_per_worker}"]
    worker = kube.make_worker_spec(
        image=deployment.image,
        n_workers=resources.workers,
        resources={"requests": amounts, "limits": amounts},
        env={**thread_variables(resources.threads), **_as_environment(worker_settings())},
        worker_command=command,
    )
    scheduler = kube.make_scheduler_spec(
        cluster_name=name,
        image=deployment.image,
        env=_as_environment({"distributed.scheduler.allowed-failures": 0}),
        resources={"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "4Gi"}},
    )
    claim = {"name": "stores", "persistentVolumeClaim": {"claimName": deployment.volume_claim}}
    worker["spec"]["volumes"] = [claim]
    worker["spec"]["containers"][0]["volumeMounts"] = [{"name": "stores", "mountPath": str(deployment.mount_folder)}]
    metadata = {"name": name, **({"namespace": deployment.namespace} if deployment.namespace else {})}
    made: dict[str, Any] = {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": metadata,
        "spec": {"worker": worker, "scheduler": scheduler},
    }
    return dict(json.loads(json.dumps(made)))  # a list that stood twice would be an anchor in YAML


def _kubecluster() -> Any:
    try:
        from dask_kubernetes.operator.kubecluster import kubecluster
    except ImportError:
        raise PlanError("kind: kubernetes needs dask-kubernetes: pip install 'nmcdist[kubernetes]'") from None
    return kubecluster


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


def answer(command: list[str], timeout_s: float) -> tuple[int, str]:
    """Run a command of the queue, and return its exit status and all that it printed, in one line.

    Raises
    ------
    PlanError
        If it does not answer in time.
    """
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise PlanError(
            f"{shlex.join(command[:1])} did not answer within {timeout_s:.0f} s; is the queue up?"
        ) from None
    except OSError as error:
        raise PlanError(f"{command[0]} cannot be run: {error.strerror}") from None
    return done.returncode, " ".join(f"{done.stdout} {done.stderr}".split())


def _ask_slurm(deployment: Deployment, script: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job.sh")
        path.write_text(script, encoding="utf-8")
        status, text = answer(["sbatch", "--test-only", str(path)], ANSWER_TIMEOUT_S)
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
        status, text = answer(["sinfo", "-h", *options], _ASIDE_TIMEOUT_S)
    except PlanError:
        return []
    return text.split() if status == 0 else []


def _check_time_limit(deployment: Deployment) -> None:
    """Refuse a walltime beyond that of the queue, where SLURM would let the job wait for ever."""
    limits = dict(part.split("=") for part in _sinfo("-o", "%P=%l"))
    name = next((name for name in limits if name.rstrip("*") == deployment.queue), None)
    if deployment.queue is None:
        name = next((name for name in limits if name.endswith("*")), None)
    limit = _slurm_seconds(limits.get(name or "", ""))
    if limit is not None and (deployment.walltime or 0) > limit:
        raise PlanError(
            f"walltime: found {_clock(deployment.walltime or 0)}, queue {str(name).rstrip('*')} allows {_clock(limit)}"
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
    nodes = [part.split(":") for part in _sinfo("-e", *where, "-o", "%c:%m")]
    if not nodes:
        return ""
    cores = max(int(node[0].rstrip("+")) for node in nodes)
    memory = max(int(node[1].rstrip("+")) for node in nodes)
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
    ("time limit", lambda d: f"walltime: {_clock(d.walltime or 0)} is more than queue {d.queue or 'default'} allows"),
    ("generic resource", lambda d: f"gpus_per_worker: {d.gpus_per_worker} are not in queue {d.queue or 'default'}"),
    ("nvalid account", lambda d: f"project: {d.project!r} cannot be charged on this queue"),
    ("contact slurm controller", lambda d: "the SLURM controller does not answer; is the cluster up?"),
    ("DNS SRV", lambda d: "this host knows no SLURM controller; run on a login node, or set SLURM_CONF"),
)


def ask_scheduler(address: str) -> None:
    """Check that a Dask scheduler answers; a client alone would wait for ever where something else listens.

    Raises
    ------
    PlanError
        If none does in time.
    """
    import asyncio

    from distributed.comm import connect

    async def ask() -> str:
        comm = await connect(address, timeout=ANSWER_TIMEOUT_S)
        try:
            await comm.write({"op": "identity", "reply": True})
            found = await comm.read()
            return str(found["type"])
        finally:
            comm.abort()

    try:
        found = asyncio.run(asyncio.wait_for(ask(), ANSWER_TIMEOUT_S))
    except Exception:  # what strangers say to Dask's protocol has no common base
        found = "nothing of Dask"
    if found != "Scheduler":
        raise PlanError(
            f"address: no Dask scheduler answers at {address}; check it, or start one with `dask scheduler`"
        )


def _ask_kubernetes(deployment: Deployment) -> None:
    import asyncio

    _kubecluster()
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
