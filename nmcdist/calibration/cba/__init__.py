"""Calibration of the additive model from three-phase labels: counts, fits, bootstrap, and how much to image."""
