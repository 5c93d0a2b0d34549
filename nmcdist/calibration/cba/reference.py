"""Standard errors measured once, in cubes of 8 um with voxels of 20 nm.

From 24 realisations of the bundle of the paper (seeds 4000 to 4023), and from 29 replicates of the fits to ten of them,
pooled. One of these 53 fits had a mean half-axis c of twice the truth: its errors have a heavy tail.
"""

REFERENCE_BUNDLE = "cba-cathode-2025"
REFERENCE_EDGE_NM = 8000.0
REFERENCE_VOLUME_NM3 = REFERENCE_EDGE_NM**3
REFERENCE_INTENSITY = 6.355e-11  # plates per nm^3, of that bundle
# Standard deviation of one fit: of mu, and of the logarithms of the others; known to about 11 %.
REFERENCE_SD = {
    "lambda_X": 0.23, "mean_a": 0.056, "mean_c": 0.15, "mu": 0.022, "eta": 0.0023, "theta": 0.046, "lambda_Y": 0.114,
}  # fmt: skip
