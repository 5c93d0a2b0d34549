"""Where a run is computed: the deployment file, and what it comes to on this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from nmcdist.datasets.files import parsed_bytes
from nmcdist.errors import RecipeError
from nmcdist.runs.recipe import fault_lines


def _bytes(value: Any) -> Any:
    return parsed_bytes(value) if isinstance(value, str) else value


Bytes = Annotated[int, BeforeValidator(_bytes), Field(gt=0)]


class Deployment(BaseModel):
    """A deployment file: a Dask cluster on this machine; what is left out is chosen to fit the run.

    Attributes
    ----------
    kind : "local"
    workers : int, optional
        Worker processes; 0 computes in the calling process, without Dask.
    threads_per_worker : int, optional
        Threads of the kernels of one task. A worker has one task at a time.
    memory_per_worker : int or str, optional
        Limit of one worker, as 8GiB.
    dashboard : bool
        Whether Dask serves its dashboard.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["local"] = "local"
    workers: Annotated[int, Field(ge=0, le=1024)] | None = None
    threads_per_worker: Annotated[int, Field(ge=1, le=1024)] | None = None
    memory_per_worker: Bytes | None = None
    dashboard: bool = True


@dataclass(frozen=True)
class Resources:
    """What a run has: worker processes, threads of one task, bytes of memory of one worker, and its walltime."""

    workers: int
    threads: int
    memory: int
    walltime_s: float | None = None

    @property
    def processes(self) -> int:
        """Processes that hold a task: without workers, this one."""
        return max(1, self.workers)


@dataclass(frozen=True)
class Machine:
    """Cores and bytes of memory of this machine, as far as this process may use them."""

    cores: int
    memory: int


def load_deployment(path: str | Path | None = None, **overrides: Any) -> Deployment:
    """Read a deployment file, and let what is given on the command line take precedence.

    Raises
    ------
    RecipeError
        With one line for every fault in the file or in the overrides.
    """
    content: Any = {}
    if path is not None:
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"{path}: cannot be read ({error.strerror})") from None
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise RecipeError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
        if not isinstance(content, dict):
            raise RecipeError(f"{path}: found {type(content).__name__}, expected a mapping of fields")
        if "kind" not in content:
            raise RecipeError(f"{path}: kind: missing, expected 'local'")
    content = {**content, **{name: value for name, value in overrides.items() if value is not None}}
    try:
        return Deployment.model_validate(content)
    except ValidationError as error:
        raise RecipeError("\n".join(fault_lines(error, str(path or "cluster")))) from None


def this_machine() -> Machine:
    """Return the cores and the memory that the system's limits leave to this process."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return Machine(int(CPU_COUNT), int(MEMORY_LIMIT))


def resources_for(deployment: Deployment, machine: Machine, tasks: int, need: Callable[[int], float]) -> Resources:
    """Choose what the deployment leaves open: as many workers as have work and whose tasks fit in memory.

    Parameters
    ----------
    deployment : Deployment
    machine : Machine
    tasks : int
        Number of tasks if every volume is made whole.
    need : callable
        Bytes that a worker must have for such a task, given its threads.
    """
    cores, total = machine.cores, machine.memory
    workers, threads, memory = (
        deployment.workers, deployment.threads_per_worker, deployment.memory_per_worker
    )  # fmt: skip
    if workers is None:
        most = max(1, min(tasks, cores // (threads or 1), total // (memory or 1)))
        fitting = (
            n for n in range(most, 0, -1) if need(threads or cores // n) <= (memory or total // n)
        )  # fmt: skip
        workers = next(fitting, 1)
    processes = max(1, workers)
    return Resources(workers, threads or max(1, cores // processes), memory or total // processes)
