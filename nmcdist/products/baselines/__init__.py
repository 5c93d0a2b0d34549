"""Baseline generators as kinds of datasets, and their comparison with a reference."""
