"""Images from users: where they lie, the order of their axes, the size of their voxels."""

from nmcdist.images.image import Image, open_image, open_labels
from nmcdist.images.survey import Survey, survey

__all__ = ["Image", "Survey", "open_image", "open_labels", "survey"]
