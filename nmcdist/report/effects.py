"""What each part of the additive does to the pores, as a section of a page."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nmcdist.learning.effects import facts_of
from nmcdist.report.tables import markdown

if TYPE_CHECKING:
    import xarray as xr

TITLE = "What each part does to the pores"
ABOUT = (
    "The same realisations, drawn again from some of their parts. M is the M-factor of the pores, mean over axes and "
    "volumes. The standard error and the correlation are over independent realisations: volumes with the same random "
    "streams count once, and fewer than three give neither."
)


def about_effects(data: "xr.Dataset") -> list[str]:
    """Return the section on the interventions of a dataset; nothing if it has none."""
    facts = facts_of(data)
    return [f"## {TITLE}", ABOUT, *effect_tables(facts)] if facts["effects"] else []


def effect_tables(facts: Mapping[str, Any]) -> list[str]:
    """Return the table and the sentence on what :func:`nmcdist.learning.effects.facts_of` found."""
    header = ["intervention", "realisations", "mean M", "standard error", "mean ratio to the full M", "correlation"]
    parts = [markdown(header, [_row(effect) for effect in facts["effects"]])]
    if rule := facts["product_rule"]:
        parts.append(
            "Product rule, M without graphite times M of graphite alone, against the full M of "
            f"{rule['volumes']} volumes: R2 {_number(rule['r2'], 3)}, median error "
            f"{_number(100 * rule['median_error'] if rule['median_error'] is not None else None, 1)} %."
        )
    return parts


def _row(effect: Mapping[str, Any]) -> Sequence[str]:
    numbers = (effect[name] for name in ("mean", "error", "ratio", "correlation"))
    return [effect["name"].replace("_", " "), str(effect["realisations"]), *(_number(each, 4) for each in numbers)]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"
