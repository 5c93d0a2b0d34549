"""The deployment file: on which machine or cluster a run is computed, with what, said once for every kind of queue."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from nmcdist.datasets.files import parsed_bytes
from nmcdist.errors import InputError, RecipeError
from nmcdist.faults import fault_lines, spelt
from nmcdist.inputs import local_path
from nmcdist.wording import shown
from nmcdist.yaml_text import load_yaml

Kind = Literal["local", "slurm", "pbs", "lsf", "sge", "htcondor", "kubernetes", "scheduler"]
QUEUES = ("slurm", "pbs", "lsf", "sge", "htcondor")

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_ADDRESS = re.compile(
    r"((tcp|tls|wss?|ucxx?)://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(:[0-9]{1,5})?/?"
    r"|inproc://\S+"  # of a scheduler in this process
)
LOOPBACK = "127.0.0.1"
_LONGEST_S = 366 * 86400


def parsed_seconds(text: str) -> int:
    """Return the seconds that "12:00:00", "2-12:00:00" (days first), "90min" or "2d" mean.

    Raises
    ------
    ValueError
        If it is none of these. "12:00" is refused, since queues disagree whether those are hours or minutes.
    """
    clock = re.fullmatch(r"(?:([0-9]{1,9})-)?([0-9]{1,9}):([0-5]?[0-9]):([0-5]?[0-9])", text.strip())
    amount = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(s|min|h|d)", text.strip())
    if clock:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        value = 86400 * days + 3600 * hours + 60 * minutes + seconds
    elif amount:
        value = round(float(amount[1]) * _UNITS[amount[2]])
    else:
        raise ValueError(f"found {shown(text)}, expected a time as 12:00:00, 2-12:00:00, 90min or 2d")
    if not 0 < value <= _LONGEST_S:
        raise ValueError(f"found {text!r}, expected a time of at most a year, and not none")
    return value


def _bytes(value: Any) -> Any:
    return parsed_bytes(value) if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        return parsed_seconds(value)
    raise ValueError(f"found {value!r}, expected a time with its unit, as 12:00:00, 90min or 2d")


def _lines(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _path(value: Any) -> Any:
    if isinstance(value, str | Path) and str(value):
        return Path(_local(str(value)))
    raise ValueError(f"found {value!r}, expected a path")


def _local(text: str) -> str:
    try:
        local_path(text)
    except InputError as error:
        raise ValueError(f"found {error}") from None
    return text


def _dask_address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"found {shown(text)}, expected an address of Dask as tcp://host:8786 or tls://host:8786")
    return text


Bytes = Annotated[int, BeforeValidator(_bytes), Field(gt=0)]
Seconds = Annotated[int, BeforeValidator(_seconds)]
Line = Annotated[str, spelt(r"[^\r\n]+", "one line of text")]
Lines = Annotated[tuple[Line, ...], BeforeValidator(_lines)]
Word = Annotated[str, spelt(r"\S+", "one word without blanks")]
Host = Annotated[str, spelt("[A-Za-z0-9_.-]+", "the name of a host: letters, digits, dots, hyphens and underscores")]
AnyPath = Annotated[Path, BeforeValidator(_path)]

_EVERY_KIND = {"kind", "workers", "threads_per_worker", "memory_per_worker", "dashboard"}
_OWN = _EVERY_KIND | {"dashboard_host"}
_JOBS = _OWN | {
    "walltime", "project", "interface", "python", "prologue", "directives", "log_folder", "local_folder",
    "gpus_per_worker", "patience",
}  # fmt: skip
_TAKES: dict[str, set[str]] = {
    "local": _OWN,
    "slurm": _JOBS | {"queue"},
    "pbs": _JOBS | {"queue"},
    "lsf": _JOBS | {"queue"},
    "sge": _JOBS | {"queue", "parallel_environment"},
    "htcondor": _JOBS,
    "kubernetes": _EVERY_KIND
    | {"gpus_per_worker", "image", "namespace", "volume_claim", "mount_folder", "patience"},
    "scheduler": _EVERY_KIND | {"address", "scheduler_file", "patience"},
}  # fmt: skip
_NEEDS: dict[str, tuple[str, ...]] = {
    "local": (),
    **dict.fromkeys(QUEUES, ("workers", "memory_per_worker", "walltime")),
    "kubernetes": ("workers", "memory_per_worker", "image", "volume_claim", "mount_folder"),
    "scheduler": ("workers", "memory_per_worker"),
}


class Deployment(BaseModel):
    """A deployment file: where the workers are, how many, and how large each is.

    On this machine, what is left out is chosen to fit the run. A field that a kind does not take is refused.

    Attributes
    ----------
    kind : str
        "local"; a queue ("slurm", "pbs", "lsf", "sge", "htcondor"); "kubernetes"; or "scheduler", one that runs.
    workers : int
        Worker processes: one a job, one a pod. On this machine 0 computes in the calling process, without Dask.
    threads_per_worker : int
        Threads of the kernels of one task, and cores of a job. A worker has one task at a time.
    memory_per_worker : int or str
        Limit of one worker, and what its job asks for, as 8GiB.
    dashboard : bool
        Whether Dask serves its dashboard, which whoever reaches it can read.
    dashboard_host : str
        Address of this host on which it is served: by default only this host reaches it; 0.0.0.0 opens it to all.
    walltime : str
        Of a job, as 12:00:00 or 2d; its worker leaves a little earlier.
    queue, project : str
        Which queue or partition, and which account is charged.
    interface : str
        Network interface by which jobs reach the driver, as ib0.
    python : str
        Interpreter on the nodes; default: this one.
    prologue : list of str
        Shell lines before the worker starts, as `module load` ones.
    directives : list of str
        More options for the queue, without its prefix: "--constraint=haswell"; of HTCondor "name = value".
    log_folder : str
        Where jobs leave their logs; seen by driver and nodes.
    local_folder : str
        Scratch folder on the node.
    gpus_per_worker : int
        Asked of the queue, and a Dask resource named GPU of each worker.
    parallel_environment : str
        Of Grid Engine, for workers with several threads.
    image, namespace, volume_claim, mount_folder : str
        Of Kubernetes: what the pods run, and the claim of the volume that holds the stores, mounted where the
        driver has it too.
    address, scheduler_file : str
        Of a running scheduler: one of the two.
    patience : str
        How long to go without any worker before giving up, as 2h; jobs may wait in the queue.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Kind = "local"
    workers: Annotated[int, Field(ge=0, le=100_000)] | None = None
    threads_per_worker: Annotated[int, Field(ge=1, le=1024)] | None = None
    memory_per_worker: Bytes | None = None
    dashboard: bool = True
    dashboard_host: Host = LOOPBACK
    walltime: Seconds | None = None
    queue: Word | None = None
    project: Word | None = None
    interface: Word | None = None
    python: Word | None = None
    prologue: Lines = ()
    directives: Lines = ()
    log_folder: AnyPath = Path("nmcdist-logs")
    local_folder: Annotated[Word, AfterValidator(_local)] | None = None
    gpus_per_worker: Annotated[int, Field(ge=0, le=64)] = 0
    parallel_environment: Word | None = None
    image: Word | None = None
    namespace: Word | None = None
    volume_claim: Word | None = None
    mount_folder: AnyPath | None = None
    address: Annotated[Word, AfterValidator(_dask_address)] | None = None
    scheduler_file: AnyPath | None = None
    patience: Seconds = 3600

    @model_validator(mode="after")
    def _suits_its_kind(self) -> "Deployment":
        faults = [*self._unfit(), *self._impossible()]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _unfit(self) -> list[str]:
        """Return a line for each field that the kind does not take or needs."""
        takes, needs = _TAKES[self.kind], _NEEDS[self.kind]
        given = [name for name in type(self).model_fields if name in self.model_fields_set]
        strange = [name for name in given if name not in takes and getattr(self, name) is not None]
        others = {name: ", ".join(kind for kind in _TAKES if name in _TAKES[kind]) for name in strange}
        return [f"{name}: not taken by kind {self.kind}, only by {others[name]}" for name in strange] + [
            f"{name}: missing, needed by kind {self.kind}" for name in needs if getattr(self, name) is None
        ]

    def _impossible(self) -> list[str]:
        faults = []
        if self.kind != "local" and self.workers == 0:
            faults.append(f"workers: found 0, expected at least 1 for kind {self.kind}")
        if self.kind == "scheduler" and (self.address is None) == (self.scheduler_file is None):
            found = "neither" if self.address is None else "both"
            faults.append(f"address: found {found} of address and scheduler_file, expected one")
        if self.walltime is not None and self.walltime < SHORTEST_WALLTIME_S:
            faults.append(f"walltime: found {self.walltime} s, expected at least {SHORTEST_WALLTIME_S} s")
        if self.kind == "sge" and (self.threads_per_worker or 1) > 1 and self.parallel_environment is None:
            faults.append("parallel_environment: missing, needed by kind sge for several threads (see `qconf -spl`)")
        if self.kind == "htcondor":
            faults += [f"directives: found {d!r}, expected 'name = value'" for d in self.directives if "=" not in d]
        if self.mount_folder is not None and not self.mount_folder.is_absolute():
            faults.append(f"mount_folder: found '{self.mount_folder}', expected an absolute path")
        return faults


SHORTEST_WALLTIME_S = 120


def load_deployment(path: str | Path | None = None, **overrides: Any) -> Deployment:
    """Read a deployment file, and let what is given on the command line take precedence.

    Raises
    ------
    RecipeError
        With one line for every fault in the file or in the overrides.
    """
    content: dict[str, Any] = {}
    if path is not None:
        content = load_yaml(path, RecipeError)
        if "kind" not in content:
            raise RecipeError(f"{path}: kind: missing, expected one of {', '.join(get_args(Kind))}")
    content = {**content, **{name: value for name, value in overrides.items() if value is not None}}
    try:
        return Deployment.model_validate(content)
    except ValidationError as error:
        raise RecipeError("\n".join(fault_lines(error, str(path or "cluster"), Deployment))) from None
