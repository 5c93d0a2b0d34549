"""Datasets of label volumes of the additive phase."""
