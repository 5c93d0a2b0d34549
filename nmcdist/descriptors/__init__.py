"""Descriptors of phases, label volumes, grains and shells: functions from arrays to numbers."""

from nmcdist.descriptors.chords import phase_chord_lengths
from nmcdist.descriptors.contacts import (
    ConnectedFractions,
    active_area,
    connected_fractions,
    interface_area,
    triple_line_length,
)
from nmcdist.descriptors.grains import GrainContacts, describe_grains, describe_packing, grain_contacts
from nmcdist.descriptors.intrinsic import (
    IntrinsicVolumes,
    configuration_counts,
    intrinsic_volumes,
    intrinsic_volumes_from_counts,
    volume_fraction,
)
from nmcdist.descriptors.paths import geodesic_tortuosity, percolates
from nmcdist.descriptors.permeability import (
    Permeability,
    RefinedPermeability,
    permeability,
    refine_permeability,
    solve_permeability,
)
from nmcdist.descriptors.planar import (
    PlanarIntrinsicVolumes,
    planar_axis_coverage,
    planar_bottleneck_radius,
    planar_chord_lengths,
    planar_constrictivity,
    planar_intrinsic_volumes,
    planar_size_distribution,
    planar_two_point_coverage,
)
from nmcdist.descriptors.planar_contacts import planar_active_length, planar_interface_length, planar_triple_points
from nmcdist.descriptors.planar_transport import (
    planar_connected_fractions,
    planar_effective_conductivity,
    planar_geodesic_tortuosity,
    planar_percolates,
    planar_permeability,
)
from nmcdist.descriptors.pore_size import (
    PoreSizeDistribution,
    bottleneck_radius,
    constrictivity,
    pore_size_distribution,
)
from nmcdist.descriptors.sections import chord_lengths, describe_section
from nmcdist.descriptors.shell import describe_shell, describe_shells
from nmcdist.descriptors.transport import Conduction, effective_conductivity, solve_conduction
from nmcdist.descriptors.two_point import (
    TwoPointCoverage,
    axis_coverage,
    pair_counts,
    two_point_coverage,
    two_point_from_counts,
)

__all__ = [
    "Conduction",
    "ConnectedFractions",
    "GrainContacts",
    "IntrinsicVolumes",
    "Permeability",
    "PlanarIntrinsicVolumes",
    "PoreSizeDistribution",
    "RefinedPermeability",
    "TwoPointCoverage",
    "active_area",
    "axis_coverage",
    "bottleneck_radius",
    "chord_lengths",
    "configuration_counts",
    "connected_fractions",
    "constrictivity",
    "describe_grains",
    "describe_packing",
    "describe_section",
    "describe_shell",
    "describe_shells",
    "effective_conductivity",
    "geodesic_tortuosity",
    "grain_contacts",
    "interface_area",
    "intrinsic_volumes",
    "intrinsic_volumes_from_counts",
    "pair_counts",
    "percolates",
    "permeability",
    "phase_chord_lengths",
    "planar_active_length",
    "planar_axis_coverage",
    "planar_bottleneck_radius",
    "planar_chord_lengths",
    "planar_connected_fractions",
    "planar_constrictivity",
    "planar_effective_conductivity",
    "planar_geodesic_tortuosity",
    "planar_interface_length",
    "planar_intrinsic_volumes",
    "planar_percolates",
    "planar_permeability",
    "planar_size_distribution",
    "planar_triple_points",
    "planar_two_point_coverage",
    "pore_size_distribution",
    "refine_permeability",
    "solve_conduction",
    "solve_permeability",
    "triple_line_length",
    "two_point_coverage",
    "two_point_from_counts",
    "volume_fraction",
]
