"""Values of the elements of a Gmsh file, which Gmsh shows as views and meshio reads as cell data."""

from typing import BinaryIO

import numpy as np

from nmcdist.datasets.export.content import About


def write_orientations(stream: BinaryIO, labels: np.ndarray, about: About) -> None:
    """Write the crystal orientation of every element: `euler_deg`, and `orientation_w` to `orientation_z`.

    Parameters
    ----------
    stream : BinaryIO
    labels : ndarray of int, shape (n,)
        Label of each element, in the order of their numbers, from 1. meshio expects values for all elements, those on
        surfaces included.
    about : About
    """
    from nmcdist.geometry.rotations import bunge_euler

    known, rows = np.unique(labels, return_inverse=True)
    turns = about.oriented(known)
    _write(stream, "euler_deg", np.degrees(bunge_euler(turns))[rows])
    for k, end in enumerate("wxyz"):  # Gmsh has values of one, three or nine components
        _write(stream, f"orientation_{end}", turns[rows, k : k + 1])


def _write(stream: BinaryIO, name: str, values: np.ndarray) -> None:
    count, width = values.shape
    records = np.empty(count, dtype=[("element", "<i4"), ("values", "<f8", (width,))])
    records["element"], records["values"] = np.arange(1, count + 1), values
    # one name; one real number, the time; three integers, the step, the components and the elements
    stream.write(f'$ElementData\n1\n"{name}"\n1\n0\n3\n0\n{width}\n{count}\n'.encode("ascii"))
    stream.write(records.tobytes())
    stream.write(b"\n$EndElementData\n")
