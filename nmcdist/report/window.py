"""What a window that holds few grains does to transport, as the reports say it."""

import xarray as xr

LEAST = {"pore": 2.0, "solid": 4.0}  # windows over the diameter of the largest grains


def about_window(data: xr.Dataset) -> list[str]:
    """Return a warning if windows are too small for M-factors that mean the material's; none for wide windows.

    Parameters
    ----------
    data : xarray.Dataset
        With the coordinate window_ratio, if its model has large grains.
    """
    if "window_ratio" not in data.coords or "m_factor_mean" not in data:
        return []
    ratios = data["window_ratio"].values
    narrow = [phase for phase, least in LEAST.items() if ratios.min() < least]
    if not narrow:
        return []
    least, most = f"{ratios.min():.2g}", f"{ratios.max():.2g}"
    span = least if least == most else f"{least} to {most}"
    return [
        f"**Narrow windows.** The window is {span} times as wide as the largest grains. For M of the pores it should "
        "be at least 2 times, for M of the solid 4 times as wide: narrow windows do not only scatter, they give too "
        f"large M-factors, here of {' and '.join(narrow)}. {BIAS}"
    ]


BIAS = (
    "For the calibrated model of the additive, with voxels of 80 nm, M of the pores in windows of 2.56 µm (0.65 times) "
    "is 1.20 ± 0.05 times, and that of the solid 1.5 ± 0.2 times, that in windows of 10.2 µm; in windows of 5.1 µm it "
    "is 1.09 ± 0.04 and 1.1 ± 0.1 times."
)
