"""The reader named in catalog entries, for users who open a catalog with intake; nmcdist does not use it."""

from pathlib import Path
from typing import Any

from intake.readers import datatypes
from intake.readers.readers import XArrayDatasetReader

from nmcdist.datasets.layout import VIRTUAL_ATTRIBUTE
from nmcdist.datasets.store import in_chunks, open_lazily, with_coordinates, with_labels


class StoreReader(XArrayDatasetReader):  # type: ignore[misc]  # intake has no types
    """Open a store of nmcdist as a lazy xarray.Dataset.

    In intake 2, an unknown method of a reader becomes a step of a pipeline, so ``to_dask`` of its readers returns no
    dataset. This reader defines it, as in intake 1.
    """

    implements = {datatypes.Zarr}  # noqa: RUF012  (intake's own way to declare it)

    def _read(self, data: Any, **options: Any) -> Any:
        url = data.url.removeprefix("file://")  # intake adds this before the folder of a catalog
        if "://" in url:
            if options.get("chunks"):
                return with_coordinates(super()._read(data, **options))
            found = in_chunks(super()._read(data, **options | {"chunks": None}))
            return with_labels(found) if VIRTUAL_ATTRIBUTE in found.attrs else with_coordinates(found)
        return open_lazily(Path(url), options.get("chunks") or {})

    def to_dask(self) -> Any:
        """Return the xarray.Dataset: variables are lazy, coordinates in memory."""
        return self.read()
