"""The command that serves releases over HTTP."""

from pathlib import Path
from typing import Any

import click

from nmcdist.cli.options import PATH, Real, Whole, note


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
@click.option(
    "--renderers",
    type=Whole(1, 64),
    default=2,
    show_default=True,
    help="Processes that draw pictures, bricks and files of items.",
)
@click.option(
    "--render-cache-limit",
    default="1GiB",
    show_default=True,
    metavar="SIZE",
    help="Largest size of the pictures and bricks that are kept.",
)
@click.option(
    "--export-cache-limit", default="4GiB", show_default=True, metavar="SIZE",
    help="Largest size of the files of items that are kept.",
)  # fmt: skip
@click.option(
    "--jobs", type=PATH, metavar="DIR", help="Take recipes and run them in DIR, for holders of a token (nmcdist token)."
)
@click.option("--cluster", type=PATH, help="Deployment file of all jobs. Default: workers on this machine.")
@click.option(
    "--cluster-idle", default="10min", show_default=True, metavar="TIME",
    help="How long the cluster of all jobs stays open without any job.",
)  # fmt: skip
@click.option("--jobs-at-once", type=Whole(1, 256), default=1, show_default=True, help="Jobs that run at once.")
@click.option("--jobs-waiting", type=Whole(1, 10**6), default=100, show_default=True, help="Most jobs that wait.")
@click.option("--job-size", default="100GiB", show_default=True, metavar="SIZE", help="Largest store of a job.")
@click.option(
    "--jobs-size", default="1TiB", show_default=True, metavar="SIZE", help="Largest size of the stores of all jobs."
)
@click.option("--job-core-hours", type=Real(0.001), default=100.0, show_default=True, help="Most core hours of a job.")
@click.option("--jobs-licence", metavar="SPDX", help="Licence of all results, as CC-BY-4.0. Default: it is not stated.")
def serve(
    catalog: Path, host: str, port: int, allowed_hosts: tuple[str, ...], cache: Path | None, **limits: Any
) -> None:
    """Serve the releases of CATALOG, a folder of releases or its catalog.yaml, over HTTP; read-only without --jobs."""
    from nmcdist.extras import need

    need("serve", "the service")
    from nmcdist.service.serve import serve
    from nmcdist.service.settings import JobSettings, Settings

    cache_bytes, job_bytes = _size("cache-limit", limits), _size("job-size", limits)
    folder, cluster = limits["jobs"], limits["cluster"]
    if cluster is not None and folder is None:
        raise click.BadParameter("is for jobs, expected --jobs DIR beside it", param_hint="'--cluster'")
    jobs = None
    if folder is not None:
        jobs = JobSettings(
            folder.resolve(),
            None if cluster is None else cluster.resolve(),
            at_once=limits["jobs_at_once"],
            waiting=limits["jobs_waiting"],
            job_bytes=job_bytes,
            total_bytes=_size("jobs-size", limits),
            core_hours=limits["job_core_hours"],
            cluster_idle_s=_seconds("cluster-idle", limits),
            licence=limits["jobs_licence"],
        )
    settings = Settings(
        host, port, allowed_hosts, cache, cache_bytes, limits["makers"], renderers=limits["renderers"],
        render_bytes=_size("render-cache-limit", limits), export_bytes=_size("export-cache-limit", limits), jobs=jobs,
    )  # fmt: skip
    serve(catalog, settings, note)


def _size(option: str, values: dict[str, Any]) -> int:
    """Return the bytes that an option gives as text."""
    from nmcdist.datasets.files import parsed_bytes

    try:
        return parsed_bytes(values[option.replace("-", "_")])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=f"'--{option}'") from None


def _seconds(option: str, values: dict[str, Any]) -> float:
    """Return the seconds that an option gives as text."""
    from nmcdist.clusters.fields import parsed_seconds

    try:
        return float(parsed_seconds(values[option.replace("-", "_")]))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=f"'--{option}'") from None


@click.command()
@click.argument("folder", metavar="DIR", type=PATH)
@click.argument("name")
def token(folder: Path, name: str) -> None:
    """Print a new token of NAME for the jobs of `nmcdist serve --jobs DIR`; it is shown only this once."""
    from nmcdist.service.jobs.tokens import make_token

    click.echo(make_token(folder, name))
