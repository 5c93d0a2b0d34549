"""The fields of a deployment, the same for every kind of cluster."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from nmcdist.datasets.files import parsed_bytes
from nmcdist.errors import InputError
from nmcdist.faults import spelt
from nmcdist.inputs import local_path
from nmcdist.wording import shown

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_ADDRESS = re.compile(
    r"((tcp|tls|wss?|ucxx?)://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(:[0-9]{1,5})?/?"
    r"|inproc://\S+"  # a scheduler in this process
)
LOOPBACK = "127.0.0.1"
_LONGEST_S = 366 * 86400


def parsed_seconds(text: str) -> int:
    """Return the seconds in "12:00:00", "2-12:00:00" (days first), "90min" or "2d".

    Raises
    ------
    ValueError
        If the text has another form. "12:00" is refused, since queues disagree whether it means hours or minutes.
    """
    clock = re.fullmatch(r"(?:([0-9]{1,9})-)?([0-9]{1,9}):([0-5]?[0-9]):([0-5]?[0-9])", text.strip())
    amount = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(s|min|h|d)", text.strip())
    if clock:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        value = 86400 * days + 3600 * hours + 60 * minutes + seconds
    elif amount:
        value = round(float(amount[1]) * _UNITS[amount[2]])
    else:
        raise ValueError(f"found {shown(text)}, expected a time such as 12:00:00, 2-12:00:00, 90min or 2d")
    if not 0 < value <= _LONGEST_S:
        raise ValueError(f"found {text!r}, expected a time above zero, of at most a year")
    return value


def clock(seconds: int) -> str:
    """Return seconds as HH:MM:SS; the hours can exceed 24."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _bytes(value: Any) -> Any:
    return parsed_bytes(value) if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        return parsed_seconds(value)
    raise ValueError(f"found {value!r}, expected a time with its unit, such as 12:00:00, 90min or 2d")


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
        raise ValueError(f"found {shown(text)}, expected a Dask address such as tcp://host:8786 or tls://host:8786")
    return text


Bytes = Annotated[int, BeforeValidator(_bytes, json_schema_input_type=int | str), Field(gt=0)]
Seconds = Annotated[int, BeforeValidator(_seconds, json_schema_input_type=str)]
Line = Annotated[str, spelt(r"[^\r\n]+", "one line of text")]
Lines = Annotated[tuple[Line, ...], BeforeValidator(_lines)]
Word = Annotated[str, spelt(r"\S+", "one word without blanks")]
Host = Annotated[str, spelt("[A-Za-z0-9_.-]+", "a host name: letters, digits, dots, hyphens and underscores")]
AnyPath = Annotated[Path, BeforeValidator(_path, json_schema_input_type=str)]


class DeploymentFields(BaseModel):
    """Where the workers are, how many, and how large each is.

    The descriptions of the fields are the reference of deployment keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: str = Field(
        default="local",
        description="Kind of cluster: `local`, which is this machine; a queue: `slurm`, `pbs`, `lsf`, `sge`, "
        "`htcondor`; `kubernetes`; `scheduler`, for a Dask scheduler that is already running; or a kind of your own.",
    )
    workers: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        default=None,
        description="Number of worker processes, with one job or pod each. On this machine, 0 computes in the calling "
        "process, without Dask.",
    )
    threads_per_worker: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description="Kernel threads per task, and cores per job. A worker runs one task at a time.",
    )
    memory_per_worker: Bytes | None = Field(
        default=None,
        description="Memory limit per worker, which its job requests: bytes, or text, for example `8GiB`.",
    )
    dashboard: bool = Field(
        default=True, description="Whether Dask serves its dashboard. Everyone who can reach it can read it."
    )
    dashboard_host: Host = Field(
        default=LOOPBACK,
        description="Address of this host on which the dashboard is served. By default only this host can reach it; "
        "`0.0.0.0` opens it to the network.",
    )
    walltime: Seconds | None = Field(
        default=None,
        description="Time limit of a job, for example `12:00:00` or `2d`. Its worker leaves a little earlier.",
    )
    queue: Word | None = Field(default=None, description="Queue or partition of the jobs.")
    project: Word | None = Field(default=None, description="Account that is charged.")
    interface: Word | None = Field(
        default=None, description="Network interface through which jobs reach the driver, for example `ib0`."
    )
    python: Word | None = Field(
        default=None, description="Python interpreter on the nodes. Default: the one that runs nmcdist here."
    )
    prologue: Lines = Field(
        default=(), description="Shell commands to run before the worker starts, for example `module load gcc`."
    )
    directives: Lines = Field(
        default=(),
        description='Further options for the queue, without its prefix, for example `"--constraint=haswell"`; for '
        'HTCondor `"name = value"`.',
    )
    log_folder: AnyPath = Field(
        default=Path("nmcdist-logs"),
        description="Folder for the logs of jobs, on a file system that driver and nodes share.",
    )
    local_folder: Annotated[Word, AfterValidator(_local)] | None = Field(
        default=None, description="Scratch folder on the node."
    )
    gpus_per_worker: Annotated[int, Field(ge=0, le=64)] = Field(
        default=0, description="GPUs that each job requests, and the Dask resource GPU of each worker."
    )
    parallel_environment: Word | None = Field(
        default=None,
        description="Parallel environment of Grid Engine that gives a worker the slots for several threads.",
    )
    image: Word | None = Field(default=None, description="Image of the pods, with the same nmcdist as the driver.")
    namespace: Word | None = Field(default=None, description="Namespace of the pods.")
    volume_claim: Word | None = Field(default=None, description="Claim of the volume that holds the stores.")
    mount_folder: AnyPath | None = Field(
        default=None, description="Where that volume is mounted, under the same path as for the driver."
    )
    address: Annotated[Word, AfterValidator(_dask_address)] | None = Field(
        default=None, description="Address of a running scheduler, for example `tls://host:8786`; or `scheduler_file`."
    )
    scheduler_file: AnyPath | None = Field(
        default=None, description="File that `dask scheduler --scheduler-file` wrote; or `address`."
    )
    patience: Seconds = Field(
        default=3600,
        description="How long to go on without any worker before giving up, for example `2h`; jobs may wait in the "
        "queue.",
    )
