"""Shells of a bundle that come back from virtual CT: ``python -m benchmarks.shell_fit [SEED ...] [--setting NAME]``.

Isolated particles of nmc-ct-2018, at its own voxel size (mean radius 10 voxels), imaged with the setting "easy" unless
others are given, then smoothed, divided by Otsu's threshold, separated and fitted as any grey image. Beside each
parameter of a resolved degree are its standard error and the difference from the truth in standard errors; at the end,
the means of these differences over the images: chance gives a few large differences, a bias gives large means.

The truth is the law of drawn shells as a fit without error would see it: around their centres of mass, and turned at
random, as the paper does. A turn mixes the coefficients of a degree, so their law has lighter tails than the bundle's.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle, load_bundle
from nmcdist.calibration.microscope.settings import SETTINGS
from nmcdist.calibration.microscope.write import write_nano_ct
from nmcdist.calibration.shell.calibrate import calibrate_shells
from nmcdist.calibration.shell.centring import about_centre_of_mass
from nmcdist.calibration.shell.harmonics import fit_series, random_rotations, rotated_directions
from nmcdist.calibration.shell.laws import harmonic_laws
from nmcdist.calibration.shell.settings import ShellSettings
from nmcdist.geometry.sphere import star_radii
from nmcdist.images import open_image
from nmcdist.models.shell import ShellModel

SHAPE, VOXEL_NM, SHARE, GAP, SETTING = (256, 256, 256), 398.0, 0.12, 6.0, "easy"
DRAWN, DRAWN_SEED = 8000, 99  # shells of the truth, none of which is in an image
Truth = tuple[np.ndarray, list[dict[str, float]]]


def calibrated(bundle: Bundle, seed: int, folder: Path, setting: str = SETTING, **choices: Any) -> dict[str, Any]:
    """Return the numbers of a calibration of one phantom."""
    write_nano_ct(bundle, folder, setting, SHAPE, VOXEL_NM, seed, SHARE, GAP)
    image = open_image(folder / "image.tif")
    calibrate_shells(image, ShellSettings(**choices), load_bundle("nmc811-radial"), folder / "out")
    numbers: dict[str, Any] = json.loads((folder / "out" / "calibration.json").read_text())
    return numbers


def truth_of(bundle: Bundle) -> Truth:
    """Return root mean square, and scale and nu of Student's law, of each degree of the bundle's shells."""
    drawn = about_centre_of_mass(ShellModel.from_bundle(bundle).draw_many(DRAWN_SEED, range(DRAWN))[0])
    ways = rotated_directions(random_rotations(DRAWN, 1))
    turned = fit_series(np.stack([star_radii(*pair) for pair in zip(drawn, ways, strict=True)]), 9).coefficients
    parts = [turned[:, degree**2 : (degree + 1) ** 2] for degree in range(1, 10)]
    laws = [next(law for law in harmonic_laws(part, np.ones(DRAWN)) if law.family == "student") for part in parts]
    return np.array([np.sqrt((part**2).mean()) for part in parts]), [law.values for law in laws]


def compared(bundle: Bundle, numbers: dict[str, Any], of: Truth) -> Iterator[tuple[str, float, float, float]]:
    """Yield name, truth, fitted value and standard error of every parameter of a resolved degree, lengths in nm."""
    p, size = bundle.particle(), numbers["size"]
    law = next(one for one in size["laws"] if one["family"] == "log-normal with location")
    for name, truth in (("location", p.shell_location_nm), ("scale", p.shell_scale_nm), ("sigma", p.shell_sigma)):
        factor = 1.0 if name == "sigma" else size["factor"]
        yield f"a_00 {name}", truth, law["values"][name] * factor, law["errors"][name] * factor
    for one, rms, student in zip(numbers["degrees"], *of, strict=True):
        degree, factor = one["degree"], one["factor"]
        if not one["is_resolved"]:
            continue
        of_factor = one["factor_error"] / factor
        fitted = one["rms_voxels"] * VOXEL_NM * factor
        yield (
            f"l = {degree} rms",
            rms,
            fitted,
            fitted * float(np.hypot(one["rms_error_voxels"] / one["rms_voxels"], of_factor)),
        )
        laws = [law for law in one["laws"] if law["family"] == "student"]
        if not laws or degree == 1:  # degree 1 is made of the others, and has no such law
            continue
        values, errors = laws[0]["values"], laws[0]["errors"]
        scale = values["scale"] * factor
        yield (
            f"l = {degree} scale",
            student["scale"],
            scale,
            scale * float(np.hypot(errors["scale"] / values["scale"], of_factor)),
        )
        yield f"l = {degree} 1 / nu", 1 / student["nu"], 1 / values["nu"], errors["nu"] / values["nu"] ** 2


def show(numbers: dict[str, Any], found: list[tuple[str, float, float, float]], title: str) -> None:
    """Print the parameters of one image, and how far in standard errors each is from the truth."""
    edges, noise = numbers["image"]["edges"], numbers["image"]["noise"]
    print(f"{title}: {numbers['particles']['count']} particles, blur {edges['sigma']:.3f} voxels, level "
          f"{edges['level']:.3f}, noise {noise['deviation']:.4f} of the contrast; {numbers['resolved']}")  # fmt: skip
    for name, truth, fitted, error in found:
        print(f"  {name:14} {truth:10.4g} {fitted:10.4g} +- {error:8.3g}  {(fitted - truth) / error:+.2f}", flush=True)


def show_means(found: list[list[tuple[str, float, float, float]]], setting: str) -> None:
    """Print the mean difference of each parameter over the images, in standard errors of one, and of the mean."""
    print(f"{setting}: differences in standard errors, and their mean over images, with that over its standard error")
    places: dict[str, list[float]] = {}
    for name, truth, fitted, error in itertools.chain.from_iterable(found):
        places.setdefault(name, []).append((fitted - truth) / error)
    for name, z in places.items():
        mean, count = float(np.mean(z)), len(z)
        print(f"  {name:14} {' '.join(f'{one:+.2f}' for one in z)}  mean {mean:+.2f}, {mean * count**0.5:+.2f}")
    every = np.concatenate(list(places.values()))
    print(f"  {(np.abs(every) <= 3).sum()} of {len(every)} within 3 standard errors, root mean square "
          f"{np.sqrt((every**2).mean()):.2f}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[1, 2, 3], metavar="SEED")
    parser.add_argument("--setting", choices=SETTINGS, action="append", help="may be given several times")
    chosen = parser.parse_args()
    bundle = load_bundle("nmc-ct-2018")
    truth = truth_of(bundle)
    for setting in chosen.setting or [SETTING]:
        found = []
        for seed in chosen.seeds:
            with tempfile.TemporaryDirectory() as folder:
                start = time.process_time()
                numbers = calibrated(bundle, seed, Path(folder), setting)
                cost = time.process_time() - start
            found.append(list(compared(bundle, numbers, truth)))
            show(numbers, found[-1], f"{setting}, seed {seed}, {cost:.0f} CPU s")
        show_means(found, setting)


if __name__ == "__main__":
    main()
