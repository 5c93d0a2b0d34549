"""A release, as the processes that render find it."""

from dataclasses import dataclass
from pathlib import Path

from nmcdist.errors import InputError

MOST_BYTES = 2 << 30  # of a file of items
EDGES = (96, 160, 256)  # voxels along the longest edge of a brick, at most
Made = tuple[dict[str, str], bytes]  # what a process makes: headers and body


@dataclass(frozen=True)
class Place:
    """A release, as another process finds it.

    Attributes
    ----------
    store : Path
    manifest : str
        SHA-256 of its manifest, which names all that it holds.
    is_virtual : bool
    cache : Path
        Folder of the cache of computed chunks.
    cache_bytes : int
        Largest size of that folder.
    """

    store: Path
    manifest: str
    is_virtual: bool
    cache: Path
    cache_bytes: int


class NotShownError(InputError):
    """A dataset has no items of the kind that was asked for."""
