"""Optional packages: before the work starts, an error names the extra that installs a missing one."""

from collections.abc import Sequence
from importlib.util import find_spec

from nmcdist.errors import MissingPackageError

EXTRAS = {
    "report": ("matplotlib", "pyvista"),
    "export": ("meshio",),
    "images": ("nrrd", "pyvista", "PIL"),
    "network": ("porespy",),
    "calibration": ("torch", "sklearn"),
    "cluster": ("dask_jobqueue",),
    "kubernetes": ("dask_kubernetes",),
    "dashboard": ("bokeh",),
    "serve": ("fastapi", "uvicorn"),
}

_PACKAGES = {"sklearn": "scikit-learn", "nrrd": "pynrrd", "PIL": "pillow"}  # where the name of the module is another


def package_of(name: str) -> str:
    """Return the name under which a module is installed."""
    return _PACKAGES.get(name, name.replace("_", "-"))


def need(extra: str, purpose: str) -> None:
    """Raise an error if the packages for a purpose are not installed; nothing is imported.

    Raises
    ------
    MissingPackageError
        The message names the extra to install.
    """
    missing = [name for name in EXTRAS[extra] if not is_installed(name)]
    if missing:
        raise missing_error(extra, purpose, missing)


def missing_error(extra: str, purpose: str, missing: Sequence[str]) -> MissingPackageError:
    """Return the error that names an extra."""
    names = " and ".join(map(package_of, missing))
    return MissingPackageError(f"{purpose} needs {names}: pip install 'nmcdist[{extra}]'")


def of_import(error: ImportError) -> MissingPackageError | None:
    """Return the error for a failed import, None if no extra installs the package."""
    package = (error.name or "").partition(".")[0]
    for extra, names in EXTRAS.items():
        if package in names:
            return missing_error(extra, "this", [package])
    return None


def is_installed(name: str) -> bool:
    """Return whether a package can be found."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
