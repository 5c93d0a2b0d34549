"""``sections.npz``, the sections for the report: training, compared, generated and dropped ones."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from nmcdist.calibration.grains.results import NUMBERS, SectionNames
from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import StoreError

SECTIONS = "sections.npz"


@dataclass(frozen=True)
class ShownSections:
    """Sections of a calibration.

    Attributes
    ----------
    kept : list of Section
        Training sections, with missing pixels filled.
    measured, generated : list of Section
        Sections with which the model is compared, and one generated section for each.
    dropped : list of Section
        Sections that seem not to pass through the centre.
    """

    kept: list[Section]
    measured: list[Section]
    generated: list[Section]
    dropped: list[Section]

    @property
    def pixel_size_nm(self) -> float:
        """Edge of the pixels of all sections."""
        return self.kept[0].pixel_size_nm

    def write(self, path: Path) -> None:
        """Write the file; the names of the sections are only in ``calibration.json``."""
        arrays: dict[str, np.ndarray] = {}
        for group in fields(self):
            for k, section in enumerate(getattr(self, group.name)):
                arrays[f"{group.name}_{k}"] = section.labels
                arrays[f"{group.name}_{k}_place"] = np.array([section.pixel_size_nm, *section.centre_px])
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path, names: SectionNames) -> "ShownSections":
        """Read the file; StoreError if it or a section is missing or damaged."""
        try:
            # Opened here, because numpy does not close a damaged archive.
            with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except FileNotFoundError:
            raise StoreError(f"{path}: no such file, expected the sections of a calibration") from None
        except Exception as error:  # numpy raises errors of any type on damaged archives
            raise StoreError(f"{path}: damaged ({' '.join(str(error).split())}), expected arrays") from None
        groups = {
            "kept": names.kept, "measured": names.compared, "generated": names.compared, "dropped": names.dropped
        }  # fmt: skip
        return cls(**{
            group: [_section(path, arrays, f"{group}_{k}", name) for k, name in enumerate(of)]
            for group, of in groups.items()
        })  # fmt: skip


def _section(path: Path, arrays: Mapping[str, np.ndarray], key: str, name: str) -> Section:
    for lacking in (key, f"{key}_place"):
        if lacking not in arrays:
            raise StoreError(f"{path}: lacks {lacking!r}, expected it for section {name!r} of {NUMBERS}")
    labels, place = arrays[key], arrays[f"{key}_place"]
    if labels.ndim != 2 or labels.dtype.kind != "i" or not (labels > 0).any():
        raise StoreError(
            f"{path}: {key} is {labels.dtype} of shape {labels.shape}, expected an image of labelled grains"
        )
    if place.shape != (3,) or not np.isfinite(place).all() or not place[0] > 0:
        raise StoreError(
            f"{path}: {key}_place is {place.tolist()}, expected a pixel size and the row and column of a centre"
        )
    return Section(name, labels.astype(np.int32), float(place[0]), (float(place[1]), float(place[2])))
