"""Files of pore networks for other programs: OpenPNM, by PoreSpy's SNOW algorithm."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.datasets.export.content import About, Voxels
from nmcdist.errors import InputError
from nmcdist.faults import proposal
from nmcdist.wording import one_line, shown

PHASE = "pore"
SOLID = "solid"  # all phases but label 0, unless one of them is called so
_PADDING = 3  # voxels that PoreSpy adds at each face: the pores in them are those of the boundary
_PLACES = ("coords", "local_peak", "global_peak", "geometric_centroid")
# What OpenPNM makes itself, and what is the same for each pore of a single phase.
_LEFT_OUT = ("pore.all", "throat.all", "pore.phase", "throat.phases", "pore.region_label")


def check_network(about: About) -> None:
    """Refuse grains, and phases that the volume does not have.

    Raises
    ------
    InputError
        If labels are grains, or the phase is unknown.
    """
    if not about.names:
        raise InputError("format network: found grains, expected a volume of named phases")
    name, known = about.phase or PHASE, list(dict.fromkeys([*about.names.values(), SOLID]))
    if name not in known:
        raise InputError(f"phase: found {shown(name)}{proposal(name, known)}")


def write_network(path: Path, voxels: Voxels, about: About) -> None:
    """Write the network of one phase as the CSV file that OpenPNM reads.

    Each region of the watershed is a pore, and each face between two regions a throat. Pores of the boundary have the
    labels `pore.xmin` to `pore.zmax`. Coordinates are x, y, z.

    Raises
    ------
    InputError
        If voxels are no cubes, no voxel has the phase, or it has no network.

    References
    ----------
    Gostick (2017), doi:10.1103/PhysRevE.96.023307.
    """
    name = about.phase or PHASE
    inside = _phase(voxels.labels, about.names, name)
    edge, *others = voxels.spacing
    if others != [edge, edge]:
        found = " x ".join(f"{each:.4g}" for each in voxels.spacing)
        raise InputError(f"format network: found voxels of {found} {about.unit}, expected cubes, as PoreSpy needs them")
    with _quiet(), np.errstate():  # PoreSpy changes the handling of errors for good
        from porespy.networks import snow2

        try:
            found = snow2(inside.transpose(2, 1, 0), boundary_width=_PADDING, voxel_size=edge,
                          parallel_kw=None).network  # fmt: skip
        except Exception as error:  # it indexes into what it does not find
            raise InputError(
                f"phase: found {shown(name)}, in which PoreSpy finds no network ({one_line(error)}), expected a phase "
                "with pores between solids"
            ) from error
    shift = np.array(voxels.origin[::-1]) - _PADDING * edge
    _write_columns(path, _columns(found, shift))


def _phase(labels: np.ndarray, names: Mapping[int, str], name: str) -> np.ndarray:
    """Return where a phase is, as uint8; a phase that is called solid comes before all phases together."""
    own = [label for label, called in names.items() if called == name]
    inside = labels == own[0] if own else labels > 0
    if not inside.any():
        raise InputError(f"phase: found {shown(name)}, which no voxel has")
    return inside.view(np.uint8)


def _columns(network: Mapping[str, Any], shift: np.ndarray) -> dict[str, np.ndarray]:
    """Return the values of pores and throats by column, with places in the frame of the volume."""
    columns = {}
    for name, values in sorted(network.items()):
        if name.startswith("param.") or name in _LEFT_OUT:
            continue
        placed = values + shift if name.partition(".")[2] in _PLACES else values
        if placed.ndim == 1:
            columns[name] = placed
        else:
            columns |= {f"{name}[{k}]": column for k, column in enumerate(placed.T)}
    return columns


def _write_columns(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns of unequal lengths; cells below the end of one are empty."""
    texts = [map("{:.9g}".format if values.dtype.kind == "f" else str, values.tolist()) for values in columns.values()]
    with path.open("w", encoding="ascii") as stream:
        stream.write(",".join(columns) + "\n")
        stream.writelines(",".join(row) + "\n" for row in zip_longest(*texts, fillvalue=""))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back PoreSpy's remarks on its own parallel mode, which is not used."""
    logger = logging.getLogger("porespy")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
