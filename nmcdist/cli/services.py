"""The command that serves releases over HTTP."""

from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import PATH, Whole, note


@click.command()
@click.argument("catalog", type=PATH)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=Whole(0, 65535), default=8080, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--allow-host", "allowed_hosts", multiple=True, metavar="NAME",
    help="Name by which clients may address the service, beside its address; can be repeated.",
)  # fmt: skip
@click.option("--cache", type=PATH, help="Folder for computed chunks. Default: that of the user's caches.")
@click.option("--cache-limit", default="4GiB", show_default=True, metavar="SIZE", help="Largest size of the cache.")
@click.option("--makers", type=Whole(1, 256), default=2, show_default=True, help="Chunks computed at the same time.")
def serve(
    catalog: Path, host: str, port: int, allowed_hosts: tuple[str, ...], cache: Path | None, **limits: Any
) -> None:
    """Serve the releases of CATALOG, a folder of releases or its catalog.yaml, over HTTP; read-only."""
    from nmcdist.datasets.files import parsed_bytes
    from nmcdist.extras import need

    need("serve", "the service")
    try:
        cache_bytes = parsed_bytes(limits["cache_limit"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--cache-limit'") from None
    from nmcdist.service.serve import serve
    from nmcdist.service.settings import Settings

    serve(catalog, Settings(host, port, allowed_hosts, cache, cache_bytes, limits["makers"]), note)
