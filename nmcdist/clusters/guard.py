"""Scripts that start a run without `if __name__ == "__main__":`, so that their own workers would start it again.

A worker process imports the script that started it, as a module of another name. Without the guard it reaches the
line that starts the run before it has become a worker.
"""

import multiprocessing

from nmcdist.errors import GuardError

GUARD_STATUS = 97  # exit status of a process that found no guard


def stop_if_imported_by_a_worker() -> None:
    """End this process silently if it is about to become a worker and imports the script that started it.

    The process that started it recognises the exit status and says what is missing (:func:`guard_error`).
    """
    # Python has no public name for "still importing the main module"; its own check of the same fault uses this one.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(GUARD_STATUS)


def guard_error() -> GuardError:
    """Return the error that shows the lines to write."""
    return GuardError(
        "the script starts the run without a guard, so its workers would start it again: write "
        '`if __name__ == "__main__":` above the lines that start it, and indent them'
    )
