"""Shells of a bundle that come back from virtual CT images: ``python -m benchmarks.shell_fit [SEED ...]``.

Isolated particles of nmc-ct-2018, at its own voxel size (mean radius 10 voxels), imaged with the setting "easy", then
smoothed, divided by Otsu's threshold, separated and fitted as any grey image. Beside each parameter of the law are its
standard error and the difference from the bundle in standard errors. Degree 1 is compared with drawn shells around
their centres of mass, since the bundle's own are around the star point.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import load_bundle
from nmcdist.calibration.images import open_image
from nmcdist.calibration.microscope.write import write_nano_ct
from nmcdist.calibration.shell.calibrate import calibrate_shells
from nmcdist.calibration.shell.centring import about_centre_of_mass
from nmcdist.calibration.shell.settings import ShellSettings
from nmcdist.models.shell import ShellModel

SHAPE, VOXEL_NM, SHARE, GAP, SETTING = (256, 256, 256), 398.0, 0.12, 6.0, "easy"
NORMAL_NU = 1e6  # and above


def calibrated(bundle: Any, seed: int, folder: Path, setting: str = SETTING, **choices: Any) -> dict[str, Any]:
    """Return the numbers of a calibration of one phantom."""
    write_nano_ct(bundle, folder, setting, SHAPE, VOXEL_NM, seed, SHARE, GAP)
    image = open_image(folder / "image.tif")
    calibrate_shells(image, ShellSettings(**choices), load_bundle("nmc811-radial"), folder / "out")
    numbers: dict[str, Any] = json.loads((folder / "out" / "calibration.json").read_text())
    return numbers


def compared(bundle: Any, numbers: dict[str, Any]) -> Iterator[tuple[str, float, float, float]]:
    """Yield name, truth, fitted value and standard error of every parameter of a resolved degree, lengths in nm."""
    p, size = bundle.particle(), numbers["size"]
    law = next(one for one in size["laws"] if one["family"] == "log-normal with location")
    for name, truth in (("location", p.shell_location_nm), ("scale", p.shell_scale_nm), ("sigma", p.shell_sigma)):
        factor = 1.0 if name == "sigma" else size["factor"]
        yield f"a_00 {name}", truth, law["values"][name] * factor, law["errors"][name] * factor
    drawn = about_centre_of_mass(ShellModel.from_bundle(bundle).draw_many(1, range(4000))[0])
    for one, nu, scale in zip(numbers["degrees"], p.shell_nu, p.shell_harmonic_scale_nm, strict=True):
        degree = one["degree"]
        if not one["is_resolved"]:
            continue
        if degree == 1:
            truth = float(np.sqrt((drawn[:, 1:4] ** 2).mean()))
            rms = one["rms_voxels"] * VOXEL_NM * one["factor"]
            yield (
                "l = 1 rms",
                truth,
                rms,
                float(np.hypot(one["rms_error_voxels"] * VOXEL_NM, truth * one["factor_error"])),
            )
            continue
        family = "normal" if nu > NORMAL_NU else "student"
        law = next(law for law in one["laws"] if law["family"] == family)
        errors = law["errors"]["scale"] / law["values"]["scale"], one["factor_error"] / one["factor"]
        fitted = law["values"]["scale"] * one["factor"]
        yield f"l = {degree} scale", scale, fitted, float(fitted * np.hypot(*errors))
        if family == "student":
            yield f"l = {degree} nu", nu, law["values"]["nu"], law["errors"]["nu"]


def main() -> None:
    bundle = load_bundle("nmc-ct-2018")
    for seed in map(int, sys.argv[1:] or ["1", "2", "3"]):
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            numbers = calibrated(bundle, seed, Path(folder))
            cost = time.process_time() - start
        edges, noise = numbers["image"]["edges"], numbers["image"]["noise"]
        print(f"seed {seed}: {numbers['particles']['count']} particles, order {numbers['order']}, "
              f"blur {edges['sigma']:.3f} voxels, level {edges['level']:.3f}, "
              f"noise {noise['deviation']:.4f} of the contrast, {cost:.0f} CPU s")  # fmt: skip
        for name, truth, fitted, error in compared(bundle, numbers):
            print(
                f"  {name:14} {truth:10.4g} {fitted:10.4g} +- {error:8.3g}  {(fitted - truth) / error:+.2f}", flush=True
            )


if __name__ == "__main__":
    main()
