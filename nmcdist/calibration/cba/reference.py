"""Standard errors measured once, for the bundle of the paper: 24 cubes of 8 um, voxels of 20 nm, seeds 4000 to 4023."""

REFERENCE_BUNDLE = "cba-cathode-2025"
REFERENCE_EDGE_NM = 8000.0
REFERENCE_VOLUME_NM3 = REFERENCE_EDGE_NM**3
REFERENCE_INTENSITY = 6.355e-11  # plates per nm^3, of that bundle
# Standard deviation of one fit: of mu, and of the logarithms of the others. Known to 15 %, as from 24 cubes.
REFERENCE_SD = {
    "lambda_X": 0.21, "mean_a": 0.055, "mean_c": 0.084, "mu": 0.022, "eta": 0.0020, "theta": 0.041, "lambda_Y": 0.106,
}  # fmt: skip
