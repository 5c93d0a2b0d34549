"""Three-phase labels to a bundle of the additive: count, fit, bootstrap, correct, write."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.arguments import check_one_of
from nmcdist.bundle import Bundle, CbaParameters, save_bundle
from nmcdist.calibration.cba.adequacy import compared_levels, curves_of_image, curves_with_envelopes
from nmcdist.calibration.cba.bootstrap import Bootstrap, bootstrap
from nmcdist.calibration.cba.counts import PHASE_LABELS, Counts, count_images
from nmcdist.calibration.cba.doubts import doubts
from nmcdist.calibration.cba.fit import (
    UNITS,
    Fit,
    corrected,
    fit_counts,
    fractions,
    quantities,
)  # fmt: skip
from nmcdist.calibration.cba.graphite import ALPHA_1, fit_graphite, plates
from nmcdist.calibration.cba.lags import LONGEST_NM
from nmcdist.calibration.cba.large_pores import PICTURE, Picture, middle_slice
from nmcdist.calibration.cba.paper import fit_as_paper
from nmcdist.calibration.cba.results import RESULTS, Profile, Results
from nmcdist.calibration.cba.stated import fitted_bundle, paper_bundle, stated
from nmcdist.calibration.spread import Spread
from nmcdist.calibration.stages import Stages
from nmcdist.errors import InputError, StoreError
from nmcdist.images import Image, survey
from nmcdist.inputs import empty_folder
from nmcdist.wording import in_utf8

BUNDLE, PAPER_BUNDLE = "bundle", "bundle-paper"
METHODS = ("weighted", "paper")
_DIGITS = 6  # of the values in a bundle: more would differ between machines
_LARGEST_RADIUS_NM = 1000.0
Progress = Callable[[dict[str, Any]], None]


def calibrate_cba(
    images: Sequence[Image],
    out: Path,
    *,
    phases: Mapping[str, int] = PHASE_LABELS,
    alpha_1: float = ALPHA_1,
    longest_nm: float = LONGEST_NM,
    replicates: int = 20,
    seed: int = 1,
    method: str = "weighted",
    name: str = "cba-fitted",
    licence: str = "not stated",
    doubted: Sequence[str] = (),
    stages: Stages | None = None,
    labelled_from: tuple[Path, str] | None = None,
    spread: Spread = map,
    progress: Progress = lambda facts: None,
) -> Results:
    """Fit the additive to images of three-phase labels, which count as one sample.

    Parameters
    ----------
    images : sequence of Image
    out : Path
        New folder for the bundle and ``results.json``.
    phases : mapping of str to int
        Value in the images of "pore", "carbon_binder" and "graphite".
    alpha_1 : float
        Shape of the law of half-axis a, which an image does not fix.
    longest_nm : float
        Longest lag of the carbon binder's curve.
    replicates : int
        Of the bootstrap, at least five; 0 leaves it out, and with it the correction and errors of graphite.
    seed : int
        Of the replicates.
    method : {"weighted", "paper"}
        "paper" also fits as the CBA paper does, for comparison, into a bundle of its own, ``bundle-paper``.
    name, licence : str
        Of the bundle.
    doubted : sequence of str
        Why the labels may not be believed; the first warnings of the results.
    stages : Stages, optional
        Where counts and replicates are kept, in a folder within `out`, which then need not be new.
    labelled_from : (Path, str), optional
        Path and digest of the grey stack that the labels were made from, which the results name in their place.
    spread : callable
        Like the builtin `map`; counts of pieces of an image and replicates are its items.
    progress : callable
        Called with facts about each step.

    Returns
    -------
    Results
        Also in ``results.json``; the bundle is in ``bundle``.

    Raises
    ------
    ImageError
        If an image is unusable, or does not fix the fit.
    InputError
        If an option is impossible.
    StoreError
        If the folder is not new or empty.
    """
    check_options(
        alpha_1=alpha_1, longest_nm=longest_nm, replicates=replicates, method=method, name=name, licence=licence
    )
    if stages is None:
        empty_folder(out, StoreError)
    for option, given in (("bootstrap", replicates), ("method paper", method == "paper")):
        if given and len(set(images[0].voxel_size_nm)) > 1:
            raise InputError(
                f"{option}: found voxels of {images[0].voxel_size_nm} nm, expected cubes, the only voxels that are "
                "drawn; --bootstrap 0 without --method paper draws none"
            )
    started = time.process_time()
    digests = [survey(image).sha256 for image in images]
    counting = spread if stages is None else stages.recording("counts", [digests, dict(phases), longest_nm])
    counts = count_images(images, phases, longest_nm, counting)
    progress({"event": "counted", "blocks": len(counts.voxels), "cpu_s": _since(started)})
    fit = fit_counts(counts, alpha_1)
    profile = [_refit(counts, alpha_1 * factor, fit) for factor in (0.5, 1.0, 2.0)]
    progress({"event": "fitted", "cpu_s": _since(started), **quantities(fit.parameters)})
    fitted_s = _since(started)
    radii = np.arange(0.0, _LARGEST_RADIUS_NM, min(counts.voxel_size_nm))
    paper, picture = None, _picture(images[0], phases, fit)
    if method == "paper":
        paper, picture = fit_as_paper(images[0], counts, phases, fit.binder.theta_per_nm, radii, seed, spread)
        progress({"event": "fitted as in the paper", "cpu_s": _since(started), "cutout": paper.cutout_shape})
    boot = None
    if replicates:
        of = [digests, dict(phases), longest_nm, fit.parameters.model_dump(), fit.binder.misfit, seed]
        drawing = spread if stages is None else stages.recording("replicates", of)
        boot = bootstrap(
            fit.parameters, counts, replicates, seed, radii_nm=radii, misfit=fit.binder.misfit, spread=drawing
        )
        progress({"event": "bootstrap", "replicates": len(boot.errors), "cpu_s": _since(started)})
    own = curves_of_image(images[0], counts, phases, radii)
    many = [] if boot is None else boot.curves
    final = _final(fit, boot)
    measured = _measured_fractions(counts)
    errors = stated(fit, final, boot)
    bundle = fitted_bundle(final, errors, counts, boot, name, licence)
    model = fractions(final)
    paths = [image.path for image in images]
    if labelled_from is not None:
        paths, digests = [labelled_from[0]], [labelled_from[1]]
    results = Results(
        images=[in_utf8(path) for path in paths], digests=digests, shapes=list(counts.shapes),
        voxel_size_nm=counts.voxel_size_nm, volume_um3=counts.volume_nm3 * 1e-9, phases=dict(phases),
        bundle={"name": bundle.name, "sha256": bundle.content_hash}, quantities=errors, order=list(UNITS),
        correlations=None if boot is None else boot.correlation.tolist(),
        bootstrap={"replicates": 0 if boot is None else len(boot.errors), "lost": 0 if boot is None else boot.lost,
                   "seed": seed},
        bias={} if boot is None else dict(zip(UNITS, boot.bias.tolist(), strict=True)),
        starts={"binder": np.exp(fit.binder.solution.ends).tolist(),
                "graphite": np.exp(fit.graphite.solution.ends).tolist()},
        chi2={"binder": (fit.binder.solution.chi2, fit.binder.freedom),
              "graphite": (fit.graphite.solution.chi2, fit.graphite.freedom)},
        profile=profile, fractions={key: (measured[key], model[key]) for key in model},
        plates_in_view=final.lambda_X_per_nm3 * counts.volume_nm3,
        curves=curves_with_envelopes(fit, counts, own, many),
        levels=[] if own is None else compared_levels(own.levels, many, radii, images[0].shape),
        windows=[] if boot is None or boot.larger is None else list(boot.windows), paper=paper,
        warnings=[*doubted, *doubts(final, counts, fit, boot)],
        seconds={"labels_to_fit": fitted_s, "all": _since(started)},
    )  # fmt: skip
    save_bundle(bundle, out / BUNDLE)
    if paper is not None and paper.parameters is not None:
        save_bundle(
            paper_bundle(CbaParameters(**paper.parameters), counts, f"{name}-paper", licence), out / PAPER_BUNDLE
        )
    if picture is not None:
        picture.write(out / PICTURE)
    results.write(out / RESULTS)
    progress({"event": "calibrated", "bundle": str(out / BUNDLE), "sha256": bundle.content_hash})
    return results


def check_options(
    *, alpha_1: float = ALPHA_1, longest_nm: float = LONGEST_NM, replicates: int = 20, method: str = METHODS[0],
    name: str = "cba-fitted", licence: str = "not stated", **others: Any,
) -> None:  # fmt: skip
    """Refuse impossible options of :func:`calibrate_cba` before the work.

    Raises
    ------
    InputError, BundleError
    """
    check_one_of("method", method, METHODS)
    if not 0 < longest_nm < math.inf:
        raise InputError(f"max-lag-nm: found {longest_nm:g}, expected a length in nm")
    if not 0.5 <= alpha_1 <= 1000:
        raise InputError(f"alpha_1: found {alpha_1:g}, expected a shape from 0.5 to 1000")
    if replicates and replicates < 5:
        raise InputError(f"bootstrap: found {replicates} replicates, expected 0 or at least 5")
    Bundle.of(name, "", plates(100.0, 2000.0, 0.1, alpha_1), licence=licence)


def _picture(image: Image, phases: Mapping[str, int], fit: Fit) -> Picture | None:
    if len(set(image.voxel_size_nm)) > 1:
        return None
    return middle_slice(image, phases, fit.binder.theta_per_nm)


def _since(started: float) -> float:
    return round(time.process_time() - started, 2)


def _refit(counts: Counts, alpha_1: float, fit: Fit) -> Profile:
    other = fit_graphite(counts, alpha_1, (fit.graphite.mean_a_nm, fit.graphite.mean_c_nm))
    return Profile(
        alpha_1=alpha_1, chi2=other.solution.chi2, lambda_X=other.lambda_X_per_nm3, mean_a=other.mean_a_nm,
        mean_c=other.mean_c_nm,
    )  # fmt: skip


def _final(fit: Fit, boot: Bootstrap | None) -> CbaParameters:
    found = fit.parameters
    if boot is not None:
        found = corrected(found, boot.bias, fit.graphite.volume_fraction, float(fit.binder.measured[0]))
    return CbaParameters(**{key: float(f"{value:.{_DIGITS}g}") for key, value in found.model_dump().items()})


def _measured_fractions(counts: Counts) -> dict[str, float]:
    pore, binder, graphite = (float(n) for n in counts.voxels.sum(axis=0))
    total = pore + binder + graphite
    return {
        "graphite": graphite / total,
        "carbon_binder_outside_graphite": binder / (pore + binder),
        "solid": (binder + graphite) / total,
    }
