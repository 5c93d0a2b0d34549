"""The public names: what a reader of `help`, an editor and a type checker find is what Python gives."""

import ast
import importlib
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import nmcdist
import nmcdist.datasets

LAZY = [nmcdist, nmcdist.datasets]


def names_for_type_checkers(module):
    """Names that a module imports under `if TYPE_CHECKING`, with their module and their name there."""
    found = {}
    for node in ast.parse(Path(module.__file__).read_text()).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
            for line in node.body:
                found |= {alias.asname or alias.name: (line.module, alias.name) for alias in line.names}
    return found


@pytest.mark.parametrize("module", LAZY, ids=lambda m: m.__name__)
def test_type_checkers_see_the_names_that_are_there(module):
    declared = names_for_type_checkers(module)
    assert set(declared) == set(dir(module)) - {"NmcdistError", "__version__"}
    for name, (home, there) in declared.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), there), name


@pytest.mark.parametrize("module", LAZY, ids=lambda m: m.__name__)
def test_help_lists_every_function_with_its_signature(module):
    text = pydoc.render_doc(module, renderer=pydoc.plaintext)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isfunction(value):
            called = name if value.__name__ == name else f"{name} = {value.__name__}"
            assert f"    {called}{inspect.signature(value)}" in text


@pytest.mark.parametrize("module", LAZY, ids=lambda m: m.__name__)
def test_public_functions_are_typed_whole(module):
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty, name
            assert all(p.annotation is not p.empty for p in signature.parameters.values()), name


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, nmcdist; dir(nmcdist); print(*{'numba', 'xarray', 'dask', 'zarr', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("module", LAZY, ids=lambda m: m.__name__)
def test_a_name_that_is_not_there_is_said_not_to_be(module):
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018
