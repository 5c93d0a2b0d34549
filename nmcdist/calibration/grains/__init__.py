"""From planar sections of particles to a bundle with similar grains, and the remaining distances."""
