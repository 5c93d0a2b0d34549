"""The keys of a virtual store: which chunk of which variable a key names."""

import math
import re
from collections.abc import Iterator

from nmcdist.datasets.layout import Layout, Variable

_KEY = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)/c((?:/(?:0|[1-9][0-9]{0,17}))+)", re.ASCII)


class Keys:
    """The chunks of a layout, by their keys."""

    def __init__(self, layout: Layout) -> None:
        self._variables = {v.name: v for v in layout.variables}

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

    def count(self) -> int:
        """Return the number of chunks."""
        return sum(math.prod(_counts(v)) for v in self._variables.values())

    def __iter__(self) -> Iterator[str]:
        """Yield every key; there may be billions."""
        for variable in self._variables.values():
            yield from variable.files()


def _counts(variable: Variable) -> tuple[int, ...]:
    return tuple(-(-n // c) for n, c in zip(variable.shape, variable.chunks, strict=True))
