"""A virtual release as a source of bytes: each chunk is computed when it is first read."""

from pathlib import Path

from nmcdist.errors import StoreError
from nmcdist.service.settings import Settings
from nmcdist.service.sources import Content, Made
from nmcdist.virtual.computed import Computed


class VirtualSource:
    """The keys of a store that computes.

    Parameters
    ----------
    store : Path
        Folder with the metadata of the store.
    settings : Settings
    """

    computes = True

    def __init__(self, store: Path, settings: Settings) -> None:
        self._computed = Computed.open(store, settings.cache, settings.cache_bytes, settings.makers)

    def etag(self, key: str) -> str:
        """Return the tag of a key, which is known before its bytes are, in quotes."""
        if not self._computed.keys_known(key):
            raise KeyError(key)
        return f'"{self._computed.etag(key)}"'

    def open(self, key: str) -> Content:
        """Return the bytes of a key, computing them unless they are in the cache."""
        try:
            return Made(self._computed.get(key))
        except KeyError:
            raise StoreError(f"{key}: the layout has it, but nothing makes it") from None

    def warm(self) -> None:
        """Compile what makes an item."""
        self._computed.warm()

    def close(self) -> None:
        """Close the cache."""
        self._computed.close()
