"""Every error that nmcdist raises on purpose.

One base class; each kind is also the builtin that a caller would expect, so that ``except ValueError``
works without knowing this module. Messages are one line: the thing, what was found, what was expected.
"""

from typing import Any

from nmcdist.wording import shortened


class NmcdistError(Exception):
    """Base of all errors that nmcdist raises on purpose; what is too long in a message loses its middle."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*(shortened(arg) if isinstance(arg, str) else arg for arg in args))


class InputError(NmcdistError, ValueError):
    """An argument has an impossible value, shape or type."""


class BundleError(NmcdistError, ValueError):
    """A trained model bundle is unknown, incomplete, damaged or of another version."""


class RecipeError(NmcdistError, ValueError):
    """A recipe cannot be read or names something that cannot be run."""


class StoreError(NmcdistError, OSError):
    """A dataset store is missing, incomplete, damaged or of another version."""


class PlanError(NmcdistError, MemoryError):
    """A run cannot fit in the memory or on the disk that it was given."""


class CatalogError(NmcdistError, KeyError):
    """A catalog has no such entry or cannot be read."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ImageError(NmcdistError, ValueError):
    """An image or an EBSD map that a model is to be calibrated on is missing, malformed or unusable."""


class MissingPackageError(NmcdistError, ImportError):
    """A package is not installed that only some uses need; the message names the extra that brings it."""


class GuardError(InputError, SystemExit):
    """A script starts workers outside ``if __name__ == "__main__":``.

    It also is the end of the script: where nobody catches it, Python prints its line, without a traceback of the
    many calls between, and exits with status 1.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text
