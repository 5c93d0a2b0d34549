"""Bundles from wishes: without training, for particles, an additive or electrodes that are as asked for."""

from collections.abc import Mapping

from nmcdist.bundle import Bundle, CbaParameters, ElectrodeParameters, ParticleParameters
from nmcdist.bundle.parameters import Parameters, model_names
from nmcdist.bundle.schema import validated
from nmcdist.errors import InputError
from nmcdist.faults import proposal
from nmcdist.models.additive_wishes import ADDITIVE_WISHES, Value, Wish
from nmcdist.models.electrode_wishes import ELECTRODE_WISHES, electrode_of
from nmcdist.models.particle_wishes import PARTICLE_WISHES

_WISHES: tuple[tuple[type[Parameters], Mapping[str, Wish]], ...] = (
    (CbaParameters, ADDITIVE_WISHES),
    (ParticleParameters, PARTICLE_WISHES),
    (ElectrodeParameters, ELECTRODE_WISHES),
)


def wishes_of(bundle: Bundle) -> Mapping[str, Wish]:
    """Return the wishes for a bundle, in the order in which they are met; InputError if its model has none."""
    for kind, wishes in _WISHES:
        if isinstance(bundle.parameters, kind):
            return wishes
    models = [name for kind, _ in _WISHES for name in model_names(kind)]
    raise InputError(f"bundle {bundle.name!r}: found model {bundle.model!r}, expected one of {', '.join(models)}")


def fulfilled(bundle: Bundle, wishes: Mapping[str, float], settings: Mapping[str, Value] | None = None) -> Bundle:
    """Return a bundle with settings and wishes, in this order; the parameters that they change are marked as chosen.

    Parameters
    ----------
    bundle : Bundle
    wishes : Mapping of str to float
        Names of `PARTICLE_WISHES`, `ADDITIVE_WISHES` or `ELECTRODE_WISHES`, in any order.
    settings : Mapping, optional
        Values of parameters.

    Raises
    ------
    InputError
        If a wish is not one for the bundle's model, is out of reach, or changes a parameter that is also set.
    BundleError
        If a parameter is unknown or gets an impossible value.
    """
    settings = settings or {}
    known = wishes_of(bundle) if wishes else {}
    for name in wishes:
        if name not in known:
            raise InputError(f"{name}: not a wish for a bundle of model {bundle.model!r}{proposal(name, known)}")
    found = bundle.with_choices(settings, "set by name")
    for name in (name for name in known if name in wishes):
        changes = known[name](found, wishes[name])
        if twice := sorted(set(changes) & set(settings)):
            raise InputError(f"{twice[0]}: found a value beside the wish {name}, which sets it, expected one of them")
        found = found.with_choices(changes, f"follows from {name} = {wishes[name]:g}")
    return found


def bundle_from(
    base: Bundle, name: str, wishes: Mapping[str, float], settings: Mapping[str, Value] | None = None, date: str = "",
    additive: Bundle | None = None,
) -> Bundle:  # fmt: skip
    """Return a new bundle with settings and wishes, whose calibration says what was asked for and what was found.

    Parameters
    ----------
    base : Bundle
        Supplies all other parameters.
    name : str
        Name of the new bundle.
    wishes, settings : Mapping
        As in :func:`fulfilled`; at least one entry.
    date : str
    additive : Bundle, optional
        Makes a bundle of electrodes: the shells of `base` with this additive between them. Then the wish
        "nmc_fraction" is required.

    Raises
    ------
    InputError, BundleError
        As :func:`fulfilled`, and if nothing is asked for, or the name or an additive is impossible.
    """
    parents = [base] if additive is None else [base, additive]
    if additive is not None:
        if "nmc_fraction" not in wishes:
            raise InputError(f"bundle {name!r}: found an additive and no nmc_fraction, expected both for an electrode")
        base = electrode_of(base, additive, wishes["nmc_fraction"])
    asked = {**(settings or {}), **wishes}
    if not asked:
        raise InputError(f"bundle {name!r}: found no wish and no parameter to set, expected at least one")
    validated(base.model_dump(by_alias=True) | {"name": name}, f"bundle {name!r}")  # refuses a name before the trials
    made = fulfilled(base, wishes, settings)
    what = ", ".join(f"{key} = {value:g}" if isinstance(value, float | int) else f"{key} = {list(value)}"
                     for key, value in asked.items())  # fmt: skip
    facts, plural = _facts(made, asked), "s" if len(parents) > 1 else ""
    names = f"bundle{plural} {' and '.join(parent.name for parent in parents)}"
    origin = " and ".join(f"{parent.name} (sha256 {parent.content_hash})" for parent in parents)
    content = made.model_dump(by_alias=True) | {
        "name": name,
        "title": f"{base.title}, with {what}",
        "description": f"Made from the bundle{plural} {origin}; asked for: {what}. {facts}",
        "calibration": {
            "data": f"none for {what}; otherwise as the {names}: {base.calibration.data}",
            "method": f"asked for: {what}. {facts}",
            "date": date,
            "reference": base.calibration.reference,
        },
    }
    bundle = validated(content, f"bundle {name!r}")
    return bundle.with_arrays(base.arrays) if base.arrays else bundle


def _facts(bundle: Bundle, asked: Mapping[str, Value]) -> str:
    """Return a sentence on fresh realisations of a bundle, if its model has one."""
    from nmcdist.models.trials import additive_facts, electrode_facts, particle_facts

    if isinstance(bundle.parameters, CbaParameters):
        return f"Check: {additive_facts(bundle)}."
    if isinstance(bundle.parameters, ElectrodeParameters):
        return f"Check: {electrode_facts(bundle)}."
    if isinstance(bundle.parameters, ParticleParameters):
        return f"Check: {particle_facts(bundle, grains=bool(set(asked) - {'median_diameter_um'}))}."
    return ""
