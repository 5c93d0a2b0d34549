"""LSF."""

import os
import re
from pathlib import Path
from typing import Any

from nmcdist.clusters.fields import DeploymentFields
from nmcdist.clusters.queue import Queue
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.start import NAME


class Lsf(Queue):
    """Jobs of LSF, which expects memory in the units of its site."""

    kind = "lsf"

    def plain_job(self) -> type:
        """Return dask-jobqueue's class."""
        from dask_jobqueue.lsf import LSFJob

        return LSFJob

    def requests(self, deployment: DeploymentFields, resources: Resources) -> dict[str, Any]:
        """Return the options of bsub."""
        minutes = -(-(deployment.walltime or 0) // 60)
        gpus = [f'-gpu "num={deployment.gpus_per_worker}"'] if deployment.gpus_per_worker else []
        logs = f"-o {self.log_folder(deployment)}/{NAME}-%J.log"
        return {
            "queue": deployment.queue,
            "project": deployment.project,
            "use_stdin": True,  # else #BSUB lines are ignored
            "ncpus": resources.threads,
            **_memory(resources),
            "walltime": f"{minutes // 60:02}:{minutes % 60:02}",
            "job_extra_directives": [logs, *gpus, *deployment.directives],
        }


CLUSTER = Lsf()


def _memory(resources: Resources) -> dict[str, Any]:
    """Return the bytes that dask-jobqueue, which divides by 1000, writes as the right number of LSF units of 1024."""
    unit = _unit()
    power = 1 + "kmgtpe".index(unit)
    return {"mem": -(-resources.memory // 1024**power) * 1000**power, "lsf_units": unit}


def _unit() -> str:
    """Return the unit of limits at this site's LSF: k, m or g; by its manual k if none is set."""
    folder = os.environ.get("LSF_ENVDIR") or os.environ.get("LSF_CONFDIR") or "/etc"
    try:
        text = Path(folder, "lsf.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "k"
    found = re.findall(r"^\s*LSF_UNIT_FOR_LIMITS\s*=\s*\"?([KMGTPE])", text, re.MULTILINE | re.IGNORECASE)
    return str(found[-1]).lower() if found else "k"
