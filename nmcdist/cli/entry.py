"""The command line: parses, calls and prints. Each command imports the heavy modules that it needs."""

import os
import sys

import click

from nmcdist import __version__
from nmcdist.cli.bundles import bundle
from nmcdist.cli.calibrations import calibrate
from nmcdist.cli.catalogs import catalog
from nmcdist.cli.designs import design
from nmcdist.cli.learning import predict, train
from nmcdist.cli.measurements import measure
from nmcdist.cli.options import INTERRUPTED, REFUSED, complain, note
from nmcdist.cli.phantoms import phantom
from nmcdist.cli.queries import query
from nmcdist.cli.refinements import refine
from nmcdist.cli.releases import pack, publish
from nmcdist.cli.runs import describe, finalise, plan, retry_failed, run, status
from nmcdist.cli.segments import segment
from nmcdist.cli.services import serve, token
from nmcdist.cli.stores import export, report, verify
from nmcdist.errors import NmcdistError
from nmcdist.extras import of_import
from nmcdist.log import LOG_VARIABLE, log_to_stderr


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nmcdist")
@click.option(
    "--verbose",
    "-v",
    count=True,
    help=f"Log each step; -vv also logs Dask. {LOG_VARIABLE}=info or debug does the same.",
)
def cli(verbose: int) -> None:
    """Virtual lithium-ion cathode microstructures, from recipe to published dataset."""
    log_to_stderr(verbose)


for command in (
    run, plan, status, finalise, retry_failed, describe, verify, report, export, measure, publish, pack, query, serve,
    token, catalog, calibrate, phantom, bundle, design, train, predict, refine, segment,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run the command line and exit: 0 done, 1 items failed, 2 refused, 130 interrupted."""
    _open_standard_streams()
    sys.exit(_flushed(_run()))


def _run() -> int:
    """Run the command and return the exit status; errors are printed in one line."""
    try:
        code = cli.main(prog_name="nmcdist", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        note(error.format_message())
        code = REFUSED
    except click.ClickException as error:
        of = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "nmcdist"
        complain(f"{error.format_message().rstrip('.')} (see {of} --help)")
        code = REFUSED
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted")
        code = INTERRUPTED
    except NmcdistError as error:
        complain(str(error))
        code = REFUSED
    except OSError as error:
        name = error.filename or ("standard output" if _was_printing(error) else "")
        complain(f"{name}: {error.strerror}" if name else str(error))
        code = REFUSED
    except SystemExit as ended:  # raised by click: after a completion, or where the reader of its output has gone
        code = REFUSED if ended.code else 0
    except MemoryError:
        complain("out of memory: process fewer or smaller items at a time, or raise the limit (see `ulimit -v`)")
        code = REFUSED
    except ImportError as error:
        if (missing := of_import(error)) is None:
            raise
        complain(str(missing))
        code = REFUSED
    return code if isinstance(code, int) else 0


def _was_printing(error: OSError) -> bool:
    """Return whether an error comes from click's printing."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_code.co_name == "echo"


def _open_standard_streams() -> None:
    """Open /dev/null in place of each closed standard stream.

    Otherwise the next file that is opened takes its number, and what this process or its children print goes into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)  # dup2 does nothing where both numbers are the same
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _flushed(code: int) -> int:
    """Flush what was printed, and return the exit status: refused where it cannot be written."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError as error:
            if number == 1:  # losing the progress output is no failure
                code = code or REFUSED
            if number == 1 and not isinstance(error, BrokenPipeError):
                complain(f"standard output: {error.strerror}")
            os.dup2(os.open(os.devnull, os.O_RDWR), number)  # Python flushes once more at exit
    return code
