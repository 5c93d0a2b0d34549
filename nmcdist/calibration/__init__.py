"""Train model bundles on images."""
