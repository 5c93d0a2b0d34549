"""Make the files of a task in memory, by the code that makes them on a worker."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from nmcdist.bundle import Bundle
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.layout import Variable
from nmcdist.products.plan import ItemFailed, Job, Task
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import kind_of
from nmcdist.products.virtual import VirtualPlan
from nmcdist.threads import set_thread_count, thread_count

Files = dict[str, bytes]  # by key


@dataclass(frozen=True)
class Held(Folder):
    """The folder of a virtual store, whose metadata is read from the disk, and whose chunks are kept in memory.

    Attributes
    ----------
    files : dict of str to bytes
        What was written, by key.
    """

    files: Files = field(default_factory=dict)

    def write(self, name: str, data: bytes | memoryview, *, durable: bool = False) -> None:
        """Keep a file."""
        self.files[name] = bytes(data)

    def remove(self, name: str) -> None:
        """Drop a file."""
        self.files.pop(name, None)


class Maker:
    """Makes the chunks of a virtual store.

    Parameters
    ----------
    folder : Path
        The store, whose metadata is complete.
    recipe : BaseRecipe
    bundle : Bundle
    plan : VirtualPlan
    """

    def __init__(self, folder: Path, recipe: BaseRecipe, bundle: Bundle, plan: VirtualPlan) -> None:
        self._folder, self._recipe, self._bundle, self._plan = folder, recipe, bundle, plan
        self._kind = kind_of(recipe)

    def files(self, task: Task) -> Files:
        """Make the files of a task, on one kernel thread.

        Raises
        ------
        Exception
            Any error of drawing, measuring or compressing.
        """
        held = Held(self._folder)
        job = Job(
            store=held, journal=self._folder, bundle_folder=None, bundle_hash=self._bundle.content_hash, fingerprint="",
            source=None, recipe=self._recipe, variables=self._plan.layout.variables, threads=1,
        )  # fmt: skip
        threads = thread_count()
        set_thread_count(1)
        try:
            self._kind.make_virtual(job, self._bundle, task)
        except ItemFailed as failed:
            raise failed.error from failed
        finally:
            set_thread_count(threads)
        return held.files

    def task(self, variable: Variable, index: tuple[int, ...]) -> Task:
        """Return the task that makes a chunk."""
        return self._plan.task(variable, index)

    def witnesses(self) -> dict[str, str]:
        """Make the witnesses of the store, and return one SHA-256 (hex) of the values of each, by task."""
        return {task.name: self._digest(self.files(task)) for task in self._plan.witnesses()}

    def _digest(self, files: Files) -> str:
        """Return the SHA-256 (hex) of the values of the chunks in files, little-endian and in C order."""
        digest = hashlib.sha256()
        for key, content in sorted(files.items()):
            digest.update(key.encode() + b"\0" + self._values(key, content))
        return digest.hexdigest()

    def _values(self, key: str, content: bytes) -> bytes:
        name, _, place = key.partition("/c/")
        metadata = (self._folder / name / "zarr.json").read_bytes()
        buffer = default_buffer_prototype().buffer
        store = MemoryStore({"zarr.json": buffer.from_bytes(metadata), f"c/{place}": buffer.from_bytes(content)})
        array = zarr.open_array(store, mode="r", zarr_format=3)
        index = tuple(map(int, place.split("/")))
        region = tuple(
            slice(k * c, min((k + 1) * c, n)) for k, c, n in zip(index, array.chunks, array.shape, strict=True)
        )
        values = np.ascontiguousarray(array[region])
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
