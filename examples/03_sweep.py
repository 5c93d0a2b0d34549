"""Run a small sweep of the graphite content and plot structure against property with xarray."""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

import nmcdist

RECIPE = {
    "name": "sweep",
    "version": "1.0.0",
    "title": "Graphite from 4 to 16 percent",
    "bundle": "cba-cathode-2025",
    "seed": 2025,
    "volume": {"shape": [48, 48, 48], "voxel_size_nm": 80.0},
    "sweep": {"graphite_fraction": [0.04, 0.08, 0.12, 0.16]},
    "realisations": 3,
    "descriptors": {"max_lag_nm": 1000.0, "max_radius_nm": 800.0},
}


def main(folder: Path) -> None:
    """Make the dataset, or continue it if it was interrupted; average over realisations; save a picture."""
    result = nmcdist.run(RECIPE, folder, workers=0, resume=True)  # workers=2 starts two Dask workers
    data = nmcdist.open_store(result.store)

    # Every sample knows its level; grouping by it averages over the realisations.
    chosen = data[["m_factor_mean", "geodesic_tortuosity_mean"]].load()
    mean = chosen.groupby("graphite_fraction").mean()
    spread = chosen.groupby("graphite_fraction").std(ddof=1)
    print(mean["m_factor_mean"].to_pandas().round(4))

    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for axis, conduction in zip(axes, mean.conduction.values, strict=True):
        of = mean["m_factor_mean"].sel(conduction=conduction)
        axis.errorbar(100 * of.graphite_fraction, of, spread["m_factor_mean"].sel(conduction=conduction), fmt="o-",
                      capsize=3)  # fmt: skip
        axis.set(title=f"conduction through {conduction}", xlabel="graphite by theory in %", ylabel="M-factor")
    figure.suptitle("mean and standard deviation of three volumes")
    figure.savefig(folder / "03_sweep.png", dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
