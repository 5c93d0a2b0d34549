"""Super-resolution: label volumes with voxels of half the edge, by nets that learn from one model at two sizes."""
