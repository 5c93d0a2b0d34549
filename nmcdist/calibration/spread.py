"""How calibrations spread independent pieces of work."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Spread = Callable[[Callable[..., Any], Iterable[Any]], Iterator[Any]]
"""Like the builtin `map` with one iterable: results in order; functions and items must be picklable."""
