"""Measuring the images that users bring: labels with names in, descriptors out."""
