"""Bundles from wishes: without training, from another bundle, for particles or an additive that are as asked for."""

from collections.abc import Mapping

from nmcdist.bundle import Bundle, CbaParameters, ParticleParameters
from nmcdist.bundle.parameters import model_names
from nmcdist.bundle.schema import validated
from nmcdist.errors import InputError
from nmcdist.faults import proposal
from nmcdist.models.additive_wishes import ADDITIVE_WISHES, Value, Wish
from nmcdist.models.particle_wishes import PARTICLE_WISHES


def wishes_of(bundle: Bundle) -> Mapping[str, Wish]:
    """Return the wishes for a bundle, in the order in which they are met; InputError if its model has none."""
    parameters = bundle.parameters
    if isinstance(parameters, CbaParameters):
        return ADDITIVE_WISHES
    if isinstance(parameters, ParticleParameters):
        return PARTICLE_WISHES
    models = [*model_names(CbaParameters), *model_names(ParticleParameters)]
    raise InputError(f"bundle {bundle.name!r}: found model {bundle.model!r}, expected one of {', '.join(models)}")


def fulfilled(bundle: Bundle, wishes: Mapping[str, float], settings: Mapping[str, Value] | None = None) -> Bundle:
    """Return a bundle with settings and wishes, in this order; the parameters that they change are marked as chosen.

    Parameters
    ----------
    bundle : Bundle
    wishes : Mapping of str to float
        Names of `PARTICLE_WISHES` or `ADDITIVE_WISHES`, in any order.
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
    base: Bundle, name: str, wishes: Mapping[str, float], settings: Mapping[str, Value] | None = None, date: str = ""
) -> Bundle:
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

    Raises
    ------
    InputError, BundleError
        As :func:`fulfilled`, and if nothing is asked for or the name is impossible.
    """
    from nmcdist.models.trials import additive_facts, particle_facts

    asked = {**(settings or {}), **wishes}
    if not asked:
        raise InputError(f"bundle {name!r}: found no wish and no parameter to set, expected at least one")
    validated(base.model_dump(by_alias=True) | {"name": name}, f"bundle {name!r}")  # refuses a name before the trials
    made = fulfilled(base, wishes, settings)
    what = ", ".join(f"{key} = {value:g}" if isinstance(value, float | int) else f"{key} = {list(value)}"
                     for key, value in asked.items())  # fmt: skip
    facts = ""
    if isinstance(made.parameters, CbaParameters):
        facts = f"Check: {additive_facts(made)}."
    elif isinstance(made.parameters, ParticleParameters):
        facts = f"Check: {particle_facts(made, grains=bool(set(asked) - {'median_diameter_um'}))}."
    content = made.model_dump(by_alias=True) | {
        "name": name,
        "title": f"{base.title}, with {what}",
        "description": f"Made from the bundle {base.name} (sha256 {base.content_hash}); asked for: {what}. {facts}",
        "calibration": {
            "data": f"none for {what}; otherwise as the bundle {base.name}: {base.calibration.data}",
            "method": f"asked for: {what}. {facts}",
            "date": date,
            "reference": base.calibration.reference,
        },
    }
    bundle = validated(content, f"bundle {name!r}")
    return bundle.with_arrays(base.arrays) if base.arrays else bundle
