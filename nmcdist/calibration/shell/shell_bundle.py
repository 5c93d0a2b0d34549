"""The bundle of a fitted outer shell model, with the grains of another bundle."""

from typing import Any

from nmcdist.bundle import Bundle
from nmcdist.bundle.schema import Calibration, ParameterRecord
from nmcdist.calibration.shell.fit import ShellFit

_PLACES = "{:.6g}"  # digits of fitted values, so that they do not depend on the last digit of a solver


def shell_bundle(fit: ShellFit, base: Bundle, minimum_volume_nm3: float, about: dict[str, Any]) -> Bundle:
    """Return a bundle with fitted shells and the grains of a base bundle.

    Parameters
    ----------
    fit : ShellFit
    base : Bundle
        A particle bundle.
    minimum_volume_nm3 : float
        Volume of the smallest particle that was fitted.
    about : dict
        name, title, description, licence, and the data, method, date, reference and distances of the calibration.

    Raises
    ------
    BundleError
        If a value is not possible in a bundle.
    """
    law = fit.size_law
    size, factor = law.values, fit.size_factor
    resolved = [one.degree for one in fit.degrees if one.is_resolved]
    lost = [str(one.degree) for one in fit.degrees if not one.is_resolved]
    families = ", ".join(f"{one.laws[0].family} for l = {one.degree}" for one in fit.degrees if one.is_resolved)
    missing = f"; l = {', '.join(lost)} not resolved by the voxels: scale {1e-6} nm in place of 0" if lost else ""
    errors = {name: _plus_minus(error) for name, error in law.errors.items()}
    records = {
        "shell_location_nm": _fitted(size["location"] * factor, "nm", f"standard error {errors['location']}"),
        "shell_scale_nm": _fitted(size["scale"] * factor, "nm", f"standard error {errors['scale']}"),
        "shell_sigma": _fitted(size["sigma"], "1", f"standard error {errors['sigma']}"),
        "shell_nu": _fitted(
            tuple(one.nu for one in fit.degrees), "1",
            f"family by likelihood: {families or 'none'}; 1e9 stands for the normal law; standard errors "
            + _listed(one.laws[0].errors.get("nu") for one in fit.degrees if one.degree in resolved),
        ),
        "shell_harmonic_scale_nm": _fitted(
            tuple(one.scale_nm for one in fit.degrees), "nm",
            "standard errors " + _listed(_scale_error(one) for one in fit.degrees if one.degree in resolved)
            + missing,
        ),
        "shell_minimum_volume_nm3": _fitted(
            minimum_volume_nm3, "nm^3", "smaller particles were left out of the fit", "assumed"
        ),
    }  # fmt: skip
    calibration = Calibration(**{key: about[key] for key in ("data", "method", "date", "reference", "distances")})
    bundle = base.model_copy(update={
        "name": about["name"], "title": about["title"], "description": about["description"],
        "licence": about["licence"], "values": {**base.values, **records}, "calibration": calibration,
    })  # fmt: skip
    return Bundle.model_validate(bundle.model_dump(by_alias=True)).with_arrays(base.arrays)


def _fitted(value: Any, unit: str, source: str, provenance: Any = "fitted") -> ParameterRecord:
    rounded = tuple(map(_rounded, value)) if isinstance(value, tuple) else _rounded(value)
    return ParameterRecord(value=rounded, unit=unit, provenance=provenance, source=source)


def _scale_error(one: Any) -> float:
    """Return the standard error of a corrected scale: of the fit, and of the correction."""
    law = one.laws[0]
    relative = (law.errors["scale"] / law.values["scale"]) ** 2 + (one.factor_error / one.factor) ** 2
    return float(one.scale_nm * relative**0.5)


def _rounded(value: float) -> float:
    return float(_PLACES.format(value))


def _listed(errors: Any) -> str:
    return ", ".join(_plus_minus(error) for error in errors) or "none"


def _plus_minus(error: float | None) -> str:
    return "-" if error is None else "not identified" if error != error else f"{error:.2g}"
