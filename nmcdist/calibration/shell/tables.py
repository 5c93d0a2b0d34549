"""What a calibration of shells found, as named arrays: the stages that are tables."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nmcdist.calibration.shell.choose import Round
from nmcdist.calibration.shell.fit import ShellFit, fit_laws
from nmcdist.calibration.shell.packing import Score
from nmcdist.calibration.shell.regions import Regions


def tables_of_choice(rounds: Sequence[Round]) -> dict[str, np.ndarray]:
    """Return the ratio that each round re-populated, and its scores, a column each; NaN is the rule of the paper."""
    scores = [score for one in rounds for score in one.scores]
    tables = {name: np.array([getattr(score, name) for score in scores], np.float64) for name in Score._fields}
    round_of_score = np.repeat(np.arange(len(rounds)), [len(one.scores) for one in rounds])
    repopulated = np.array([one.ratio for one in rounds], np.float64)
    return {"repopulated": repopulated, "round": round_of_score} | tables


def tables_of_regions(found: tuple[np.ndarray, Regions]) -> dict[str, np.ndarray]:
    """Return the region of each basin, and the counts of the regions."""
    numbers, regions = found
    return {"numbers": numbers, **vars(regions)}


def tables_of_fit(given: Sequence[Any]) -> dict[str, np.ndarray]:
    """Fit the laws with the arguments of :func:`nmcdist.calibration.shell.fit.fit_laws`; return them as JSON."""
    return {"json": np.array(json.dumps(asdict(fit_laws(*given))))}


def fit_of(tables: Any) -> ShellFit:
    """Return the laws from :func:`tables_of_fit`."""
    from pydantic import TypeAdapter

    return TypeAdapter(ShellFit).validate_python(json.loads(str(tables["json"])))
