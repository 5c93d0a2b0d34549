"""The reader that catalog entries name, for who opens a catalog with intake; nmcdist itself does without it."""

from pathlib import Path
from typing import Any

from intake.readers import datatypes
from intake.readers.readers import XArrayDatasetReader

from nmcdist.datasets.store import open_lazily, with_coordinates


class StoreReader(XArrayDatasetReader):
    """Open a store of nmcdist as a lazy xarray.Dataset.

    intake 2 turns an unknown method of a reader into a step of a pipeline, so that ``to_dask`` of its own
    readers gives no dataset; here it does, as it did in intake 1.
    """

    implements = {datatypes.Zarr}  # noqa: RUF012  (intake's own way to declare it)

    def _read(self, data: Any, **options: Any) -> Any:
        if "://" not in data.url:
            return open_lazily(Path(data.url), options.get("chunks") or {})
        return with_coordinates(super()._read(data, **options))

    def to_dask(self) -> Any:
        """Return the lazy xarray.Dataset."""
        return self.read()
