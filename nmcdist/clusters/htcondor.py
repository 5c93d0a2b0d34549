"""HTCondor."""

from typing import Any

from nmcdist.clusters.fields import DeploymentFields
from nmcdist.clusters.queue import Queue
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.start import NAME

_DISK = "1GiB"  # results go to the store, not through the node's disk


class HTCondor(Queue):
    """Jobs of HTCondor, which has no named queues; its directives have the form "name = value"."""

    kind = "htcondor"
    takes = Queue.takes - {"queue"}
    log_folder_with_blanks = True

    def plain_job(self) -> type:
        """Return dask-jobqueue's class."""
        from dask_jobqueue.htcondor import HTCondorJob

        return HTCondorJob

    def faults(self, deployment: DeploymentFields) -> list[str]:
        """Return also directives without the form "name = value"."""
        strange = [line for line in deployment.directives if "=" not in line]
        return super().faults(deployment) + [f"directives: found {d!r}, expected 'name = value'" for d in strange]

    def requests(self, deployment: DeploymentFields, resources: Resources) -> dict[str, Any]:
        """Return the lines of the submit file."""
        logs = self.log_folder(deployment)
        directives = {
            "MY.DaskWorkerCores": resources.threads,
            "Output": f"{logs}/{NAME}-$(ClusterId).log",
            "Error": f"{logs}/{NAME}-$(ClusterId).log",
            "Log": f"{logs}/{NAME}-$(ClusterId).events",
            "Stream_Output": True,  # jobs are killed at the end, which would lose unstreamed logs
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
        return {"disk": _DISK, "job_extra_directives": directives}


CLUSTER = HTCondor()
