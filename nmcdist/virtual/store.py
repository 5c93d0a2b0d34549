"""The Zarr store over a virtual store, for readers in this process."""

import asyncio
import functools
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from nmcdist.virtual.computed import Computed

_READERS = 32  # threads that wait for chunks; Zarr's own threads compress them meanwhile


class ComputedStore(Store):
    """A read-only Zarr store that computes its chunks.

    Parameters
    ----------
    computed : Computed
        The opened virtual store. A pickled copy opens it again, once per process, so its folder and that of the
        cache must be there on the machine of a worker.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, computed: Computed) -> None:
        super().__init__(read_only=True)
        self.computed = computed
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="nmcdist-computed")

    @property
    def root(self) -> Path:
        """Folder of the virtual store."""
        return self.computed.folder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComputedStore) and other.computed is self.computed

    def __hash__(self) -> int:
        return id(self.computed)

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened_again, self.computed.opened_with

    def __str__(self) -> str:
        return f"computed://{self.root}"

    def __repr__(self) -> str:
        return f"ComputedStore({str(self.root)!r})"

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the bytes of a key, or a range of them; None if the store has no such key.

        Raises
        ------
        StoreError
            If the chunk cannot be made.
        """
        prototype = default_buffer_prototype() if prototype is None else prototype
        try:  # in threads of its own: making a chunk needs those of Zarr
            content = await asyncio.get_running_loop().run_in_executor(self._readers, self.computed.get, key)
        except KeyError:
            return None
        return prototype.buffer.from_bytes(_cut(content, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return the bytes of several keys, or ranges of them."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Return whether the store has a key; nothing is computed."""
        return self.computed.keys_known(key)

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse to write."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse to delete."""
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        """Yield the keys of the files that are not computed: there may be billions of chunks."""
        for key in self.computed.static_keys:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys of :meth:`list` that begin with a prefix."""
        for key in self.computed.static_keys:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names right below a prefix, of the keys of :meth:`list`."""
        below = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        keys = (key.removeprefix(below) for key in self.computed.static_keys if key.startswith(below))
        for name in dict.fromkeys(key.partition("/")[0] for key in keys):
            yield name

    def close(self) -> None:
        """Release the threads, and what is held in memory."""
        self._readers.shutdown(wait=False)
        self.computed.close()
        super().close()


@functools.cache
def _opened_again(*how: Any) -> ComputedStore:
    return ComputedStore(Computed.open(*how))


def _cut(content: bytes, part: Any) -> bytes:
    if part is None:
        return content
    if isinstance(part, RangeByteRequest):
        return content[part.start : part.end]
    if isinstance(part, OffsetByteRequest):
        return content[part.offset :]
    assert isinstance(part, SuffixByteRequest)
    return content[max(len(content) - part.suffix, 0) :]
