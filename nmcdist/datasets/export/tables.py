"""Tables as text files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nmcdist.datasets.export.content import About


def write_csv(path: Path, columns: Mapping[str, np.ndarray], about: About) -> None:
    """Write columns of numbers, one line per row, below a line with their names."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write(",".join(columns) + "\n")
        for row in zip(*(column.tolist() for column in columns.values()), strict=True):
            stream.write(",".join(f"{value:.9g}" for value in row) + "\n")
