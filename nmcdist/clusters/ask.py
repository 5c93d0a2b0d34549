"""Queries to a queue: run its commands with a time-out, and parse their output with patterns."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nmcdist.errors import PlanError

ANSWER_TIMEOUT_S = 20.0  # per command of the queue, or connection to a scheduler
ASIDE_TIMEOUT_S = 5.0  # per query that only improves advice


@dataclass(frozen=True)
class Listing:
    """How to list a user's waiting and running jobs, and how to find those that cannot start.

    Attributes
    ----------
    command : tuple of str
        Command to which the user's name is appended.
    job : re.Pattern
        Matches the line of a job; its groups are the job's number and state.
    stuck : re.Pattern, optional
        Matches a state that a job never leaves.
    why : tuple of str
        Command that prints why a job is stuck; the job's number is appended.
    reason : re.Pattern, optional
        Finds the reason in its output.
    """

    command: tuple[str, ...]
    job: re.Pattern[str]
    stuck: re.Pattern[str] | None = None
    why: tuple[str, ...] = ()
    reason: re.Pattern[str] | None = None


class Answer(NamedTuple):
    """The answer of a queue's command, each text in one line.

    Attributes
    ----------
    status : int
        Exit status.
    printed : str
        Standard output.
    said : str
        Standard output and standard error, which may hold warnings of other programs.
    """

    status: int
    printed: str
    said: str


def answer(command: list[str], timeout_s: float | None = None) -> Answer:
    """Run a command of the queue, and return its answer.

    Parameters
    ----------
    command : list of str
    timeout_s : float, optional
        Default: :data:`ANSWER_TIMEOUT_S`.

    Raises
    ------
    PlanError
        If it cannot be run, or does not answer in time.
    """
    timeout_s = ANSWER_TIMEOUT_S if timeout_s is None else timeout_s
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, errors="replace", start_new_session=True
        ) as process:
            try:
                printed, warned = process.communicate(timeout=timeout_s)
            except BaseException:
                # Also processes that a script started: they would hold the pipes open, and block this call.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
    except subprocess.TimeoutExpired:
        raise PlanError(
            f"{shlex.join(command[:1])} did not answer within {timeout_s:.0f} s; is the queue up?"
        ) from None
    except OSError as error:
        raise PlanError(f"{command[0]} cannot be run: {error.strerror}") from None
    return Answer(process.returncode, " ".join(printed.split()), " ".join(f"{printed} {warned}".split()))


def answer_to_script(command: list[str], script: str, timeout_s: float | None = None) -> Answer:
    """Run a command of the queue on a job script, like :func:`answer`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job.sh")
        path.write_text(script, encoding="utf-8")
        return answer([*command, str(path)], timeout_s)


def words_of(command: list[str]) -> list[str]:
    """Return the words that a command prints; empty if it fails or does not answer soon."""
    try:
        status, printed, _ = answer(command, ASIDE_TIMEOUT_S)
    except PlanError:
        return []
    return printed.split() if status == 0 else []
