"""The accessor of datasets is added to xarray as soon as both are imported, without importing xarray."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

NAME = "nmc"
_XARRAY = "xarray"


def register() -> None:
    """Add the accessor to xarray now, or as soon as xarray is imported."""
    if _XARRAY in sys.modules:
        _add()
    elif not any(isinstance(finder, _Awaiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Awaiting())


def _add() -> None:
    import xarray as xr

    from nmcdist.accessor import DatasetAccessor

    if NAME not in vars(xr.Dataset):
        add: Any = xr.register_dataset_accessor  # it has no types
        add(NAME)(DatasetAccessor)


class _Awaiting(MetaPathFinder):
    """Finds xarray as the other finders do, and adds the accessor once xarray is imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != _XARRAY:
            return None
        specs = (f.find_spec(name, path, target) for f in sys.meta_path if f is not self and hasattr(f, "find_spec"))
        spec = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            self._follow(spec.loader)
        return spec

    def _follow(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            if module.__name__ == _XARRAY:
                _add()
                if self in sys.meta_path:
                    sys.meta_path.remove(self)

        loader.exec_module = exec_module
