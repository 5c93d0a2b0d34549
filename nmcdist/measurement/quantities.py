"""The quantities that only the measurement of images has; the others are those of additive volumes."""

from dataclasses import replace

from nmcdist.descriptors.quantity import OHSER, Quantity

_WEIGHTS = "weights on 2x2x2 voxel configurations, 13 directions"
_PIECES = "pieces of face neighbours"
_PIXELS = "weights on 2x2 pixel configurations, 4 directions"
_STOKES = "Stokes flow, finite volumes on a staggered grid"

OF_INTERFACES = (
    Quantity(
        "interface_area", ("interface",), "nm^-1", "area of the interface between two phases per volume", _WEIGHTS,
        OHSER, description="half of what the surfaces of the two phases have more than that of their union",
    ),
)  # fmt: skip

OF_TRIPLES = (
    Quantity(
        "triple_line_length", ("triple",), "nm^-2", "length of the lines where three phases meet, per volume",
        "points on lattice planes, 13 normals", OHSER,
    ),
)  # fmt: skip

OF_PIECES = (
    Quantity(
        "pieces", ("phase",), "1", "number of pieces", _PIECES, dtype="int64",
        measure=lambda pieces: pieces.count,
    ),
    Quantity(
        "largest_piece_share", ("phase",), "1", "share of the phase in its largest piece", _PIECES,
        measure=lambda pieces: pieces.largest_share,
    ),
    Quantity(
        "connected_to_first", ("phase", "axis"), "1", "share of the phase connected to the face at index 0", _PIECES,
        measure=lambda pieces: pieces.shares(0),
    ),
    Quantity(
        "connected_to_last", ("phase", "axis"), "1", "share of the phase connected to the face at the last index",
        _PIECES, measure=lambda pieces: pieces.shares(1),
    ),
    Quantity(
        "percolating_fraction", ("phase", "axis"), "1", "share of the phase in pieces that join both faces", _PIECES,
        measure=lambda pieces: pieces.shares(2),
    ),
)  # fmt: skip

ACTIVE_AREA = Quantity(
    "active_area", ("contact", "axis"), "nm^-1", "active area of two phases per volume", f"{_PIECES}; {_WEIGHTS}",
    description="interface between the part of the first phase connected to the face at index 0 (pores to the "
    "separator) and the part of the second connected to the opposite face (solid to the current collector)",
)  # fmt: skip

ACTIVE_LENGTH = replace(
    ACTIVE_AREA, long_name="active length of two phases per area", estimator=f"{_PIECES}; {_PIXELS}"
)  # of a planar image

OF_FLOW = (
    Quantity(
        "permeability", ("fluid", "axis"), "nm^2", "permeability", _STOKES,
        measure=lambda flow: [each.permeability_nm2 for each in flow],
        description="0 where the phase does not join the two faces, inf where it fills the volume without walls",
    ),
    Quantity(
        "flow_flux_spread", ("fluid", "axis"), "1", "(max - min) / mean of the flow through the planes across the axis",
        _STOKES, "numerical diagnostic", measure=lambda flow: [each.flux_spread for each in flow],
    ),
)  # fmt: skip

# ---- Planar images ------------------------------------------------------------------------------------------

OF_AREAS = (
    Quantity(
        "area_fraction", ("phase",), "1", "area fraction", "share of pixel centres",
        description="equals the volume fraction in the mean over random sections",
        measure=lambda phase: phase.intrinsic.area_fraction,
    ),
    Quantity(
        "perimeter", ("phase",), "nm^-1", "perimeter per area", _PIXELS, OHSER,
        description="pi/4 of the surface area per volume in the mean over random sections",
        measure=lambda phase: phase.intrinsic.perimeter,
    ),
    Quantity(
        "euler_number_4", ("phase",), "nm^-2", "Euler number per area, 4-adjacency of the phase", _PIXELS, OHSER,
        measure=lambda phase: phase.intrinsic.euler_number_4,
    ),
    Quantity(
        "euler_number_8", ("phase",), "nm^-2", "Euler number per area, 8-adjacency of the phase", _PIXELS, OHSER,
        measure=lambda phase: phase.intrinsic.euler_number_8,
    ),
)  # fmt: skip

PLANAR_COVERAGE = Quantity(
    "two_point_coverage", ("phase", "lag_nm"), "1", "two-point coverage probability",
    "pair counts over all lattice vectors of a lag in the plane",
    description="probability that two points at this distance both lie in the phase; the area fraction at 0",
    measure=lambda phase: phase.coverage,
)  # fmt: skip

OF_BOUNDARIES = (
    Quantity(
        "interface_length", ("interface",), "nm^-1", "length of the boundary between two phases per area", _PIXELS,
        OHSER, description="pi/4 of the interface area per volume in the mean over random sections",
    ),
)  # fmt: skip

OF_POINTS = (
    Quantity(
        "triple_points", ("triple",), "nm^-2", "number of points where three phases meet, per area",
        "squares of four pixels that hold all three", OHSER,
        description="half of the triple line length per volume in the mean over random sections",
    ),
)  # fmt: skip
