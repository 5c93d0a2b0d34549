"""Bearer tokens: their SHA-256 stand in a file that only its owner can read; a token itself is shown once."""

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from nmcdist.errors import InputError
from nmcdist.inputs import folder_to_make, kind_of
from nmcdist.log import log
from nmcdist.wording import shown

TOKENS = "tokens"
LONGEST = 200  # characters of a token that is looked up
_PREFIX = "nmc_"
_NAME = re.compile("[a-z0-9][a-z0-9-]{0,49}")
_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) (?P<name>[a-z0-9][a-z0-9-]{0,49})")
_LARGEST = 1 << 20  # bytes of the file


def make_token(folder: str | os.PathLike[str], name: str) -> str:
    """Return a new token, and keep its hash.

    Parameters
    ----------
    folder : str or Path
        Folder of the queue; made, for its owner only, if it is missing.
    name : str
        Who uses the token, shown with each of its jobs: small letters, digits and hyphens.

    Raises
    ------
    InputError
        If the name is impossible or taken, or others can read the file.
    """
    where = folder_to_make(folder)
    if not _NAME.fullmatch(name):
        raise InputError(f"name: found {shown(name)}, expected at most 50 small letters, digits and hyphens")
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.path.lexists(where / TOKENS) and name in _hashes(where).values():
        raise InputError(f"{where / TOKENS}: has a token of {name}; to replace it, remove its line first")
    token = _PREFIX + secrets.token_urlsafe(32)
    handle = os.open(where / TOKENS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(f"{_hashed(token)} {name}\n".encode())
    return token


def check_tokens(folder: Path) -> None:
    """Refuse a folder without tokens.

    Raises
    ------
    InputError
        If there are none, or others can read their file.
    """
    if not os.path.lexists(folder / TOKENS) or not _hashes(folder):
        raise InputError(f"{folder}: has no tokens; make one with: nmcdist token {folder} NAME")


def owner_of(folder: Path, token: str) -> str | None:
    """Return the name of a token; None if there is no such token. The file is read each time, so edits count at once.

    Each known hash is compared, in the same time whatever was sent.
    """
    try:
        known = _hashes(folder)
    except (InputError, OSError) as error:
        log.error("%s", error)
        return None
    given, found = _hashed(token[:LONGEST]), None
    for sha256, name in known.items():
        if hmac.compare_digest(sha256, given):
            found = name
    return found if len(token) <= LONGEST else None


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _hashes(folder: Path) -> dict[str, str]:
    """Return the names of the tokens by hash."""
    path = folder / TOKENS
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    with os.fdopen(handle, "rb") as stream:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise InputError(f"{path}: is {kind_of(state.st_mode)}, expected an ordinary file")
        if state.st_mode & 0o077:
            raise InputError(f"{path}: others may read or write it, expected mode 600; run: chmod 600 {path}")
        lines = stream.read(_LARGEST).decode("ascii", "replace").splitlines()
    found = {}
    for number, line in enumerate(lines, 1):
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise InputError(f"{path}: line {number}: expected the SHA-256 of a token, a space and a name")
        found[parts["sha256"]] = parts["name"]
    return found
