"""Standard errors measured once, in cubes of 8 um with voxels of 20 nm.

From 96 realisations of the bundle of the paper, seeds 4000 to 4023 and 4100 to 4171.
"""

REFERENCE_BUNDLE = "cba-cathode-2025"
REFERENCE_EDGE_NM = 8000.0
REFERENCE_VOLUME_NM3 = REFERENCE_EDGE_NM**3
REFERENCE_INTENSITY = 6.355e-11  # plates per nm^3, of that bundle
# Standard deviation of one fit: of mu, and of the logarithms of the others; known to about 7 %.
REFERENCE_SD = {
    "lambda_X": 0.224, "mean_a": 0.053, "mean_c": 0.118, "mu": 0.0203, "eta": 0.0019, "theta": 0.064, "lambda_Y": 0.143,
}  # fmt: skip
