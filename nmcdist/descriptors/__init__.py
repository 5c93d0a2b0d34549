"""Descriptors of a phase or a label volume: arrays in, numbers out."""

from nmcdist.descriptors.intrinsic import (
    IntrinsicVolumes,
    configuration_counts,
    intrinsic_volumes,
    intrinsic_volumes_from_counts,
    volume_fraction,
)
from nmcdist.descriptors.paths import geodesic_tortuosity, percolates
from nmcdist.descriptors.pore_size import (
    PoreSizeDistribution,
    bottleneck_radius,
    constrictivity,
    pore_size_distribution,
)
from nmcdist.descriptors.transport import Conduction, effective_conductivity, solve_conduction
from nmcdist.descriptors.two_point import (
    TwoPointCoverage,
    pair_counts,
    two_point_coverage,
    two_point_from_counts,
)

__all__ = [
    "Conduction",
    "IntrinsicVolumes",
    "PoreSizeDistribution",
    "TwoPointCoverage",
    "bottleneck_radius",
    "configuration_counts",
    "constrictivity",
    "effective_conductivity",
    "geodesic_tortuosity",
    "intrinsic_volumes",
    "intrinsic_volumes_from_counts",
    "pair_counts",
    "percolates",
    "pore_size_distribution",
    "solve_conduction",
    "two_point_coverage",
    "two_point_from_counts",
    "volume_fraction",
]
