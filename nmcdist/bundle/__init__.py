"""Trained model bundles: calibrated parameters as data, with units, provenance and a content hash."""

from nmcdist.bundle.bodies import ElectrodeParameters, FibreParameters, PackingParameters, SphereParameters
from nmcdist.bundle.files import list_bundles, load_bundle, resolved, save_bundle
from nmcdist.bundle.nets import NeuralParameters
from nmcdist.bundle.parameters import (
    CbaParameters,
    NetParameters,
    Parameters,
    ParticleParameters,
    RadialParameters,
    ShellParameters,
    quantity,
    register_model,
)
from nmcdist.bundle.reconstructions import AnnealedParameters, LevelCutParameters, PatternsParameters
from nmcdist.bundle.schema import ArrayRecord, Bundle, ParameterRecord, Provenance
from nmcdist.bundle.segmenter import SegmenterParameters
from nmcdist.bundle.superres import SuperresParameters

__all__ = [
    "AnnealedParameters",
    "ArrayRecord",
    "Bundle",
    "CbaParameters",
    "ElectrodeParameters",
    "FibreParameters",
    "LevelCutParameters",
    "NetParameters",
    "NeuralParameters",
    "PackingParameters",
    "ParameterRecord",
    "Parameters",
    "ParticleParameters",
    "PatternsParameters",
    "Provenance",
    "RadialParameters",
    "SegmenterParameters",
    "ShellParameters",
    "SphereParameters",
    "SuperresParameters",
    "list_bundles",
    "load_bundle",
    "quantity",
    "register_model",
    "resolved",
    "save_bundle",
]
