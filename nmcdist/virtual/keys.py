"""The keys of a virtual store: which chunk of which variable a key names."""

import math
import re
from collections.abc import Iterable

import numpy as np

from nmcdist.datasets.layout import Variable

_KEY = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)/c((?:/(?:0|[1-9][0-9]{0,17}))+)", re.ASCII)


class Keys:
    """The chunks of computed variables, by their keys."""

    def __init__(self, variables: Iterable[Variable]) -> None:
        self._variables = {v.name: v for v in variables}

    @property
    def largest_bytes(self) -> int:
        """Bytes of the largest chunk before compression."""
        return max((math.prod(v.chunks) * np.dtype(v.dtype).itemsize for v in self._variables.values()), default=0)

    def place(self, key: str) -> tuple[Variable, tuple[int, ...]]:
        """Return the variable and the index of the chunk that a key names.

        Raises
        ------
        KeyError
            If the layout has no such chunk.
        """
        found = _KEY.fullmatch(key)
        variable = self._variables.get(found[1]) if found else None
        if found is None or variable is None:
            raise KeyError(key)
        index = tuple(map(int, found[2][1:].split("/")))
        counts = _counts(variable)
        if len(index) != len(counts) or not all(k < n for k, n in zip(index, counts, strict=True)):
            raise KeyError(key)
        return variable, index


def _counts(variable: Variable) -> tuple[int, ...]:
    return tuple(-(-n // c) for n, c in zip(variable.shape, variable.chunks, strict=True))
