"""The results of a calibration of shells: all numbers as JSON, and the arrays that the report draws."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmcdist.calibration.shell.blur import Edges
from nmcdist.calibration.shell.choose import Choice
from nmcdist.calibration.shell.correction import Correction
from nmcdist.calibration.shell.fit import ShellFit
from nmcdist.calibration.shell.imaging import Noise
from nmcdist.calibration.shell.rays import Surface
from nmcdist.calibration.shell.separate import Separated, Watershed
from nmcdist.calibration.shell.settings import ShellSettings
from nmcdist.calibration.shell.stars import Shapes
from nmcdist.calibration.shell.validation import Validation
from nmcdist.datasets.files import replacing, write_text
from nmcdist.errors import StoreError
from nmcdist.images import Image, Survey
from nmcdist.json_text import load_json
from nmcdist.wording import in_utf8

NUMBERS, SHOWN = "calibration.json", "shown.npz"
_LEAST_RADIUS = 5.0  # voxels; below, the error of a coefficient grows to 0.08 voxel


class SeparatedImage(NamedTuple):
    """Separated particles, with the watershed and the choice of the rule, unless the image has labels."""

    found: Separated
    phase: Any
    phase_share: float
    threshold: float | None
    edges: Edges | None
    noise: Noise | None
    surface: Surface | None
    watershed: Watershed | None
    choice: Choice | None
    segmenter: str | None = None  # its digest, if it found the phase
    doubts: tuple[str, ...] = ()  # why its phase may not be believed


class Calibrated(NamedTuple):
    """Everything that a calibration found; `chosen` has the rows of the fitted particles among the regions."""

    image: Image
    settings: ShellSettings
    seen: Survey
    regions: SeparatedImage
    chosen: np.ndarray
    shapes: Shapes
    weights: np.ndarray
    fixed: Correction
    judged: Correction | None
    fit: ShellFit
    checked: Validation
    unit_nm: float

    def write(self, numbers: Path, shown: Path, more: dict[str, Any]) -> None:
        """Write the arrays that the report draws, and then all numbers, with further ones."""
        arrays: Any = _shown(self)
        with replacing(shown) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
        write_text(numbers, json.dumps(_plain(_numbers(self) | more), indent=1) + "\n")


def read_calibrated(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the numbers and the arrays of a calibration; StoreError if they are missing or damaged."""
    numbers = load_json(folder / NUMBERS, StoreError)
    try:
        with np.load(folder / SHOWN, allow_pickle=False) as file:
            return numbers, dict(file)
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder / SHOWN}: cannot be read ({error})") from None


def _numbers(of: Calibrated) -> dict[str, Any]:
    image, settings, seen, regions, chosen, shapes, weights, fixed, judged, fit, checked, unit_nm = of
    counts, choice = regions.found.regions, regions.choice
    diameter = np.cbrt(6 * counts.voxels[chosen] / np.pi) * unit_nm
    return {
        "image": {"path": in_utf8(image.path), "sha256": seen.sha256, "shape": image.shape,
                  "voxel_size_nm": image.voxel_size_nm, "threshold": regions.threshold,
                  "phase_share": regions.phase_share, "segmenter": regions.segmenter,
                  "edges": None if regions.edges is None else regions.edges._asdict(),
                  "noise": None if regions.noise is None else regions.noise._asdict()},
        "settings": asdict(settings),
        "separation": None if choice is None else {
            "ratio": choice.ratio, "is_settled": choice.is_settled, "basins": 0 if regions.watershed is None else
            regions.watershed.count, "tied": [one.ratio for one in choice.rounds[-1].tied],
            "rounds": [{"ratio": one.ratio, "scores": [s._asdict() for s in one.scores]} for one in choice.rounds],
            "regions": len(counts.voxels),
        },
        "particles": {
            "count": len(chosen),
            "diameter_um": dict(zip(("5%", "25%", "50%", "75%", "95%"),
                                    np.quantile(diameter, (0.05, 0.25, 0.5, 0.75, 0.95)) / 1000, strict=True)),
            "visible_share": {"mean": shapes.visible.mean(), "5%": np.quantile(shapes.visible, 0.05)},
            "contact_share_of_faces": float(counts.contact_share[chosen].mean()),
            "contact_share_of_directions": float(shapes.contact_share.mean()),
            "contact_share_of_faces_in_packing": fixed.true_contact_share,
            "residual_voxels": float(shapes.residual.mean()),
            "effective_count": float(weights.sum() ** 2 / (weights**2).sum()),
        },
        "order": fit.order, "resolved": fit.resolved,
        "judged": None if judged is None else {
            "factors": judged.factors.tolist(), "errors": judged.errors.tolist(), "compared": judged.count,
            "known_over_corrected": (judged.factors / fixed.factors).tolist(),
        },
        "size": {"laws": [asdict(law) for law in fit.size_laws], "factor": fit.size_factor,
                 "factor_error": fit.size_factor_error, "compared": fixed.count},
        "degrees": [asdict(one) | {"nu": one.nu, "scale_nm": one.scale_nm} for one in fit.degrees],
        "edcc": fit.edcc,
        "validation": {"ks": checked.ks, "ks_uncorrected": checked.ks_uncorrected,
                       "ks_independent": checked.ks_independent,
                       "critical_ks": checked.critical, "drawn": checked.count,
                       "rejections": checked.rejections},
        "warnings": _warnings(of, float(np.median(diameter)) / (2 * unit_nm)),
    }  # fmt: skip


def _warnings(of: Calibrated, radius: float) -> list[str]:
    choice, fit = of.regions.choice, of.fit
    warnings = list(of.regions.doubts)
    if radius < _LEAST_RADIUS:
        warnings.append(f"the median radius is {radius:.1f} voxels: below 5, the error of a coefficient grows from "
                        "0.05 to 0.08 voxel, so fewer degrees are resolved")  # fmt: skip
    if choice is not None and not choice.is_settled:
        warnings.append("the choice of the neck ratio did not settle")
    if fit.size_laws[0].family != fit.size_law.family:
        warnings.append(f"the likelihood prefers a {fit.size_laws[0].family} law of a_00; the model has a log-normal "
                        "law with location")  # fmt: skip
    if fit.size_law.note:
        warnings.append(f"law of a_00: {fit.size_law.note}")
    return warnings


def _shown(of: Calibrated) -> dict[str, np.ndarray]:
    image, regions, chosen, shapes, checked = of.image, of.regions, of.chosen, of.shapes, of.checked
    middle = image.shape[0] // 2
    shown = {
        "slice": image.read(slice(middle, middle + 1))[0], "phase": regions.phase[middle],
        "regions": regions.found.plane(middle), "fitted": np.isin(regions.found.plane(middle), chosen + 1),
        "coefficients_nm": shapes.coefficients * of.unit_nm, "weights": of.weights,
        "visible": shapes.visible, "contact_share": shapes.contact_share,
    }  # fmt: skip
    for name, values in checked.measured.items():
        shown[f"measured_{name}"], shown[f"drawn_{name}"] = values, checked.drawn[name]
    if regions.watershed is not None and regions.choice is not None:
        packing = regions.choice.packing
        shown |= {
            "basins": regions.watershed.basins.labels[middle], "necks": regions.watershed.graph.ratios,
            "packing_true": packing.true.plane(middle), "packing_found": packing.found.plane(middle),
        }  # fmt: skip
    return shown


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers that are not finite become null."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value
