"""The store in the folder of a release, for those who name the folder."""

from pathlib import Path

from nmcdist.datasets.metadata import METADATA_LIMIT, parsed_json
from nmcdist.errors import StoreError
from nmcdist.wording import shown

_RELEASE, _GROUP = "release.json", "zarr.json"


def store_in(folder: Path) -> Path:
    """Return the store of a release, given its folder; another path unchanged.

    Raises
    ------
    StoreError
        If the release names no store.
    """
    path = folder / _RELEASE
    if not path.is_file() or (folder / _GROUP).exists():
        return folder
    content = parsed_json(path, METADATA_LIMIT)
    name = content.get("store") if isinstance(content, dict) else None
    if not isinstance(name, str) or not name or name in (".", "..") or "/" in name or "\0" in name:
        raise StoreError(f"{path}: store: found {shown(name)}, expected the name of a folder beside it")
    return folder / name
