"""PyTorch, or a line that says how to get it; only the training of grains needs it."""

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
