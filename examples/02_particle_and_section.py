"""Draw a particle, cut it, and measure its grains in the plane and in space.

A particle is an analytic record: the same record renders at any voxel size and along any plane.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

import nmcdist
from nmcdist import descriptors


def shuffled(labels: np.ndarray) -> np.ma.MaskedArray:
    """Return labels with colours that differ between neighbours; what is outside is masked."""
    colours = np.random.default_rng(1).permutation(int(labels.max()) + 1)
    return np.ma.masked_where(labels <= 0, colours[np.maximum(labels, 0)])


def main(folder: Path) -> None:
    """Draw, cut, measure, save a picture."""
    # A smaller shell than the built-in one, so that this takes seconds.
    bundle = nmcdist.load_bundle("nmc811-radial").with_parameters(shell_scale_nm=12000.0)
    particle = nmcdist.generate_particle(bundle, seed=4)

    voxel_nm = 100.0
    labels = particle.voxelize(voxel_nm)  # int32: one label per grain, 0 outside
    grains = descriptors.describe_grains(labels, voxel_nm, particle.grid(voxel_nm)[1])
    section = particle.section(voxel_size_nm=25.0)  # through the centre, across z
    cut = descriptors.describe_section(section, 25.0)

    diameter_um = (6 * grains.volume_nm3 / np.pi) ** (1 / 3) / 1000
    print(f"grains in space: {grains.sizes['grain']}, mean diameter {float(diameter_um.mean()):.2f} um")
    print(f"grains in the section: {cut.sizes['grain']}, mean area {float(cut.area_nm2.mean()) / 1e6:.3f} um^2")

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for axis, image, edge_nm, title in (
        (axes[0], section, 25.0, "section, pixels of 25 nm"),
        (axes[1], labels[len(labels) // 2], voxel_nm, "the same record, voxels of 100 nm"),
    ):
        edge_um = image.shape[0] * edge_nm / 2000  # half of the image; the particle's centre is in its middle
        axis.imshow(shuffled(image), cmap="turbo", extent=(-edge_um, edge_um, -edge_um, edge_um), origin="lower",
                    interpolation="nearest")  # fmt: skip
        axis.set(title=title, xlabel="x in µm", ylabel="y in µm", xlim=(-3, 3), ylim=(-3, 3))
    # Grains point to the centre: most long axes lie near the radius. Without preference, angles follow the sine.
    axes[2].hist(np.degrees(grains.angle_to_radius), bins=18, range=(0, 90), density=True, color="#4477aa")
    angles = np.linspace(0, 90, 91)
    axes[2].plot(angles, np.radians(1) * np.sin(np.radians(angles)), color="black", label="no preference")
    axes[2].set(title="long axis of the grains", xlabel="angle to the radius in degrees", ylabel="density")
    axes[2].legend(frameon=False)
    figure.savefig(folder / "02_particle_and_section.png", dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
