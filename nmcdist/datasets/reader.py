"""The reader named in catalog entries, for users who open a catalog with intake; nmcdist does not use it."""

from pathlib import Path
from typing import Any

from intake.readers import datatypes
from intake.readers.readers import XArrayDatasetReader

from nmcdist.datasets.layout import VIRTUAL_ATTRIBUTE
from nmcdist.datasets.store import in_chunks, open_lazily, with_coordinates


class StoreReader(XArrayDatasetReader):  # type: ignore[misc]  # intake has no types
    """Open a store of nmcdist as a lazy xarray.Dataset.

    intake 2 turns an unknown method of a reader into a step of a pipeline, so ``to_dask`` of its own readers returns
    no dataset; here it does, as in intake 1.
    """

    implements = {datatypes.Zarr}  # noqa: RUF012  (intake's own way to declare it)

    def _read(self, data: Any, **options: Any) -> Any:
        url = data.url.removeprefix("file://")  # intake adds this before the folder of a catalog
        if "://" in url:
            if options.get("chunks"):
                return with_coordinates(super()._read(data, **options))
            found = in_chunks(super()._read(data, **options | {"chunks": None}))
            return found if VIRTUAL_ATTRIBUTE in found.attrs else with_coordinates(found)
        return open_lazily(Path(url), options.get("chunks") or {})

    def to_dask(self) -> Any:
        """Return the xarray.Dataset: variables are lazy, coordinates in memory."""
        return self.read()
