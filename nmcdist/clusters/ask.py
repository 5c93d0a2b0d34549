"""Questions to a queue: its commands are run with a time-out, and what they list is read by a pattern."""

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

ANSWER_TIMEOUT_S = 20.0  # of one command of the queue, or one look at a scheduler
ASIDE_TIMEOUT_S = 5.0  # of what only makes advice better


@dataclass(frozen=True)
class Listing:
    """How to ask a queue for a user's jobs that wait or run, and which of them it cannot start.

    Attributes
    ----------
    command : tuple of str
        The name of the user follows.
    job : re.Pattern
        Matches the line of a job; its groups are number and state.
    stuck : re.Pattern, optional
        Matches a state that the queue never ends.
    why : tuple of str
        Command that says why a job is stuck; the number of the job follows.
    reason : re.Pattern, optional
        Finds the reason in what it prints.
    """

    command: tuple[str, ...]
    job: re.Pattern[str]
    stuck: re.Pattern[str] | None = None
    why: tuple[str, ...] = ()
    reason: re.Pattern[str] | None = None


class Answer(NamedTuple):
    """What a command of the queue answered, each text in one line.

    Attributes
    ----------
    status : int
        Its exit status.
    printed : str
        What it wrote to its standard output.
    said : str
        That, and what it wrote to its standard error, which may hold warnings of other programs.
    """

    status: int
    printed: str
    said: str


def answer(command: list[str], timeout_s: float | None = None) -> Answer:
    """Run a command of the queue, and return what it answered.

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
                # Also what a script has started: it would hold the pipes open, and be waited for.
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
    """Run a command of the queue on a job script, as :func:`answer`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job.sh")
        path.write_text(script, encoding="utf-8")
        return answer([*command, str(path)], timeout_s)


def words_of(command: list[str]) -> list[str]:
    """Return the words that a command prints, none where it fails or does not answer soon."""
    try:
        status, printed, _ = answer(command, ASIDE_TIMEOUT_S)
    except PlanError:
        return []
    return printed.split() if status == 0 else []
