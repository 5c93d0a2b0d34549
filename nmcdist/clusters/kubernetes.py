"""Kubernetes, through the Dask operator: scheduler and workers are pods, the driver runs where nmcdist is started."""

import asyncio
import json
import uuid
from typing import Any

import yaml

from nmcdist.clusters import ask
from nmcdist.clusters.cluster import Cluster
from nmcdist.clusters.environment import as_environment, memory_settings, thread_variables
from nmcdist.clusters.fields import DeploymentFields
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.start import CANCEL_TIMEOUT_S, DEATH_TIMEOUT_S, NAME, START_TIMEOUT_S, Start
from nmcdist.errors import PlanError, StoreError
from nmcdist.extras import need
from nmcdist.wording import one_line


class Kubernetes(Cluster):
    """Pods started by the Dask operator; stores are on a volume that driver and workers share."""

    kind = "kubernetes"
    takes = Cluster.takes | {"gpus_per_worker", "image", "namespace", "volume_claim", "mount_folder", "patience"}
    needs = ("workers", "memory_per_worker", "image", "volume_claim", "mount_folder")

    def faults(self, deployment: DeploymentFields) -> list[str]:
        """Return also a mount folder that is not absolute."""
        found, folder = super().faults(deployment), deployment.mount_folder
        if folder is not None and not folder.is_absolute():
            found.append(f"mount_folder: found '{folder}', expected an absolute path")
        return found

    def script(self, deployment: DeploymentFields, resources: Resources) -> str:
        """Return the DaskCluster resource for the operator, as YAML."""
        return yaml.safe_dump(_manifest(deployment, resources, NAME), sort_keys=False)

    def preflight(self, deployment: DeploymentFields, resources: Resources) -> None:
        """Check that the cluster can be reached and has the Dask operator."""
        need("kubernetes", "kind: kubernetes")
        import kr8s.asyncio

        async def look() -> None:
            api = await kr8s.asyncio.api(namespace=deployment.namespace)
            await api.version()
            async for found in api.get("customresourcedefinitions", "daskclusters.kubernetes.dask.org"):
                del found

        try:
            asyncio.run(asyncio.wait_for(look(), ask.ANSWER_TIMEOUT_S))
        except TimeoutError:
            raise PlanError(
                f"kubernetes: no answer within {ask.ANSWER_TIMEOUT_S:.0f} s; check `kubectl version`"
            ) from None
        except kr8s.NotFoundError:
            raise PlanError(
                "kubernetes: the Dask operator is not installed in the cluster: "
                "helm install --repo https://helm.dask.org --generate-name dask-kubernetes-operator"
            ) from None
        except Exception as error:  # errors of a Kubernetes client have no common base
            raise PlanError(f"kubernetes: cannot be reached ({one_line(error)}); check `kubectl version`") from None

    def start(self, deployment: DeploymentFields, resources: Resources, start: Start) -> Any:
        """Start the pods and wait for the first worker."""
        manifest = _manifest(deployment, resources, f"{NAME}-{uuid.uuid4().hex[:8]}")
        from dask_kubernetes.operator import KubeCluster

        try:
            cluster = KubeCluster(
                custom_cluster_spec=manifest,
                namespace=deployment.namespace,
                resource_timeout=int(START_TIMEOUT_S),
                shutdown_on_close=True,
                quiet=True,
            )
        except Exception as error:  # errors of a Kubernetes client have no common base
            raise StoreError(f"the Dask scheduler did not start on Kubernetes: {one_line(error)}") from None
        start.stack.callback(cluster.close, timeout=CANCEL_TIMEOUT_S)
        start.warn(
            "the Dask operator uses no TLS: anyone who reaches the pods can run code in them; see docs/security.md"
        )
        client = start.client_of(cluster)
        client.wait_for_workers(1, timeout=deployment.patience)
        return client


CLUSTER = Kubernetes()


def _manifest(deployment: DeploymentFields, resources: Resources, name: str) -> dict[str, Any]:
    """Return the DaskCluster resource that holds the scheduler and all workers.

    Raises
    ------
    MissingPackageError
        If dask-kubernetes is not installed.
    """
    need("kubernetes", "kind: kubernetes")
    from dask_kubernetes.operator.kubecluster.kubecluster import make_scheduler_spec, make_worker_spec

    memory = f"{resources.mebibytes}Mi"
    amounts = {"cpu": str(resources.threads), "memory": memory}
    command = ["dask", "worker", "--nthreads", "1", "--memory-limit", f"{memory}B"]
    command += ["--death-timeout", str(DEATH_TIMEOUT_S)]
    if deployment.gpus_per_worker:
        amounts["nvidia.com/gpu"] = str(deployment.gpus_per_worker)
        command += ["--resources", f"GPU={deployment.gpus_per_worker}"]
    worker = make_worker_spec(
        image=deployment.image,
        n_workers=resources.workers,
        resources={"requests": amounts, "limits": amounts},
        env={**thread_variables(resources.threads), **as_environment(memory_settings())},
        worker_command=command,
    )
    scheduler = make_scheduler_spec(
        cluster_name=name,
        image=deployment.image,
        env=as_environment({"distributed.scheduler.allowed-failures": 0}),
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
    return dict(json.loads(json.dumps(made)))  # YAML would write a list that occurs twice as an anchor
