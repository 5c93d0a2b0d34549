"""Compiled kernels: the folder of numba's cache, and a notice when numba compiles.

numba caches kernels beside the package or in the user's cache folder. If it can write to neither, as in a read-only
installation without a home, it would refuse to work; then a private folder holds them until the process ends.
"""

import atexit
import contextlib
import gc
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
THREADS_VARIABLE = "NUMBA_NUM_THREADS"
_SAID_AFTER_S = 2.0
_PREFIX = "nmcdist-kernels-"


def drop_impossible_threads() -> None:
    """Ignore, with a notice, a number of threads in the environment with which numba could not be imported."""
    found = os.environ.get(THREADS_VARIABLE, "1")
    if not (found.isascii() and found.isdecimal() and int(found)):
        del os.environ[THREADS_VARIABLE]
        say_on_stderr(f"{THREADS_VARIABLE}: found {found[:100]!r}, expected a positive whole number: ignored")


def ensure_cache() -> None:
    """Give numba a folder for its kernels if it would find none; call this before numba is imported.

    Child processes use the same folder. It has mode 700 and an unpredictable name, because anyone who can write there
    can choose the code that is run.
    """
    own = os.environ.get(CACHE_VARIABLE)
    if (own and _writable(Path(own))) or _is_beside_the_package() or _writable(_user_cache()):
        return
    with contextlib.suppress(OSError):  # without any folder, numba itself reports the problem
        folder = tempfile.mkdtemp(prefix=_PREFIX)
        os.environ[CACHE_VARIABLE] = folder
        if "numba" in sys.modules:  # it has already read its environment
            sys.modules["numba"].config.CACHE_DIR = folder
        atexit.register(_remove, folder, os.getpid())


def _remove(folder: str, maker: int) -> None:
    if os.getpid() == maker:  # not in a fork
        shutil.rmtree(folder, ignore_errors=True)


def _is_beside_the_package() -> bool:
    package = Path(__file__).parent
    return all(_writable(Path(folder, "__pycache__")) for folder in (package, *_subpackages(package)))


def _subpackages(package: Path) -> list[Path]:
    return [path.parent for path in package.glob("*/__init__.py")]


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "numba")  # noqa: PTH111


def _writable(folder: Path) -> bool:
    """Return whether files can be made in a folder, or the folder itself if it is missing."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


class CompileNotice:
    """Reports once that kernels are being compiled, after two seconds.

    Attributes
    ----------
    say : callable
        Receives the text; a run passes it to its progress.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._depth = 0
        self._since = self._spent = 0.0
        self._said = False
        self._collects = True

    def started(self) -> None:
        """Record the start of a compilation; kernels that it calls are compiled meanwhile."""
        if self._depth == 0:
            self._since = time.monotonic()
            self._collects = gc.isenabled()
            gc.disable()  # compiling makes many lasting objects: collecting takes an eighth of the time
        self._depth += 1
        self._look()

    def ended(self) -> None:
        """Record the end of a compilation."""
        self._look()
        self._depth -= 1
        if self._depth == 0:
            self._spent += time.monotonic() - self._since
            if self._collects:
                gc.enable()

    def _look(self) -> None:
        if not self._said and self._spent + time.monotonic() - self._since > _SAID_AFTER_S:
            self._said = True
            self.say(_notice())


def _notice() -> str:
    folder = os.environ.get(CACHE_VARIABLE, "")
    if Path(folder).name.startswith(_PREFIX):
        kept = f"they cannot be cached here: set {CACHE_VARIABLE} to a folder of your own that can be written"
    else:
        kept = "they are cached for the next run"
    return f"compiling kernels for this machine, which takes up to a minute; {kept}"


def say_on_stderr(text: str) -> None:
    """Write a line to standard error, if it is open."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed or missing
        print(f"nmcdist: {text}", file=sys.stderr, flush=True)


notice = CompileNotice(say_on_stderr)


@contextlib.contextmanager
def compilation_said_by(say: Callable[[str], None]) -> Iterator[None]:
    """Redirect, in a block, the notice that kernels are being compiled."""
    before, notice.say = notice.say, say
    try:
        yield
    finally:
        notice.say = before
