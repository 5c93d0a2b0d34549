"""The log of a run, on standard error, if ``--verbose`` or the environment requests it."""

import logging
import os

from nmcdist.errors import InputError
from nmcdist.wording import shown

LOG_VARIABLE = "NMCDIST_LOG"
_DASKS = ("distributed", "dask_jobqueue")
_LEVELS = {"info": 1, "debug": 2}

log = logging.getLogger("nmcdist")
log.addHandler(logging.NullHandler())


def log_to_stderr(verbose: int = 0) -> None:
    """Write the log to standard error: nmcdist's from 1 on, Dask's from 2 on; 0 leaves it to the environment.

    Workers on this machine inherit the choice.
    """
    asked = os.environ.get(LOG_VARIABLE, "")
    if asked.lower() not in ("", *_LEVELS):
        raise InputError(f"{LOG_VARIABLE}: found {shown(asked)}, expected {' or '.join(_LEVELS)}")
    verbose = verbose or _LEVELS.get(asked.lower(), 0)
    if not verbose:
        return
    os.environ[LOG_VARIABLE] = "debug" if verbose > 1 else "info"
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    for name in ("nmcdist", *(_DASKS if verbose > 1 else ())):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG if name == "nmcdist" and verbose > 1 else logging.INFO)
        logger.addHandler(handler)


def shows_dask() -> bool:
    """Return whether Dask's own log is requested."""
    return _LEVELS.get(os.environ.get(LOG_VARIABLE, "").lower(), 0) > 1
