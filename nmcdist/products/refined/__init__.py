"""Volumes of a store or an image, with voxels of half the edge."""
