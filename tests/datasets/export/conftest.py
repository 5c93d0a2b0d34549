"""Gmsh for the tests of exports."""

import gmsh
import pytest


@pytest.fixture
def opened():
    """Return a function that opens a file in Gmsh."""
    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    gmsh.option.setNumber("General.NumThreads", 1)
    yield lambda path: gmsh.open(str(path))
    gmsh.finalize()
