"""Every error that nmcdist raises on purpose.

One base class; each kind is also the builtin that a caller would expect, so that ``except ValueError``
works without knowing this module. Messages are one line: the thing, what was found, what was expected.
"""

from typing import Any

from nmcdist.wording import shortened


class NmcdistError(Exception):
    """Base of all errors that nmcdist raises on purpose; overlong parts of a message lose their middle."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*(shortened(arg) if isinstance(arg, str) else arg for arg in args))


class InputError(NmcdistError, ValueError):
    """An argument has an impossible value, shape or type."""


class QueryError(InputError):
    """A query on the items of a dataset cannot be read, or names an unknown column."""


class BundleError(NmcdistError, ValueError):
    """A trained model bundle is unknown, incomplete, damaged or of another version."""


class RecipeError(NmcdistError, ValueError):
    """A recipe cannot be read or describes a run that is impossible."""


class StoreError(NmcdistError, OSError):
    """A dataset store is missing, incomplete, damaged or of another version."""


class Busy(NmcdistError, TimeoutError):  # noqa: N818  (nothing is wrong; the caller may try again)
    """A virtual store computes as many chunks as it may, and as many wait.

    Attributes
    ----------
    retry_after_s : float
        Seconds after which to try again.
    """

    def __init__(self, text: str, retry_after_s: float = 1.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class PlanError(NmcdistError, MemoryError):
    """A run does not fit in the available memory or on the disk."""


class CatalogError(NmcdistError, KeyError):
    """A catalog cannot be read or lacks an entry."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ReleaseError(NmcdistError, ValueError):
    """A release exists already, is damaged, or lacks what publishing needs."""


class ImageError(NmcdistError, ValueError):
    """An image or an EBSD map for a calibration is missing, malformed or unusable."""


class MissingPackageError(NmcdistError, ImportError):
    """An optional package is not installed; the message names the extra that installs it."""


class GuardError(InputError, SystemExit):
    """A script starts workers outside ``if __name__ == "__main__":``.

    If it is not caught, Python prints its line without a traceback, and exits with status 1.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text
