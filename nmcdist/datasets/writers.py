"""The packages on which the bytes of a store depend, besides what it is made from."""

from importlib.metadata import PackageNotFoundError, version

from nmcdist.version import __version__

_PACKAGES = ("zarr", "numcodecs")  # the text of metadata, and the library that compresses chunks


def writer_versions() -> dict[str, str]:
    """Return the installed versions, by package."""
    found = {"nmcdist": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # imported from a folder that no installer knows
            continue
    return found
