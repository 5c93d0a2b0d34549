"""Jobs and pods that hold the workers of a deployment: what is handed to the queue, or to Kubernetes.

One job is one worker with its nanny. It takes one task at a time, whose kernels use all the cores of the job.
"""

import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from nmcdist.clusters import credentials
from nmcdist.clusters.deployment import LOOPBACK, QUEUES, Deployment
from nmcdist.clusters.resources import Resources
from nmcdist.errors import PlanError
from nmcdist.extras import need
from nmcdist.json_text import load_json
from nmcdist.kernels import THREADS_VARIABLE

NAME = "nmcdist"
DEATH_TIMEOUT_S = 60  # a worker whose driver is gone for so long ends its job
_MIB = 2**20
_UNKNOWN_SCHEDULER = "tls://SCHEDULER:PORT"
_UNKNOWN_FOLDER = Path("CREDENTIALS")  # of this run, which is made when it starts
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", THREADS_VARIABLE,
)  # fmt: skip
_CONDOR_DISK = "1GiB"  # results go to the store, not through the node's disk


def job_script(deployment: Deployment, resources: Resources) -> str:
    """Return what is handed to the queue for one worker, or to Kubernetes for all; nothing on this machine.

    Raises
    ------
    MissingPackageError
        If the package that speaks to this kind of cluster is not installed.
    PlanError
        If the queue cannot have such a log folder.
    """
    if deployment.kind in QUEUES:
        job, options = job_class(deployment)
        security = credentials.configured_security() or credentials.security_in(_UNKNOWN_FOLDER)
        settings = {**job_options(deployment, resources, security), **options}
        made = job(_UNKNOWN_SCHEDULER, name=NAME, protocol="tls://", **settings)
        return str(made.job_script())
    if deployment.kind == "kubernetes":
        return yaml.safe_dump(manifest(deployment, resources), sort_keys=False)
    return ""


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
        found = load_json(str(path), PlanError, limit=1 << 20).get("address")
    except PlanError as error:
        raise PlanError(f"scheduler_file: {error}; `dask scheduler --scheduler-file {path}` writes it") from None
    if not isinstance(found, str):
        raise PlanError(f"scheduler_file: {path}: found no address in it, expected what `dask scheduler` wrote")
    return found


def job_class(deployment: Deployment) -> tuple[Any, dict[str, Any]]:
    """Return the job class of a queue, and the options that only it has.

    Raises
    ------
    MissingPackageError
        If dask-jobqueue is not installed.
    """
    need("cluster", f"kind: {deployment.kind}")
    from nmcdist.clusters import jobs

    return jobs.JOBS[deployment.kind], _OPTIONS[deployment.kind](deployment)


def job_options(deployment: Deployment, resources: Resources, security: Any) -> dict[str, Any]:
    """Return the options that the jobs of all queues have, and those that name the same thing differently.

    Parameters
    ----------
    deployment : Deployment
    resources : Resources
    security : distributed.Security
        Its files are read by the jobs, which find their names in the environment: the command line could not take
        a path with a blank.

    Raises
    ------
    PlanError
        If the path of the log folder has a blank, which ends it in the directives of most queues.
    """
    seconds, spread = lifetime(deployment.walltime or 0)
    extra = ["--lifetime", f"{seconds}s", "--lifetime-stagger", f"{spread}s", "--no-lifetime-restart"]
    extra += ["--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0"]  # of the page that says that it is well
    if deployment.gpus_per_worker:
        extra += ["--resources", f"GPU={deployment.gpus_per_worker}"]
    settings = {**worker_settings(), **credentials.worker_tls_settings(security)}
    environment = {**thread_variables(resources.threads), **_as_environment(settings)}
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
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


def mebibytes(resources: Resources) -> int:
    """Return the memory of a worker as queues are asked for it, rounded up."""
    return max(1, -(-resources.memory // _MIB))


def clock(seconds: int) -> str:
    """Return seconds as HH:MM:SS, hours beyond a day and all."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _logs(deployment: Deployment) -> Path:
    folder = deployment.log_folder.absolute()
    if deployment.kind != "htcondor" and re.search(r"\s", str(folder)):
        raise PlanError(f"log_folder: found '{folder}', expected a path without blanks for kind {deployment.kind}")
    return folder


def _slurm(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    gpus = [f"--gres=gpu:{deployment.gpus_per_worker}"] if deployment.gpus_per_worker else []
    return {
        "job_cpu": resources.threads,
        "job_mem": f"{mebibytes(resources)}M",
        "walltime": clock(deployment.walltime or 0),
        "job_extra_directives": [f"-o {_logs(deployment)}/{NAME}-%j.log", *gpus, *deployment.directives],
    }


def _pbs(deployment: Deployment, resources: Resources) -> dict[str, Any]:
    gpus = f":ngpus={deployment.gpus_per_worker}" if deployment.gpus_per_worker else ""
    return {
        "resource_spec": f"select=1:ncpus={resources.threads}:mem={mebibytes(resources)}mb{gpus}",
        "walltime": clock(deployment.walltime or 0),
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
        "resource_spec": f"mem_free={mebibytes(resources)}M{gpus}",
        "walltime": clock(deployment.walltime or 0),
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
    MissingPackageError
        If dask-kubernetes is not installed.
    """
    kube = kubecluster()
    memory = f"{mebibytes(resources)}Mi"
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


def kubecluster() -> Any:
    """Return dask-kubernetes' module that makes specifications of pods.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    need("kubernetes", "kind: kubernetes")
    from dask_kubernetes.operator.kubecluster import kubecluster

    return kubecluster
