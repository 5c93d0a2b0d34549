"""A virtual release as a source of bytes: its metadata is on the disk, its chunks are computed when first read."""

from pathlib import Path

from nmcdist.errors import StoreError
from nmcdist.service.settings import Settings
from nmcdist.service.sources import Content, Files, Made
from nmcdist.virtual.computed import Computed
from nmcdist.virtual.opening import cache_folder


class VirtualSource:
    """The keys of a store that computes.

    Parameters
    ----------
    store : Path
        Folder with the metadata of the store.
    files : Files
        The files in it.
    settings : Settings
    """

    def __init__(self, store: Path, files: Files, settings: Settings) -> None:
        cache = cache_folder(settings.cache)
        self._files = files
        self._computed = Computed.open(store, cache, settings.cache_bytes, settings.makers)

    def etag(self, key: str) -> str:
        """Return the tag of a key, in quotes; that of a chunk is known before its bytes are."""
        if self._files.has(key):
            return self._files.etag(key)
        return f'"{self._computed.etag(key)}"'

    def computes(self, key: str) -> bool:
        """Return whether a key is a chunk."""
        return not self._files.has(key)

    def is_checked(self, key: str) -> bool:
        """Return whether a key is a chunk, or a file that has been compared with its checksum."""
        return self._files.is_checked(key)

    def open(self, key: str) -> Content:
        """Return the bytes of a key, computing them unless they are in the cache."""
        if self._files.has(key):
            return self._files.open(key)
        try:
            return Made(self._computed.get(key))
        except KeyError:
            raise StoreError(f"{key}: the layout has it, but nothing makes it") from None

    def cache_trouble(self) -> str:
        """Return in one line why computed chunks are not kept on the disk; empty if they are."""
        return self._computed.cache_trouble()

    def warm(self) -> None:
        """Compile what makes an item."""
        self._computed.warm()

    def close(self) -> None:
        """Give back what is in memory."""
        self._computed.close()
