"""The nets of segmenters in PyTorch, for their training; :mod:`nmcdist.calibration.segmenter.net` has their kernels."""

import math
from collections.abc import Mapping

import numpy as np

from nmcdist.bundle.segmenter import layer_shapes
from nmcdist.calibration.segmenter.net import halo_of
from nmcdist.pytorch import nn, torch

Weights = dict[str, torch.Tensor]
_relu = nn.functional.relu


def first_weights(widths: tuple[int, ...], classes: int, planes: int) -> Weights:
    """Return random weights (He et al., 2015) and zero biases from the current seed, as leaves of a graph."""
    found: Weights = {}
    for name, shape in layer_shapes(widths, classes, planes).items():
        if len(shape) == 4:
            gain = 0.01 if name.startswith("out") else 1.0 if name.startswith("up") else 2.0
            spread = math.sqrt(gain / math.prod(shape[1:]))
            found[name] = torch.randn(shape) * spread
            found[name] = found[name].contiguous(memory_format=torch.channels_last)
        else:
            found[name] = torch.zeros(shape)
    return {name: weight.requires_grad_() for name, weight in found.items()}


def tensors_of(arrays: Mapping[str, np.ndarray]) -> Weights:
    """Return arrays as tensors that are trained further."""
    return {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in arrays.items()}


def arrays_of(weights: Weights) -> dict[str, np.ndarray]:
    """Return weights as arrays of float32."""
    return {name: np.ascontiguousarray(weight.detach().float().numpy()) for name, weight in weights.items()}


def scores(weights: Weights, widths: tuple[int, ...], windows: torch.Tensor) -> torch.Tensor:
    """Return the scores of windows (b, planes, ny, nx) without their halo; of a LeNet, of pixels in their middle."""
    if not widths:
        return _lenet(weights, windows)
    return head(weights, *features(weights, widths, windows))


def features(weights: Weights, widths: tuple[int, ...], windows: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Return what the last layers of a U-Net see, and the pixels that are to be cut off after them."""
    depth, lost, seen, image = len(widths) - 1, 0, [], windows
    for k in range(depth + 1):
        image = _relu(_layer(weights, f"down{k}b", _relu(_layer(weights, f"down{k}a", image))))
        lost += 2
        if k < depth:
            seen.append((image, lost))
            image = nn.functional.avg_pool2d(_cropped(image, lost % 2), 2)
            lost = (lost + 1) // 2
    for k in reversed(range(depth)):
        image, lost = nn.functional.interpolate(_layer(weights, f"up{k}", image), scale_factor=2), 2 * lost
        fine, before = seen[k]
        image = image + _cropped(fine, lost - before)
        if k:
            image = _relu(_layer(weights, f"merge{k}", image))
        lost += 1
    return image, halo_of(widths) - lost


def head(weights: Weights, image: torch.Tensor, rim: int) -> torch.Tensor:
    """Return the scores that the last layers of a U-Net make of features."""
    return _layer(weights, "out", _cropped(_relu(_layer(weights, "merge0", image)), rim))


def _lenet(weights: Weights, image: torch.Tensor) -> torch.Tensor:
    for name in ("first", "second"):
        image = nn.functional.avg_pool2d(_relu(_layer(weights, name, image)), 2)
    for name in ("dense0", "dense1"):
        image = _relu(_layer(weights, name, image))
    return _layer(weights, "out", image)


def _layer(weights: Weights, name: str, image: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = nn.functional.conv2d(image, weights[f"{name}.weight"], weights[f"{name}.bias"])
    return found


def _cropped(image: torch.Tensor, rim: int) -> torch.Tensor:
    return image[:, :, rim : image.shape[2] - rim, rim : image.shape[3] - rim] if rim else image
