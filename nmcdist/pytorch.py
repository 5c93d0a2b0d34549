"""Import PyTorch, or raise an error that names its installation; only the training of nets needs it."""

from nmcdist.extras import of_import

try:
    import torch
    from torch import nn
except ImportError as error:
    known = of_import(error)
    if known is None:
        raise
    raise known from None

__all__ = ["nn", "torch"]
