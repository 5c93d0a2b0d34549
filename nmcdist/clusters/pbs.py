"""PBS: OpenPBS and PBS Pro."""

from typing import Any

from nmcdist.clusters.fields import DeploymentFields, clock
from nmcdist.clusters.queue import Queue
from nmcdist.clusters.resources import Resources


class Pbs(Queue):
    """Jobs of PBS."""

    kind = "pbs"

    def plain_job(self) -> type:
        """Return dask-jobqueue's class."""
        from dask_jobqueue.pbs import PBSJob

        return PBSJob

    def requests(self, deployment: DeploymentFields, resources: Resources) -> dict[str, Any]:
        """Return the options of qsub."""
        gpus = f":ngpus={deployment.gpus_per_worker}" if deployment.gpus_per_worker else ""
        logs = f"-o {self.log_folder(deployment)}/"
        return {
            "queue": deployment.queue,
            "account": deployment.project,
            "resource_spec": f"select=1:ncpus={resources.threads}:mem={resources.mebibytes}mb{gpus}",
            "walltime": clock(deployment.walltime or 0),
            "job_extra_directives": ["-S /bin/bash", "-j oe", logs, *deployment.directives],
        }


CLUSTER = Pbs()
