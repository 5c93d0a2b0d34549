"""How well label volumes are refined: ``python -m benchmarks.refine [FIRST [COUNT [EDGE [BOX]]]]``.

COUNT realisations of the additive (default 4) from number FIRST (0) of a seed that no training has, cubes of EDGE
coarse voxels (96) of 40 nm, are refined to 20 nm by the nearest voxel, by trilinear interpolation, and by the built-in
net, with the likeliest and with drawn labels. Printed are the agreement with the true fine labels, and the errors of
the surface of each phase in the whole cube, and of the M-factor and the permeability of the pores in a box of BOX fine
voxels (96).
``--bundle FOLDER`` takes another net; ``--picture FILE`` draws a section instead.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from nmcdist import descriptors, load_bundle
from nmcdist.learning.refine.interpolation import nearest, trilinear
from nmcdist.learning.refine.labels import drawn, likeliest
from nmcdist.learning.refine.net import Net
from nmcdist.learning.refine.pairs import PHASES, pair

SEED = 987_654_321
MEASURES = (*(f"S {name}" for name in PHASES), "M pore", "k pore")


def refined(net: Net, coarse: np.ndarray, index: int) -> dict[str, np.ndarray]:
    """Return the volume in fine voxels by method."""
    scores, inside = net.scores(coarse), [slice(rim, len(coarse) - rim) for rim in (net.reach, net.reach - 1)]
    near, one = (coarse[part, part, part] for part in inside)
    return {
        "nearest": nearest(near),
        "trilinear": trilinear(one, len(PHASES)),
        "net, likeliest": likeliest(scores),
        "net, drawn": drawn(scores, net.correlation_nm, net.fine_voxel_nm, SEED, index, (0, 0, 0)),
    }


def measured(labels: np.ndarray, box: int, voxel_nm: float) -> list[float]:
    """Return the surface of each phase, and the M-factor and the permeability of the pores in a box."""
    surfaces = [
        descriptors.intrinsic_volumes(labels == phase, voxel_nm).surface_area for phase in range(len(PHASES))
    ]  # fmt: skip
    cut = labels[:box, :box, :box]
    m_factor = np.mean([descriptors.effective_conductivity(cut, {0: 1.0}, axis) for axis in range(3)])
    return [*surfaces, float(m_factor), descriptors.permeability(cut == 0, voxel_nm)]


def study(net: Net, coarse: str, first: int, count: int, edge: int, box: int) -> None:
    """Print a row for each realisation and method, and the means."""
    source, voxel = load_bundle("cba-cathode-2025"), net.fine_voxel_nm
    shares: dict[str, list[float]] = {}
    errors: dict[str, list[np.ndarray]] = {}
    start = time.process_time()
    for index in range(first, first + count):
        seen, fine = pair(source, edge, net.reach, voxel, coarse, SEED, index)  # type: ignore[arg-type]
        truth = np.array(measured(fine, box, voxel))
        for name, labels in refined(net, seen, index).items():
            shares.setdefault(name, []).append(float((labels == fine).mean()))
            errors.setdefault(name, []).append(100 * (np.array(measured(labels, box, voxel)) / truth - 1))
            told(f"{index} {name}", shares[name][-1], errors[name][-1])
    print(f"mean of {count}, +- its standard error; {time.process_time() - start:.0f} CPU s")
    for name, found in errors.items():
        told(name, float(np.mean(shares[name])), np.mean(found, axis=0))
        if count > 1:
            told("", float(np.std(shares[name], ddof=1) / count**0.5), np.std(found, axis=0, ddof=1) / count**0.5)


def told(name: str, share: float, errors: np.ndarray) -> None:
    listed = ", ".join(f"{measure} {error:+.1f} %" for measure, error in zip(MEASURES, errors, strict=True))
    print(f"{name:18s} {share:.4f}  {listed}", flush=True)


def picture(net: Net, coarse: str, path: Path) -> None:
    """Draw a section of 64 coarse voxels by each method, and where the net errs."""
    from nmcdist.pictures import phase_picture
    from nmcdist.report.style import figure

    edge, z = 64, 61
    seen, fine = pair(load_bundle("cba-cathode-2025"), edge, net.reach, net.fine_voxel_nm, coarse, SEED, 0)  # type: ignore[arg-type]
    found = refined(net, seen, 0)
    wrong = (found["net, likeliest"] != fine)[z]
    panels = {
        f"coarse, {net.coarse_voxel_nm:g} nm": phase_picture(found["nearest"][z]),
        "trilinear": phase_picture(found["trilinear"][z]),
        "net, likeliest label": phase_picture(found["net, likeliest"][z]),
        f"truth, {net.fine_voxel_nm:g} nm": phase_picture(fine[z]),
        "net, drawn labels": phase_picture(found["net, drawn"][z]),
        "net, likeliest: wrong voxels in red": np.where(wrong[..., None], (200, 30, 30), phase_picture(fine[z])),
    }
    extent = (0, edge * net.coarse_voxel_nm / 1000) * 2
    with figure(2, 3, 12, 8.4) as (drawing, axes):
        for panel, (title, image) in zip(axes.flat, panels.items(), strict=True):
            panel.imshow(image.astype(np.uint8), extent=extent, origin="lower", interpolation="nearest")
            panel.set_title(title, fontsize=12)
            panel.grid(False)
        for panel in axes[:, 0]:
            panel.set_ylabel("y / µm")
        for panel in axes[-1]:
            panel.set_xlabel("x / µm")
        drawing.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("first", 0), ("count", 4), ("edge", 96), ("box", 96)):
        parser.add_argument(name, nargs="?", type=int, default=default)
    parser.add_argument("--bundle", default="superres-cba-20nm")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    bundle = load_bundle(given.bundle)
    net, coarse = Net.of(bundle), bundle.texts["coarse"][0]
    if given.picture is not None:
        picture(net, coarse, given.picture)
    else:
        study(net, coarse, given.first, given.count, given.edge, given.box)


if __name__ == "__main__":
    main()
