"""A virtual store that is open: its metadata, and its chunks, computed on demand and cached."""

import hashlib
import threading
from pathlib import Path
from typing import Any

from nmcdist.datasets.files import read_bytes
from nmcdist.datasets.integrity import read_manifest
from nmcdist.datasets.layout import Variable, own_dim
from nmcdist.datasets.metadata import METADATA_LIMIT, arrays_of, strict_json
from nmcdist.datasets.store import MANIFEST
from nmcdist.errors import NmcdistError, StoreError
from nmcdist.products.plan import Task
from nmcdist.products.registry import kind_of
from nmcdist.virtual.cache import Cache
from nmcdist.virtual.description import Description, identity, read_description, warn_of_versions
from nmcdist.virtual.flights import Flights
from nmcdist.virtual.keys import Keys
from nmcdist.virtual.making import Files, Maker
from nmcdist.virtual.recent import Recent
from nmcdist.wording import one_line

_RECENT_BYTES = 32 << 20  # in memory: what a reader of one item asks for, also where nothing can be cached on disk


class Computed:
    """A virtual store, opened with :meth:`open`. All methods may be called from several threads.

    Attributes
    ----------
    folder : Path
    opened_with : tuple
        Arguments of :meth:`open`.
    """

    def __init__(
        self, folder: Path, description: Description, static: Files, keys: Keys, maker: Maker, cache: Cache | None,
        flights: Flights, own_identity: str, opened_with: tuple[Any, ...],
    ) -> None:  # fmt: skip
        self.folder, self.opened_with = folder, opened_with
        self._description, self._static, self._keys = description, static, keys
        self._maker, self._cache, self._flights, self._identity = maker, cache, flights, own_identity
        self._recent = Recent(_RECENT_BYTES)
        self._proof = threading.Lock()
        self._is_proven = description.is_of_this_version

    @classmethod
    def open(
        cls, folder: Path, cache: Path | None, limit_bytes: int, makers: int, most_waiting: int | None = 32
    ) -> "Computed":
        """Open a virtual store; nothing is drawn.

        Parameters
        ----------
        folder : Path
            The store, as :func:`nmcdist.virtual.freeze` wrote it.
        cache : Path or None
            Folder of the cache, made if missing; stores may share one. None, or a folder that cannot be written: only
            the last few items are kept, in memory.
        limit_bytes : int
            Bytes of the cache.
        makers : int
            Items that are made at once, each on one thread.
        most_waiting : int or None
            Items that may wait to be made before :meth:`get` raises Busy; None: any number.

        Raises
        ------
        StoreError
            If the folder is no virtual store, is damaged, or its bundle is another than that of its description.
        """
        folder = Path(folder)
        description, recipe, bundle = read_description(folder)
        static = _static_files(folder)
        try:
            plan = kind_of(recipe).virtual_plan(recipe, bundle, description.frozen)
        except NmcdistError as error:
            raise StoreError(f"{folder}: {one_line(error)}") from None
        _check_metadata(folder, static, plan.variables)
        warn_of_versions(folder, description)
        return cls(
            folder, description, static, Keys(plan.variables), Maker(folder, recipe, bundle, plan),
            None if cache is None else Cache(Path(cache), limit_bytes), Flights(makers, most_waiting),
            identity(description, recipe), (folder, cache, limit_bytes, makers, most_waiting),
        )  # fmt: skip

    @property
    def static_keys(self) -> tuple[str, ...]:
        """Keys of the files that are not computed: metadata, coordinates, and what the store is computed from."""
        return tuple(sorted(self._static))

    def cache_trouble(self) -> str:
        """Return in one line why computed chunks are not kept on the disk; empty if they are, or need not be."""
        found = "" if self._cache is None else self._cache.trouble(self._keys.largest_bytes)
        return f"cache: {found}; computed chunks may not be kept on the disk" if found else ""

    def keys_known(self, key: str) -> bool:
        """Return whether the store has this key; nothing is computed."""
        if key in self._static:
            return True
        try:
            self._keys.place(key)
        except KeyError:
            return False
        return True

    def etag(self, key: str) -> str:
        """Return a SHA-256 (hex) that names the bytes of a key; nothing is computed.

        Raises
        ------
        KeyError
            If the store has no such key.
        """
        if key in self._static:
            return hashlib.sha256(self._static[key]).hexdigest()
        self._keys.place(key)
        return hashlib.sha256(f"{self._identity} {key}".encode()).hexdigest()

    def get(self, key: str) -> bytes:
        """Return the bytes of a key: those of a file, or of a chunk, which may be computed first.

        Raises
        ------
        KeyError
            If the store has no such key.
        Busy
            If too many items wait to be made.
        StoreError
            If the chunk cannot be made, for example because it exceeds the frozen sizes.
        """
        if key in self._static:
            return self._static[key]
        task = self._maker.task(*self._keys.place(key))
        name = hashlib.sha256(f"{self._identity} task {task.name}".encode()).hexdigest()
        files = self._recent.get(name)
        if files is None and self._cache is not None:
            found = self._cache.get(name, key)
            if found is not None:
                return found
        if files is None:
            files = self._flights.once(name, lambda: self._made(name, task))
        if key not in files:
            raise StoreError(f"{self.folder}: {key}: is not among what its task made")
        return files[key]

    def warm(self) -> None:
        """Compile every kernel by making small items, and check that they have the values that were published.

        Raises
        ------
        StoreError
            If this program computes other values.
        """
        with self._proof:
            self._prove()

    def close(self) -> None:
        """Release what is held in memory."""
        self._recent = Recent(_RECENT_BYTES)

    def _made(self, name: str, task: Task) -> Files:
        """Return the files of a task: from the cache if another process or thread has just made them."""
        if self._cache is None:
            files = self._recent.get(name) or self._drawn(task)
        else:
            with self._cache.alone(name):
                files = self._cache.get_all(name) or self._drawn(task)
                self._keep(name, files)
        self._recent.put(name, files)
        return files

    def _keep(self, name: str, files: Files) -> None:
        assert self._cache is not None
        self._cache.put(name, files)

    def _drawn(self, task: Task) -> Files:
        with self._proof:
            if not self._is_proven:
                self._prove()
        try:
            return self._maker.files(task)
        except Exception as error:  # kinds, and what draws for them, raise any type
            what = one_line(error) if isinstance(error, NmcdistError) else f"{type(error).__name__}: {one_line(error)}"
            raise StoreError(f"{self.folder}: {task.name}: cannot be made ({what})") from error

    def _prove(self) -> None:
        found = self._maker.witnesses()
        if found != self._description.witnesses:
            task = min(set(found.items()) ^ set(self._description.witnesses.items()))[0]
            raise StoreError(
                f"{self.folder}: {task}: this program computes other values than nmcdist "
                f"{self._description.nmcdist_version}, with which the store was published"
            )
        self._is_proven = True


def _static_files(folder: Path) -> Files:
    """Return the files of a virtual store, checked against its manifest."""
    files: Files = {}
    for name, record in read_manifest(folder).items():
        try:
            content = read_bytes(folder / name, METADATA_LIMIT)
        except OSError as error:
            raise StoreError(f"{folder / name}: cannot be read ({one_line(error)})") from None
        if hashlib.sha256(content).hexdigest() != record.sha256:
            raise StoreError(f"{folder / name}: does not match its checksum in {MANIFEST}")
        files[name] = content
    return files


def _check_metadata(folder: Path, static: Files, variables: tuple[Variable, ...]) -> None:
    """Refuse metadata of other chunks than this program computes."""
    if "zarr.json" not in static:
        raise StoreError(f"{folder}: has no zarr.json in its {MANIFEST}")
    arrays = arrays_of(strict_json(static["zarr.json"]), folder)
    for v in variables:
        array = arrays.get(v.name)
        found = None if array is None else (array.shape, array.file_shape, tuple(map(own_dim, array.dims)))
        if found != (v.shape, v.chunks, tuple(map(own_dim, v.dims))):
            raise StoreError(f"{folder}: {v.name}: its metadata describes other chunks than this program computes")
