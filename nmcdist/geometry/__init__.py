"""Deterministic kernels: tessellations, surfaces and the sphere, distances, paths and the conduction equation."""

from nmcdist.geometry.tessellation import label_lattice, label_points, rasterize_gbpd

__all__ = ["label_lattice", "label_points", "rasterize_gbpd"]
