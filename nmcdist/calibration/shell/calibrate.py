"""The whole calibration of shells, from an image to a bundle, its results, and what the report shows."""

import math
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle, save_bundle
from nmcdist.calibration.segmenter.bundles import Segmenter
from nmcdist.calibration.shell.blocks import Arrays, Digested, copied, in_memory
from nmcdist.calibration.shell.blur import between_voxels, left_by_blur, measured_edges, sharpened
from nmcdist.calibration.shell.by_segmenter import phase_by_segmenter
from nmcdist.calibration.shell.centring import about_centre_of_mass
from nmcdist.calibration.shell.choose import choose_ratio, judge_rule, repacked
from nmcdist.calibration.shell.correction import Correction, correction
from nmcdist.calibration.shell.harmonics import random_rotations
from nmcdist.calibration.shell.imaging import measured_noise
from nmcdist.calibration.shell.keeper import Keeper, once
from nmcdist.calibration.shell.laws import window_weights
from nmcdist.calibration.shell.parts import connected_parts, occupied
from nmcdist.calibration.shell.phase import phase_by_threshold, phase_of_label
from nmcdist.calibration.shell.rays import Surface
from nmcdist.calibration.shell.results import NUMBERS, SHOWN, Calibrated, SeparatedImage
from nmcdist.calibration.shell.seen import corrected_edges, grey_corrections
from nmcdist.calibration.shell.separate import Separated, Spacing, Watershed
from nmcdist.calibration.shell.settings import ORDER, ShellSettings
from nmcdist.calibration.shell.shell_bundle import shell_bundle
from nmcdist.calibration.shell.stars import Shapes, fit_shapes
from nmcdist.calibration.shell.tables import fit_of, tables_of_choice, tables_of_fit, tables_of_regions
from nmcdist.calibration.shell.validation import validate
from nmcdist.calibration.spread import Spread
from nmcdist.calibration.stages import Stages
from nmcdist.errors import ImageError, StoreError
from nmcdist.images import Image, Survey, survey
from nmcdist.inputs import made_folder
from nmcdist.version import __version__
from nmcdist.wording import in_utf8

BUNDLE = "bundle"
FEWEST = 20  # whole particles; the laws have up to three parameters each
_FEW_VALUES = 8
_BYTES_PER_VOXEL = 60  # of all arrays at once
_MOST_BYTES = 2_000_000_000  # of arrays in memory: larger images are worked on in files, also in this process

Progress = Callable[[dict[str, Any]], None]
_PAPER = (
    "outer shell model of Fuchs et al., Generating multi-scale Li-ion battery cathode particles with radial grain "
    "architectures using stereological generative adversarial networks, Communications Materials 6 (2025), "
    "doi:10.1038/s43246-024-00728-5"
)


def calibrate_shells(
    image: Image, settings: ShellSettings, base: Bundle, out: Path, *, name: str = "shells", title: str = "",
    description: str = "", licence: str = "not stated", progress: Progress = lambda facts: None,
    segmenter: Segmenter | None = None, spread: Spread = map, stages: Stages | None = None,
) -> Bundle:  # fmt: skip
    """Calibrate the outer shell model on an image of particles.

    Writes the bundle, `calibration.json` with all numbers, and `shown.npz` with what the report draws.

    Parameters
    ----------
    image : Image
    settings : ShellSettings
    base : Bundle
        Particle bundle that supplies the grains.
    out : Path
        New or empty folder.
    name, title, description, licence : str
        Of the bundle.
    progress : callable
        Called after each step with a dictionary that describes it.
    segmenter : Segmenter, optional
        Says which voxels of a grey image are particles, in place of a threshold.
    spread : callable
        Applies a function to items as `map` does, in order.
        Instead of that of the stages, if there are some.
    stages : Stages, optional
        Where arrays and results are kept, in a folder within `out`, which then need not be new. Without them, all
        arrays are in memory.

    Raises
    ------
    BundleError
        If the base is not a particle bundle, or the name is not possible.
    ImageError
        If the image cannot be used, or has fewer than 20 whole particles.
    StoreError
        If the folder is not empty or cannot be made.
    """
    Bundle.of(name, title, base.particle(), licence=licence, description=description)  # refused before the work
    arrays: Arrays = in_memory
    if stages is None:
        made_folder(out, StoreError)
    else:
        fits = stages.spread is map and math.prod(image.shape) * _BYTES_PER_VOXEL <= _MOST_BYTES
        keeper = Keeper(stages, image.voxel_size_nm, in_memory=fits)
        spread, arrays = keeper, keeper.arrays
    seen, start = survey(image), time.process_time()
    spacing, unit_nm = _spacing(image)
    regions = _separate(image, settings, seen, spacing, segmenter, progress, spread, arrays)
    regions = regions._replace(edges=corrected_edges(regions, settings, arrays))
    cost, start = {"separation_and_choice_cpu_s": time.process_time() - start}, time.process_time()
    chosen, shapes, left = _fit_shapes(regions, settings, spacing, spread)
    counts = regions.found.regions
    weights = window_weights(counts.low[chosen], counts.high[chosen], image.shape)
    cost["shapes_cpu_s"], start = time.process_time() - start, time.process_time()
    fixed, judged = _corrections(regions, (shapes.coefficients, weights, left), settings, spacing, spread, arrays)
    cost["correction_cpu_s"], start = time.process_time() - start, time.process_time()
    given = shapes.coefficients, weights, unit_nm, fixed, left, settings.seed
    fit = fit_of(once(spread, "fit", tables_of_fit, given))
    cost["laws_cpu_s"], start = time.process_time() - start, time.process_time()
    progress({"event": "fitted", "particles": len(chosen), "order": fit.order})
    of = in_utf8(image.path.name)
    about = {
        "name": name, "title": title or f"NMC particles with shells fitted to {of}",
        "description": description or f"Outer shells fitted to {len(chosen)} whole particles of {of}; "
        f"grains of the bundle {base.name}, which that image does not show.",
        "licence": licence, "date": date.today().isoformat(), "reference": _PAPER, "distances": {},
        "data": f"{len(chosen)} whole particles of {of} (sha256 of its voxels {seen.sha256}), voxels of "
        f"{' x '.join(f'{length:g}' for length in image.voxel_size_nm)} nm; grains: {base.calibration.data}",
        "method": f"{_method(settings, regions)}; nmcdist {__version__}, numpy {np.__version__}, Python "
        f"{platform.python_version()} on {platform.machine()}",
    }  # fmt: skip
    least_nm3 = settings.least_voxels * unit_nm**3
    bundle = shell_bundle(fit, base, least_nm3, about)
    checked = validate(bundle, shapes.coefficients * unit_nm, weights, fixed.factors, settings.seed)
    cost["validation_cpu_s"] = time.process_time() - start
    bundle = bundle.model_copy(update={"calibration": bundle.calibration.model_copy(update={
        "distances": {one: round(value, 4) for one, value in checked.ks.items()}})})  # fmt: skip
    save_bundle(bundle, out / BUNDLE)
    found = Calibrated(image, settings, seen, regions, chosen, shapes, weights, fixed, judged, fit, checked, unit_nm)
    found.write(out / NUMBERS, out / SHOWN, {
        "cost": cost, "bundle": {"name": bundle.name, "sha256": bundle.content_hash, "base": base.name},
    })  # fmt: skip
    progress({"event": "calibrated", "bundle": str(out / BUNDLE), "sha256": bundle.content_hash})
    return bundle


def _separate(
    image: Image, settings: ShellSettings, seen: Survey, spacing: Spacing, segmenter: Segmenter | None,
    progress: Progress, spread: Spread, arrays: Arrays,
) -> SeparatedImage:  # fmt: skip
    values = copied(Digested(image, seen.sha256), arrays, spread)
    if settings.is_labelled:
        return _labelled(image, values, spacing, spread, arrays)
    threshold = edges = noise = surface = digest = None
    doubts: list[str] = []
    if settings.phase is not None:
        phase = phase_of_label(values, settings.phase, spread=spread, arrays=arrays)
    elif seen.values and len(seen.values) <= _FEW_VALUES:
        listed = ", ".join(f"{value:g}" for value in seen.values)
        raise ImageError(
            f"{image.path}: holds the values {listed} only, so it is not grey; give the value of the particles "
            "(--phase), or --labels if each particle has its own"
        )
    elif segmenter is not None:  # its borders are those of the truth: there is no blur to take out
        phase, doubts = phase_by_segmenter(image, values, segmenter, spread=spread, arrays=arrays)
        digest = segmenter.digest
        for warning in doubts:
            progress({"event": "warning", "text": warning})
    else:
        grey = phase_by_threshold(values, settings.sigma, settings.side, spread=spread, arrays=arrays)
        phase, threshold = grey.phase, grey.threshold
        edges = measured_edges(grey, spacing, settings.side, spread)
        noise = measured_noise(grey, edges, spread)
        surface = Surface(grey.smooth, threshold, 1.0 if settings.side == "bright" else -1.0)
    start = time.process_time()
    watershed = Watershed.of(phase, spacing, settings.h, spread=spread, arrays=arrays)
    progress({"event": "watershed", "basins": watershed.count, "cpu_seconds": round(time.process_time() - start, 2)})
    how: dict[str, Any] = {"least_voxels": settings.least_voxels, "h": settings.h, "arrays": arrays}
    if settings.merging == "paper" or settings.neck_ratio is not None:
        choice = judge_rule(watershed, settings.neck_ratio, **how)
    else:
        choice = choose_ratio(watershed, **how)
    progress({"event": "separated", "ratio": choice.ratio, **choice.score._asdict()})
    once(spread, "choice", tables_of_choice, choice.rounds)
    found = watershed.separated(choice.ratio)
    once(spread, "regions", tables_of_regions, (found.numbers, found.regions))
    share = float(watershed.basins.counts.voxels.sum() / np.prod(image.shape))
    return SeparatedImage(
        found, phase, share, threshold, edges, noise, surface, watershed, choice, digest, tuple(doubts)
    )


def _labelled(image: Image, values: Any, spacing: Spacing, spread: Spread, arrays: Arrays) -> SeparatedImage:
    found = occupied(values, spread=spread, arrays=arrays)
    if found is None:
        raise ImageError(f"{image.path}: found values that are not whole numbers from 0, expected labels of particles")
    phase, voxels = found
    parts, count = connected_parts(values, spread=spread, arrays=arrays)
    regions = Separated.of(parts, count, spacing, spread)
    once(spread, "regions", tables_of_regions, (regions.numbers, regions.regions))
    return SeparatedImage(regions, phase, voxels / math.prod(image.shape), None, None, None, None, None, None)


def _fit_shapes(
    image: SeparatedImage, settings: ShellSettings, spacing: Spacing, spread: Spread
) -> tuple[np.ndarray, Shapes, np.ndarray]:
    """Return the rows of the whole particles with a star shape, the shapes, and what a blur left of each degree."""
    chosen = np.flatnonzero(image.found.kept(settings.least_voxels))
    rotations, is_masked = random_rotations(len(chosen), settings.seed), settings.contacts == "mask"
    shapes = fit_shapes(
        image.found, chosen, rotations, spacing, ORDER, settings.contacts, is_centred=is_masked, spread=spread,
        surface=image.surface if is_masked else None,
    )  # fmt: skip
    kept = shapes.is_star
    if kept.sum() < FEWEST:
        raise ImageError(
            f"image: found {kept.sum()} whole particles of at least {settings.least_voxels} voxels, expected "
            f"{FEWEST} or more"
        )
    shapes = Shapes(*(part[kept] for part in shapes))
    if image.edges is None or not is_masked:
        return chosen[kept], shapes, np.ones((len(shapes.is_star), ORDER + 1))
    rows, edges = shapes.coefficients, between_voxels(image.edges, spacing)
    left = left_by_blur(rows[:, 0] / np.sqrt(4 * np.pi), edges, ORDER)
    clear = about_centre_of_mass(sharpened(rows, edges))
    return chosen[kept], shapes._replace(coefficients=clear), left


def _corrections(
    image: SeparatedImage, fitted: tuple[np.ndarray, np.ndarray, np.ndarray], settings: ShellSettings,
    spacing: Spacing, spread: Spread, arrays: Arrays,
) -> tuple[Correction, Correction | None]:  # fmt: skip
    """Return the correction by a packing of shapes turned at random, and that by another, which judges it.

    A packing of shapes as they lie in the image would meet the same voxels again: its known shapes share their error
    with the fitted ones, and the correction would be off by up to 8 % of a spread.

    None for given labels, for which no separation can be repeated, nor for the paper's fit.
    """
    choice, water = image.choice, image.watershed
    if choice is None or water is None or settings.contacts == "keep":
        return Correction(np.ones(ORDER + 1), np.zeros(ORDER + 1), None, None, 0, float("nan")), None
    if image.edges is not None:
        return grey_corrections(image, *fitted, settings, arrays)

    def of(seed: int) -> Correction:
        packing = repacked(water, choice.ratio, seed, least_voxels=settings.least_voxels, h=settings.h, arrays=arrays)
        return correction(packing, spacing, ORDER, settings.least_voxels, settings.contacts, spread)

    return of(settings.seed + 1), of(settings.seed + 2)


def _method(settings: ShellSettings, regions: SeparatedImage) -> str:
    choice = regions.choice
    if choice is None:
        rule = "labelled particles"
    elif choice.ratio is None:
        rule = "watershed, merged by the rule of the reference"
    else:
        how = "given" if settings.neck_ratio is not None else "chosen by a packing of known shapes"
        rule = f"watershed, merged above neck ratio {choice.ratio:g} ({how})"
    contacts = "masked" if settings.contacts == "mask" else "kept"
    corrected = "; law corrected by the packing" if choice is not None and settings.contacts == "mask" else ""
    found = "" if regions.segmenter is None else f"phase by a segmenter (sha256 {regions.segmenter}); "
    return (
        f"{found}{rule}; contacts {contacts}; weights for particles cut by the border{corrected}; seed {settings.seed}"
    )


def _spacing(image: Image) -> tuple[Spacing, float]:
    unit_nm = float(np.cbrt(np.prod(image.voxel_size_nm)))
    z, y, x = (length / unit_nm for length in image.voxel_size_nm)
    return (z, y, x), unit_nm
