"""Kinds of clusters, and the registry in which a deployment finds its own by name.

A kind of one's own is a module that calls :func:`register`. It is found as an entry point of the group
``nmcdist.clusters``, or by its name in the environment variable ``NMCDIST_CLUSTERS`` (several: with commas between).
"""

from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from nmcdist.errors import InputError
from nmcdist.plugins import import_plugins

if TYPE_CHECKING:
    from nmcdist.clusters.deployment import Deployment
    from nmcdist.clusters.resources import Resources
    from nmcdist.clusters.start import Start

CLUSTERS_VARIABLE = "NMCDIST_CLUSTERS"
ENTRY_POINTS = "nmcdist.clusters"
# Each names a module of this package, which holds its kind as CLUSTER and is imported when a deployment names it.
_BUILT_IN = ("local", "slurm", "pbs", "lsf", "sge", "htcondor", "kubernetes", "scheduler")
_registered: dict[str, "Cluster"] = {}


class Cluster(ABC):
    """A kind of cluster: what its deployment files say, and how its workers are checked, started and waited for.

    Attributes
    ----------
    kind : str
        Name in deployment files.
    takes : frozenset of str
        Fields of a deployment that this kind uses; others are refused.
    needs : tuple of str
        Fields that a deployment of this kind must have.
    on_this_machine : bool
        Whether the workers share this machine, so that what a deployment leaves open is chosen to fit it.
    outlives_the_run : bool
        Whether the workers go on after the run, and so have to let go of it.
    """

    kind: ClassVar[str]
    takes: ClassVar[frozenset[str]] = frozenset(
        {"kind", "workers", "threads_per_worker", "memory_per_worker", "dashboard"}
    )
    needs: ClassVar[tuple[str, ...]] = ("workers", "memory_per_worker")
    on_this_machine: ClassVar[bool] = False
    outlives_the_run: ClassVar[bool] = False

    def faults(self, deployment: "Deployment") -> list[str]:
        """Return one line for each value that no cluster of this kind can have, as "field: found ..., expected ..."."""
        if deployment.workers == 0 and not self.on_this_machine:
            return [f"workers: found 0, expected at least 1 for kind {self.kind}"]
        return []

    def script(self, deployment: "Deployment", resources: "Resources") -> str:
        """Return what is submitted for one worker, or for all of them; empty where nothing is.

        Raises
        ------
        MissingPackageError
            If the package that submits it is not installed.
        PlanError
            If the deployment cannot be submitted.
        """
        return ""

    def preflight(self, deployment: "Deployment", resources: "Resources") -> None:  # noqa: B027  (may do nothing)
        """Ask the cluster whether it would take the workers; nothing is submitted, and every question has a time-out.

        Raises
        ------
        PlanError
            With what to change in the deployment.
        """

    @abstractmethod
    def start(self, deployment: "Deployment", resources: "Resources", start: "Start") -> Any:
        """Start or reach the workers, and wait for them.

        Parameters
        ----------
        deployment : Deployment
        resources : Resources
        start : Start
            Takes what has to be closed at the end, and what has to be said meanwhile.

        Returns
        -------
        distributed.Client
            With all workers of this machine; elsewhere with at least one.

        Raises
        ------
        StoreError
            If no worker comes in time.
        """

    def settings(self) -> dict[str, Any]:
        """Return Dask's settings in the driver that only this kind needs."""
        return {}

    def patience_s(self, deployment: "Deployment") -> float:
        """Return how long a run goes on without any worker."""
        return float(deployment.patience)

    def state(self, client: Any) -> str:
        """Return what the cluster says of workers that are missing, as "2 PENDING (Resources)"; empty if nothing."""
        return ""


def register(cluster: Cluster) -> None:
    """Add a kind of cluster, so that deployments can name it; an earlier one of its name is replaced.

    Raises
    ------
    InputError
        If a built-in kind has its name.
    """
    if cluster.kind in _BUILT_IN:
        raise InputError(f"kind: {cluster.kind} is built in, expected another name")
    _registered[cluster.kind] = cluster


def kinds() -> tuple[str, ...]:
    """Return the names of all kinds: built-in ones, then those that modules of the user's have registered.

    Raises
    ------
    InputError
        If such a module cannot be imported.
    """
    import_plugins(ENTRY_POINTS, CLUSTERS_VARIABLE)
    return (*_BUILT_IN, *_registered)


def cluster_named(kind: str) -> Cluster:
    """Return the kind of cluster that has this name.

    Raises
    ------
    KeyError
        If none has.
    """
    if kind in _BUILT_IN:
        built_in: Cluster = import_module(f"{__package__}.{kind}").CLUSTER
        return built_in
    return _registered[kind]


def cluster_of(deployment: "Deployment") -> Cluster:
    """Return the kind of cluster that a deployment names."""
    return cluster_named(deployment.kind)
