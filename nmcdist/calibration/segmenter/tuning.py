"""Scribbles teach the last layers of a U-Net what a real image looks like; the other layers stay as they were."""

from collections.abc import Iterator

import numpy as np

from nmcdist.calibration.boxes import tiled
from nmcdist.calibration.fibsem.scribbles import Scribbles
from nmcdist.calibration.segmenter.net import Net
from nmcdist.calibration.segmenter.networks import arrays_of, features, head, tensors_of
from nmcdist.calibration.segmenter.normal import NormalStack
from nmcdist.calibration.segmenter.tiles import neighbours, padded_box
from nmcdist.pytorch import nn, reproducible, torch

LAYERS = ("merge0.weight", "merge0.bias", "out.weight", "out.bias")
_STEPS, _RATE = 300, 2e-3
_TILE = 256
_MOST_TILES = 64
_UNKNOWN = -1
Tile = tuple[torch.Tensor, int, torch.Tensor]


def tuned_weights(net: Net, image: NormalStack, scribbles: Scribbles, seed: int) -> dict[str, np.ndarray]:
    """Return the last layers of a U-Net, trained further on the labelled pixels of some slices.

    Parameters
    ----------
    net : Net
    image : NormalStack
    scribbles : dict of int to ndarray of int, shape (ny, nx)
        1 is the first class; 0 is not labelled.
    seed : int

    Returns
    -------
    dict of str to ndarray of float32
        By :data:`LAYERS`.
    """
    random = np.random.Generator(np.random.Philox(seed))
    with reproducible(seed):
        weights = tensors_of(net.weights)
        tiles = list(_tiles(net, image, scribbles, random))
        last = [weights[name] for name in LAYERS]
        optimiser = torch.optim.AdamW(last, lr=_RATE, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=_STEPS, pct_start=0.1)
        for _ in range(_STEPS):
            seen, rim, truth = tiles[random.integers(len(tiles))]
            found = head({name: weights[name] for name in LAYERS}, seen, rim)
            nn.functional.cross_entropy(found, truth, ignore_index=_UNKNOWN).backward()
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
        return arrays_of({name: weights[name] for name in LAYERS})


def _tiles(net: Net, image: NormalStack, scribbles: Scribbles, random: np.random.Generator) -> Iterator[Tile]:
    """Yield what the last layers see of tiles with labels, and the classes of the pixels."""
    jobs = [(z, box) for z, plane in sorted(scribbles.items()) for box in tiled(image.shape[1:], (_TILE, _TILE))
            if plane[box].any()]  # fmt: skip
    order = random.permutation(len(jobs))[:_MOST_TILES]
    weights = {name: torch.from_numpy(array.copy()) for name, array in net.weights.items()}
    for z, box in (jobs[k] for k in sorted(order.tolist())):
        near = neighbours(z, net.planes, image.shape[0])
        window, labels = padded_box(net, image, near, box, scribbles[z])
        with torch.no_grad():
            seen, rim = features(weights, net.widths, torch.from_numpy(window[None]))
        yield seen, rim, torch.from_numpy(labels[None].astype(np.int64) - 1)
