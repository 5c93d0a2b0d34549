"""Draw a volume of the additive phase, describe it, and print what theory says beside what was measured.

The additive is graphite, carbon black with binder, and pores. No dataset is made: arrays in, numbers out.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.colors import ListedColormap

import nmcdist
from nmcdist.models.theory import graphite_fraction

VOXEL_NM = 60.0
PHASES = ListedColormap(["#dce9f5", "#4c4c4c", "#d98c00"])  # pore, carbon black and binder, graphite


def main(folder: Path) -> None:
    """Draw, describe, print a table, save a picture."""
    bundle = nmcdist.load_bundle("cba-cathode-2025")  # published parameters, as data
    volume = nmcdist.generate_cba(bundle, shape=(96, 96, 96), voxel_size_nm=VOXEL_NM, seed=7)

    # One xarray.Dataset with every descriptor; each variable carries its unit and the source of its formula.
    data = nmcdist.describe_cba(volume, VOXEL_NM, transport=False)

    print("volume fraction of graphite by theory:", f"{graphite_fraction(bundle.cba()):.3f}")
    print(f"{'phase':15} {'fraction':>9} {'surface in 1/um':>16} {'tortuosity':>11}")
    for phase in data.phase.values:
        one = data.sel(phase=phase)
        surface = 1000 * float(one.surface_area)  # 1/nm to 1/um
        tortuosity = float(one.geodesic_tortuosity_mean)  # NaN where the phase does not percolate
        print(f"{phase:15} {float(one.volume_fraction):9.3f} {surface:16.2f} {tortuosity:11.3f}")

    edge_um = volume.shape[0] * VOXEL_NM / 1000
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    axes[0].imshow(volume[48], cmap=PHASES, extent=(0, edge_um, 0, edge_um), interpolation="nearest")
    axes[0].set(title="pore, carbon black with binder, graphite", xlabel="x in µm", ylabel="y in µm")
    for phase in ("pore", "graphite"):
        axes[1].plot(data.lag_nm / 1000, data.two_point_coverage.sel(phase=phase), label=phase)
    axes[1].set(title="two-point coverage probability", xlabel="lag in µm", ylim=(0, None))
    axes[1].legend(frameon=False)
    figure.savefig(folder / "01_draw_and_describe.png", dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
