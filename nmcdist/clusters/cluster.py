"""Kinds of clusters, and the registry in which a deployment finds its kind by name.

To add a kind, write a module that calls :func:`register`, and name it in an entry point of the group
``nmcdist.clusters`` or in the environment variable ``NMCDIST_CLUSTERS`` (several: separated by commas).
"""

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, ClassVar

from nmcdist.clusters.fields import DeploymentFields
from nmcdist.clusters.resources import Resources
from nmcdist.clusters.start import Start
from nmcdist.errors import InputError
from nmcdist.plugins import import_plugins

CLUSTERS_VARIABLE = "NMCDIST_CLUSTERS"
ENTRY_POINTS = "nmcdist.clusters"
# Each is a module of this package that defines CLUSTER; it is imported when a deployment names it.
_BUILT_IN = ("local", "slurm", "pbs", "lsf", "sge", "htcondor", "kubernetes", "scheduler")
_registered: dict[str, "Cluster"] = {}


class Cluster(ABC):
    """A kind of cluster: the fields of its deployment files, and how its workers are checked, started and awaited.

    Attributes
    ----------
    kind : str
        Name in deployment files.
    takes : frozenset of str
        Deployment fields that this kind accepts; others are refused.
    needs : tuple of str
        Deployment fields that this kind requires.
    on_this_machine : bool
        Whether the workers run on this machine, so that fields left out are chosen to fit it.
    outlives_the_run : bool
        Whether the workers outlive the run, and so must release its data.
    """

    kind: ClassVar[str]
    takes: ClassVar[frozenset[str]] = frozenset(
        {"kind", "workers", "threads_per_worker", "memory_per_worker", "dashboard"}
    )
    needs: ClassVar[tuple[str, ...]] = ("workers", "memory_per_worker")
    on_this_machine: ClassVar[bool] = False
    outlives_the_run: ClassVar[bool] = False

    def faults(self, deployment: DeploymentFields) -> list[str]:
        """Return one line for each impossible value, in the form "field: found ..., expected ..."."""
        if deployment.workers == 0 and not self.on_this_machine:
            return [f"workers: found 0, expected at least 1 for kind {self.kind}"]
        return []

    def script(self, deployment: DeploymentFields, resources: Resources) -> str:
        """Return the script that is submitted for one worker, or for all of them; empty if none is.

        Raises
        ------
        MissingPackageError
            If the package that submits jobs is not installed.
        PlanError
            If the deployment cannot be submitted.
        """
        return ""

    def preflight(self, deployment: DeploymentFields, resources: Resources) -> None:  # noqa: B027  (may do nothing)
        """Ask the cluster whether it would accept the workers; nothing is submitted, and every query has a time-out.

        Raises
        ------
        PlanError
            The message names the field of the deployment to change.
        """

    @abstractmethod
    def start(self, deployment: DeploymentFields, resources: Resources, start: Start) -> Any:
        """Start the workers or connect to them, and wait for them.

        Parameters
        ----------
        deployment : DeploymentFields
        resources : Resources
        start : Start
            Receives the resources to close at the end, and the messages meanwhile.

        Returns
        -------
        distributed.Client
            Connected to all workers on this machine; elsewhere to at least one.

        Raises
        ------
        StoreError
            If no worker connects in time.
        """

    def settings(self) -> dict[str, Any]:
        """Return the Dask settings of the driver that only this kind needs."""
        return {}

    def patience_s(self, deployment: DeploymentFields) -> float:
        """Return how long a run continues without any worker."""
        return float(deployment.patience)

    def state(self, client: Any) -> str:
        """Return the cluster's report on missing workers, for example "2 PENDING (Resources)"; empty if none."""
        return ""


def register(cluster: Cluster) -> None:
    """Add a kind of cluster, so that deployments can name it; an earlier kind of that name is replaced.

    Raises
    ------
    InputError
        If a built-in kind has this name.
    """
    if cluster.kind in _BUILT_IN:
        raise InputError(f"kind: {cluster.kind} is built in, expected another name")
    _registered[cluster.kind] = cluster


def kinds() -> tuple[str, ...]:
    """Return the names of all kinds: the built-in kinds, then those registered by the user's modules.

    Raises
    ------
    InputError
        If a module of the user cannot be imported.
    """
    import_plugins(ENTRY_POINTS, CLUSTERS_VARIABLE)
    return (*_BUILT_IN, *_registered)


def cluster_named(kind: str) -> Cluster:
    """Return the kind of cluster that has this name.

    Raises
    ------
    KeyError
        If no kind has this name.
    """
    if kind in _BUILT_IN:
        built_in: Cluster = import_module(f"{__package__}.{kind}").CLUSTER
        return built_in
    return _registered[kind]


def cluster_of(deployment: DeploymentFields) -> Cluster:
    """Return the kind of cluster that a deployment names."""
    return cluster_named(deployment.kind)
