"""Electrodes from wishes: the shells of one bundle, the additive of another, and the share of the particles."""

from collections.abc import Mapping

from nmcdist.arguments import check_number
from nmcdist.bundle import Bundle, ElectrodeParameters, ShellParameters
from nmcdist.bundle.parameters import AdditiveParameters, Parameters, model_of
from nmcdist.bundle.schema import validated
from nmcdist.models.additive_wishes import ADDITIVE_WISHES, Value, Wish
from nmcdist.models.packing import DENSEST
from nmcdist.models.particle_wishes import for_median_diameter


def for_nmc_fraction(bundle: Bundle, fraction: float) -> dict[str, Value]:
    """Return the parameter of electrodes whose particles have this share of the box.

    Raises
    ------
    InputError
        If particles cannot be packed so densely.
    BundleError
        If the bundle is not one of electrodes.
    """
    bundle.parameters_as(ElectrodeParameters)
    return {"nmc_fraction": check_number("nmc_fraction", fraction, 0.01, DENSEST)}


ELECTRODE_WISHES: Mapping[str, Wish] = {
    "median_diameter_um": for_median_diameter,
    **ADDITIVE_WISHES,
    "nmc_fraction": for_nmc_fraction,
}


def electrode_of(shells: Bundle, additive: Bundle, nmc_fraction: float) -> Bundle:
    """Return a bundle of electrodes: every parameter with its provenance and source, and the bundle it comes from.

    Parameters
    ----------
    shells : Bundle
        Supplies the outer shells of the particles, without grains.
    additive : Bundle
        Supplies the additive between them.
    nmc_fraction : float
        Volume of all particles over the volume of the box.

    Raises
    ------
    BundleError
        If one of the bundles has no such parameters, or the fraction is impossible.
    """
    shells.parameters_as(ShellParameters)
    additive.parameters_as(AdditiveParameters)
    fraction = {"value": nmc_fraction, "unit": "1", "provenance": "chosen", "source": "set by name"}
    content = {
        "name": "electrode",
        "title": f"Electrode with the shells of {shells.name} and the additive of {additive.name}",
        "description": f"Shells of the bundle {shells.name} (sha256 {shells.content_hash}); additive of the bundle "
        f"{additive.name} (sha256 {additive.content_hash}).",
        "licence": f"Shells: {shells.licence}. Additive: {additive.licence}",
        "model": model_of(ElectrodeParameters),
        "parameters": {
            **_records(shells, ShellParameters), **_records(additive, AdditiveParameters), "nmc_fraction": fraction
        },
        "calibration": {
            "data": f"shells: {shells.calibration.data}; additive: {additive.calibration.data}",
            "method": f"shells: {shells.calibration.method}; additive: {additive.calibration.method}",
            "date": max(shells.calibration.date, additive.calibration.date),
            "reference": "; ".join(filter(None, (shells.calibration.reference, additive.calibration.reference))),
        },
    }  # fmt: skip
    return validated(content, "electrode")


def _records(bundle: Bundle, kind: type[Parameters]) -> dict[str, dict[str, object]]:
    """Return the records of the parameters of a class, whose sources name the bundle."""
    found = {name: bundle.values[name].model_dump() for name in kind.model_fields}
    return {name: record | {"source": f"{bundle.name}: {record['source']}"} for name, record in found.items()}
