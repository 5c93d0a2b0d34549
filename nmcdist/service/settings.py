"""The settings of the service, with its limits."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JobSettings:
    """The queue of recipes, and what it grants one job.

    Attributes
    ----------
    folder : Path
        Folder of the queue: tokens, registered bundles, jobs and their stores.
    cluster : Path, optional
        Deployment file of every job; None for workers on this machine.
    at_once : int
        Jobs that run at the same time.
    waiting : int
        Jobs that wait; further ones get 429.
    job_bytes : int
        Largest store of a job, as planned.
    total_bytes : int
        Largest size of the stores of all jobs together; further jobs get 507.
    core_hours : float
        Most core hours of a job: estimated before it is queued, and counted while it runs.
    body_bytes : int
        Longest recipe.
    streams : int
        Streams of events that are open at the same time; further ones get 503.
    cluster_idle_s : float
        How long the cluster of `cluster` stays open without any job.
    licence : str, optional
        SPDX id of the licence of all results; None if it is not stated.
    """

    folder: Path
    cluster: Path | None = None
    at_once: int = 1
    waiting: int = 100
    job_bytes: int = 100 << 30
    total_bytes: int = 1 << 40
    core_hours: float = 100.0
    body_bytes: int = 64 << 10
    streams: int = 100
    cluster_idle_s: float = 600.0
    licence: str | None = None


@dataclass(frozen=True)
class Settings:
    """Where the service listens, and what it grants one client.

    Attributes
    ----------
    host, port : str, int
        Address to listen on; port 0 takes any free one.
    allowed_hosts : tuple of str
        Names by which clients may address the service, beside IP addresses, ``localhost`` and `host`.
    cache : Path, optional
        Folder for computed chunks; None for the default.
    cache_bytes : int
        Largest size of that folder.
    makers : int
        Computed chunks that are made at the same time.
    connections : int
        Open connections; further ones get 503.
    deadline_s : float
        Longest time until a response starts; then 503.
    patience_s : float
        Longest time for a client to send a request's headers, and to take the next part of a response.
    header_bytes : int
        Longest request line and headers together.
    query_bytes : int
        Longest query string.
    renderers : int
        Processes that draw pictures, bricks and files of items.
    render_bytes : int
        Largest size of the pictures and bricks that are kept, in a folder of the cache.
    export_bytes : int
        Largest size of the files of items that are kept, in another folder of the cache.
    export_age_s : float
        Longest time since its last use for which such a file is kept.
    export_s : float
        Longest time in which a file of an item, or of several, is made.
    jobs : JobSettings, optional
        The queue of recipes; None for a service that only reads.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    allowed_hosts: tuple[str, ...] = ()
    cache: Path | None = None
    cache_bytes: int = 4 << 30
    makers: int = 2
    connections: int = 500
    deadline_s: float = 60.0
    patience_s: float = 30.0
    header_bytes: int = 32 << 10
    query_bytes: int = 8 << 10
    renderers: int = 2
    render_bytes: int = 1 << 30
    export_bytes: int = 4 << 30
    export_age_s: float = 86_400.0
    export_s: float = 600.0
    jobs: JobSettings | None = None
