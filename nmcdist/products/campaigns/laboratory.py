"""A campaign whose evaluations are made elsewhere: a laboratory, or another solver, reads proposals and tells results.

The record is a CSV file: the number of a point, its parameters, and the quantities of the goal, empty until they are
told; "nan" says that an evaluation failed.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nmcdist.datasets.files import write_text
from nmcdist.design.answers import answers
from nmcdist.design.emulator import FEWEST, Emulator
from nmcdist.errors import InputError
from nmcdist.inputs import read_text
from nmcdist.products.campaigns.recipe import CampaignRecipe, largest_value
from nmcdist.wording import one_line, shown

NUMBER = "point"
_MOST_BYTES = 10**8


@dataclass
class Laboratory:
    """The record of a campaign.

    Attributes
    ----------
    recipe : CampaignRecipe
    path : Path
        The record; it may not exist yet.
    places : list of ndarray, shape (d,)
        Proposed points in the unit cube.
    results : list of ndarray, shape (quantities,), or None
        None until told; NaN for a failed evaluation.
    """

    recipe: CampaignRecipe
    path: Path
    places: list[np.ndarray] = field(default_factory=list)
    results: list[np.ndarray | None] = field(default_factory=list)

    @classmethod
    def of(cls, recipe: CampaignRecipe, path: Path) -> "Laboratory":
        """Read a record, or begin one.

        Raises
        ------
        InputError
            If it is not a record of this recipe, or the recipe draws volumes again.
        """
        if recipe.fidelities:
            raise InputError(
                f"campaign {recipe.name!r}: fidelities: found one, expected none with ask and tell, which cannot draw "
                "a volume again"
            )
        lab = cls(recipe, path)
        if path.exists():
            told = _rows(path, lab._header)
            for number, row in enumerate(told):
                place = lab._next(number)
                if place is None or row[NUMBER] != str(number) or not lab._is_of(place, row):
                    raise InputError(f"{path}: row {number + 2} is not point {number} of campaign {recipe.name!r}")
                lab.places.append(place)
                lab.results.append(lab._result(row, f"{path}: row {number + 2}"))
        return lab

    def ask(self, count: int) -> list[dict[str, float]]:
        """Propose further points, and write them to the record.

        Raises
        ------
        InputError
            If a result is needed first, or the campaign has no points left.
        """
        first, found = len(self.places), list[dict[str, float]]()
        for number in range(first, min(first + count, self.recipe.evaluations)):
            place = self._next(number)
            if place is None:
                break
            self.places.append(place)
            self.results.append(None)
            found.append(self.recipe.space.space.point(place))
        if not found:
            raise InputError(f"{self.path}: {self._why_none()}")
        self._write()
        return found

    def tell(self, path: Path) -> int:
        """Take results from a file with the columns of the record, and return how many were new.

        Raises
        ------
        InputError
            If a row is of a point that was not asked for, or its result differs from one told before.
        """
        taken = list(self.results)
        for line, row in enumerate(_rows(path, [NUMBER, *self.recipe.goal.names]), 2):
            where = f"{path}: row {line}"
            result = self._result(row, where)
            number = int(row[NUMBER]) if row[NUMBER].isdecimal() else -1
            if not 0 <= number < len(taken):
                raise InputError(f"{where}: found point {shown(row[NUMBER])}, expected one that was asked for")
            before = taken[number]
            if result is not None and before is not None and not np.array_equal(before, result, equal_nan=True):
                raise InputError(f"{where}: point {number} has another result already, {before.tolist()}")
            taken[number] = before if result is None else result
        new = sum(a is not None for a in taken) - sum(a is not None for a in self.results)
        self.results = taken
        self._write()
        return new

    def best(self) -> tuple[dict[str, float], dict[str, tuple[float, float, float]]] | None:
        """Return the best point known, and each quantity there: low, predicted, high; None before there are results."""
        known = [k for k, result in enumerate(self.results) if result is not None and np.isfinite(result).all()]
        if len(known) < FEWEST:
            return None
        places = np.array([self.places[k] for k in known])
        results = np.array([self.results[k] for k in known])
        emulator = Emulator.fit(self.recipe.proposer_of_points.quantities, places, results)
        space = self.recipe.space.space
        answer = answers(space, self.recipe.goal.goal, emulator, 1, self.recipe.seed)[0]
        found = {}
        for quantity, mean, deviation in zip(emulator.quantities, answer.mean, answer.deviation, strict=True):
            ends = quantity.physical(np.array([mean - 2 * deviation, mean, mean + 2 * deviation])).tolist()
            found[quantity.name] = (ends[0], ends[1], ends[2])
        return space.point(answer.place), found

    @property
    def _header(self) -> list[str]:
        return [NUMBER, *self.recipe.varied, *self.recipe.goal.names]

    def _next(self, number: int) -> np.ndarray | None:
        """Return a point; None if it needs results that were not told."""
        proposer = self.recipe.proposer_of_points
        needed = proposer.needs(number)
        rows = [result for result in self.results[:needed] if result is not None]
        if number >= self.recipe.evaluations or len(rows) < needed:
            return None
        places = np.array(self.places[:needed]).reshape(-1, proposer.space.dimensions)
        return proposer.propose(number, places, np.array(rows).reshape(-1, len(proposer.goal)))

    def _why_none(self) -> str:
        if len(self.places) >= self.recipe.evaluations:
            return f"all {self.recipe.evaluations} points of the campaign were proposed"
        missing = next(k for k, result in enumerate(self.results) if result is None)
        return f"point {missing} has no result, and the next proposal needs it; tell it first"

    def _is_of(self, place: np.ndarray, row: dict[str, str]) -> bool:
        point = self.recipe.space.space.point(place)
        return all(math.isclose(_number(row[name]), value, rel_tol=1e-5) for name, value in point.items())

    def _result(self, row: dict[str, str], where: str) -> np.ndarray | None:
        texts = [row[name].strip() for name in self.recipe.goal.names]
        if not any(texts):
            return None
        values = np.array([_number(text) for text in texts])
        is_failed = all(text.lower() == "nan" for text in texts)
        if not is_failed and not np.isfinite(values).all():
            raise InputError(f"{where}: found {texts}, expected numbers, or nan for a failed evaluation")
        for name, value in zip(self.recipe.goal.names, values.tolist(), strict=True):
            largest = largest_value(name)
            if not is_failed and not 0 <= value <= largest:
                raise InputError(f"{where}: {name}: found {value:g}, expected a number from 0 to {largest:g}")
        return values

    def _write(self) -> None:
        rows = []
        for number, (place, result) in enumerate(zip(self.places, self.results, strict=True)):
            point = self.recipe.space.space.point(place).values()
            told = [""] * len(self.recipe.goal.names) if result is None else [repr(float(v)) for v in result]
            rows.append(",".join([str(number), *(f"{value:.9g}" for value in point), *told]))
        write_text(self.path, "\n".join([",".join(self._header), *rows]) + "\n")


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    text = read_text(path, InputError, _MOST_BYTES)
    try:
        lines = [row for row in csv.reader(text.splitlines(), strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path}: {one_line(error)}; expected a table with commas between its columns") from None
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    for name in columns:
        if header.count(name) != 1:
            count = "no column" if name not in header else "several columns"
            raise InputError(f"{path}: found {count} {name!r}, expected {', '.join(columns)}, with commas between")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise InputError(f"{path}: row {number}: found {len(row)} fields, expected {len(header)}")
    return [{name: row[header.index(name)] for name in columns} for row in rows]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
