"""The checksums of a release: a file that ``sha256sum --check`` reads, with a line for each file of the release."""

import re
from collections.abc import Mapping
from pathlib import Path

from nmcdist.datasets.files import FileRecord, read_bytes
from nmcdist.errors import ReleaseError
from nmcdist.wording import shown

CHECKSUMS = "SHA256SUMS"
_LIMIT = 1 << 30
_LINE = re.compile(r"([0-9a-f]{64})  (\S(?:.*\S)?)")


def checksums_text(records: Mapping[str, FileRecord]) -> str:
    """Return the content of the file, by path."""
    return "".join(f"{records[name].sha256}  {name}\n" for name in sorted(records))


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 (hex) of each file of a release, by path.

    Raises
    ------
    ReleaseError
        If they cannot be read, or name a path outside of the release.
    """
    path = folder / CHECKSUMS
    try:
        lines = read_bytes(path, _LIMIT).decode().splitlines()
    except FileNotFoundError:
        raise ReleaseError(f"{path}: is missing, so {folder} is not a whole release") from None
    except UnicodeDecodeError:
        raise ReleaseError(f"{path}: damaged, expected lines of a checksum and a path") from None
    found = [_LINE.fullmatch(line) for line in lines]
    if not found or None in found:
        raise ReleaseError(f"{path}: damaged, expected lines of a checksum and a path")
    sums = {match[2]: match[1] for match in found if match is not None}
    for name in sums:
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise ReleaseError(f"{path}: names {shown(name)}, expected paths below the release")
    return sums
