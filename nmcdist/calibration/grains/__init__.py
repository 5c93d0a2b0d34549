"""From planar sections of particles to a bundle whose grains look like theirs, with the distances that are left."""
