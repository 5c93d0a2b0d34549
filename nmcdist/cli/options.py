"""Shared by the commands: option types, printing, exit statuses."""

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from nmcdist.errors import InputError
from nmcdist.inputs import local_path
from nmcdist.wording import shortened, shown

REFUSED = 2  # bad input, damaged or unwritable files
ITEMS_FAILED = 1
INTERRUPTED = 130


class LocalPath(click.ParamType):  # type: ignore[type-arg]  # generic in new versions only
    """A path on this machine; URLs are refused."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        return local_path(value)


class _PlainDigits:
    """Accepts ASCII digits only; Python also reads other scripts, and 1_000."""

    read: Callable[[str], float]
    expected: str

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and (not value.isascii() or "_" in value):
            raise click.BadParameter(f"found {shown(value)}, expected a number in digits from 0 to 9", ctx, param)
        try:
            self.read(value)
        except ValueError:
            raise click.BadParameter(f"found {shown(value)}, expected {self.expected}", ctx, param) from None
        return super().convert(value, param, ctx)  # type: ignore[misc]

    def _describe_range(self) -> str:
        bounded = self.min is not None or self.max is not None  # type: ignore[attr-defined]
        return super()._describe_range() if bounded else ""  # type: ignore[misc]


class Whole(_PlainDigits, click.IntRange):
    """A whole number."""

    name = "integer"
    read, expected = int, "a whole number"


class Real(_PlainDigits, click.FloatRange):
    """A finite number."""

    name = "number"
    read, expected = float, "a number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            raise click.BadParameter(f"found {shown(value)}, expected a finite number", ctx, param)
        return found


class Edges(click.ParamType):  # type: ignore[type-arg]  # generic in new versions only
    """The edge of a cubic voxel, or the edges of another along z, y, x with commas between."""

    name = "nm|z,y,x"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | list[float]:
        """Return one number or several."""
        found = [Real().convert(part.strip(), param, ctx) for part in value.split(",")]
        return found[0] if len(found) == 1 else found


def joined_edges(ctx: click.Context, param: click.Parameter, given: Sequence[float | list[float]]) -> Any:
    """Return edges that were given at once, or one by one by repeating the option; None without any."""
    found = [edge for part in given for edge in (part if isinstance(part, list) else [part])]
    return found[0] if len(found) == 1 else found or None


PATH = LocalPath()
EDGES = Edges()


def complain(text: str) -> None:
    """Print why a command was refused, one line per error."""
    with contextlib.suppress(OSError):
        for line in shortened(text).splitlines() or [""]:
            print(f"nmcdist: error: {line}", file=sys.stderr, flush=True)


def note(text: str) -> None:
    """Print a line of progress, if standard error is open."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


_CLUSTER = ("cluster", "workers", "threads", "memory")
_WORTH_IT = 8  # pieces from which workers are started unasked


def refuse_given(names: Iterable[str], use: str, expected: str) -> None:
    """Refuse options of the command line that would do nothing.

    Parameters
    ----------
    names : iterable of str
        Names of the parameters of the running command.
    use : str
        What the options are for.
    expected : str
        What is expected instead.

    Raises
    ------
    InputError
        If one of them was given.
    """
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            option = next(p.opts[0] for p in context.command.params if p.name == name)
            raise InputError(f"{option}: is for {use}, expected {expected}")


def taken_cluster(options: dict[str, Any]) -> dict[str, Any]:
    """Take what :func:`cluster_options` added out of the options of a command."""
    return {name: options.pop(name) for name in _CLUSTER}


@contextlib.contextmanager
def spreading(cluster: dict[str, Any], piece_bytes: int, pieces: int) -> Iterator[Any]:
    """Yield a map like the builtin one, over the workers that the options ask for, or in this process for little work.

    Parameters
    ----------
    cluster : dict
        See :func:`taken_cluster`.
    piece_bytes, pieces : int
        See :func:`nmcdist.execution.spread.spread_on`.
    """
    if pieces < _WORTH_IT and all(value is None for value in cluster.values()):
        yield map
        return
    from nmcdist.execution.spread import spread_on
    from nmcdist.runs.public import deployment_from

    with spread_on(
        deployment_from(**cluster), piece_bytes, pieces, announce=lambda name, text: note(json.dumps({name: text}))
    ) as spread:
        yield spread


def cluster_options(command: Any) -> Any:
    """Add the options that choose where a command computes."""
    for option in (
        click.option("--memory", metavar="SIZE", help="Memory per worker, for example 8GiB."),
        click.option("--threads", type=Whole(), help="Threads per task; a worker runs one task at a time."),
        click.option("--workers", type=Whole(), help="Number of workers; 0 computes in this process, without Dask."),
        click.option("--cluster", type=PATH, help="Deployment file, for example deployments/slurm.yaml."),
    ):
        command = option(command)
    return command
