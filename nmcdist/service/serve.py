"""Run the service until it is interrupted."""

import errno
import logging
import os
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from nmcdist.errors import InputError
from nmcdist.service.app import build_app
from nmcdist.service.connection import connection_of
from nmcdist.service.hosts import check_host_names
from nmcdist.service.renders.studio import cache_trouble
from nmcdist.service.settings import Settings
from nmcdist.service.shelf import Shelf, open_shelf
from nmcdist.service.virtual import VirtualSource

_CLOSING_S = 5  # for what is on its way when the service stops


def serve(catalog: str | os.PathLike[str], settings: Settings, note: Callable[[str], None]) -> None:
    """Serve the releases of a catalog over HTTP.

    Parameters
    ----------
    catalog : str or Path
        A folder of releases, or its ``catalog.yaml``.
    settings : Settings
    note : callable
        Takes a line for each cache that is of no use, and the line with the address, once the service listens.

    Raises
    ------
    CatalogError, StoreError
        If the catalog, or a release in it, is not as expected.
    InputError
        If an address or name is impossible, or the service cannot listen on the address.
    """
    check_host_names(settings.host, settings.allowed_hosts)
    shelf = open_shelf(catalog, settings)
    with _listener(settings) as listener:
        for line in _cache_troubles(shelf, settings):
            note(line)
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what clients send is no warning
        server = uvicorn.Server(_configured(build_app(shelf, settings), settings))
        note(f"serving {len(list(shelf.items_in_order()))} releases at {_address(listener)}")
        server.run(sockets=[listener])


def _configured(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=connection_of(settings.patience_s),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=settings.connections,
        timeout_keep_alive=max(1, round(settings.patience_s / 2)),
        timeout_graceful_shutdown=_CLOSING_S,
        h11_max_incomplete_event_size=settings.header_bytes,
    )


def _cache_troubles(shelf: Shelf, settings: Settings) -> list[str]:
    """Return why computed chunks and pictures are not kept, each reason once."""
    sources = (item.source for item in shelf.items_in_order())
    troubles = [source.cache_trouble() for source in sources if isinstance(source, VirtualSource)]
    return list(dict.fromkeys(filter(None, [*troubles, cache_trouble(settings)])))


def _listener(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except (OSError, OverflowError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise InputError(f"port {settings.port}: in use by another program") from None
        what = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise InputError(f"{settings.host}, port {settings.port}: cannot listen there ({what})") from None


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
