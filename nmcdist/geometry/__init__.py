"""Kernels without randomness: distances, balls, paths and the conduction equation on voxel arrays."""
