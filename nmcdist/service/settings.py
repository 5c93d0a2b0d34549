"""The settings of the service, with its limits."""

from dataclasses import dataclass
from pathlib import Path


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
