"""From images to trained model bundles."""
