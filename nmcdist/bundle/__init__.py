"""Trained model bundles: calibrated parameters as data, with units, provenance and a content hash."""

from nmcdist.bundle.files import list_bundles, load_bundle, save_bundle
from nmcdist.bundle.schema import (
    ArrayRecord,
    Bundle,
    CbaParameters,
    NetParameters,
    ParameterRecord,
    ParticleParameters,
    Provenance,
    RadialParameters,
)

__all__ = [
    "ArrayRecord",
    "Bundle",
    "CbaParameters",
    "NetParameters",
    "ParameterRecord",
    "ParticleParameters",
    "Provenance",
    "RadialParameters",
    "list_bundles",
    "load_bundle",
    "save_bundle",
]
