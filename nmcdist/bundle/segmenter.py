"""Parameters and arrays of segmenters: nets that give each pixel of a grey image a probability of each class."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from nmcdist.bundle.parameters import Parameters, Positive, as_tuple, quantity, register_model

MOST_PLANES = 9  # neighbouring slices that a net sees at most
LENET_WIDTHS, LENET_KERNEL, LENET_DENSE = (6, 18), 5, (120, 84)
LENET_PATCH = 36  # pixels along an edge of what decides on one pixel
PROBE, CENTRE, WHITENING = "probe", "statistics.centre", "statistics.whitening"
_Width = Annotated[float, Field(ge=1, le=512, multiple_of=1)]
Shapes = dict[str, tuple[int, ...]]


class SegmenterParameters(Parameters):
    """What a segmenter says beside its arrays and texts: its size, the voxels it was trained on, and its limits.

    Arrays: weights and biases of the layers; `probe`, a grey image of as many slices as the net sees, on which it is
    checked when the bundle is loaded; `statistics.centre` and `statistics.whitening`, of the image statistics of the
    training.
    """

    widths: Annotated[tuple[_Width, ...], Field(max_length=6), BeforeValidator(as_tuple)] = quantity(
        "1", "channels at each resolution of a U-Net; none of a LeNet-5", default=()
    )
    pixel_nm: Positive = quantity("nm", "edge of the pixels of the training")
    slice_nm: Positive = quantity("nm", "distance of the slices of the training")
    distance_limit: Positive = quantity(
        "1", "distance of the statistics of an image from those of the training that 10 % of the training exceed"
    )

    @model_validator(mode="after")
    def _net_has_several_resolutions(self) -> "SegmenterParameters":
        if len(self.widths) == 1:
            raise ValueError(f"widths: found {list(self.widths)}, expected two or more, or none")
        return self

    def check_arrays(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless the arrays are those of a net of these widths, with a probe and statistics."""
        classes, planes = (shapes.get("out.bias") or (0,))[0], (shapes.get(PROBE) or (0,))[0]
        expected = layer_shapes(tuple(map(int, self.widths)), max(2, classes), max(1, planes))
        count = (shapes.get(CENTRE) or (0,))[0]
        expected |= {CENTRE: (max(1, count),), WHITENING: (max(1, count),) * 2}
        if set(shapes) != {*expected, PROBE}:
            raise ValueError(f"arrays: found {sorted(shapes)}, expected {sorted([*expected, PROBE])}")
        probe = shapes[PROBE]
        fits = planes % 2 == 1 and planes <= MOST_PLANES
        if len(probe) != 3 or not fits or not 8 <= min(probe[1:]) <= max(probe[1:]) <= 256:
            raise ValueError(
                f"arrays.{PROBE}: found shape {probe}, expected (1 to {MOST_PLANES} and odd, 8 to 256, 8 to 256)"
            )
        for name, shape in expected.items():
            if shapes[name] != shape:
                raise ValueError(f"arrays.{name}: found shape {shapes[name]}, expected {shape}")


def layer_shapes(widths: tuple[int, ...], classes: int, planes: int) -> Shapes:
    """Return the shapes of the weights and biases of a net that sees some planes: a U-Net, or without widths a LeNet-5.

    A layer of a U-Net is named by its way and its resolution, 0 the finest: `down0a` and `down0b` see an image,
    `up0` brings the next coarser resolution to as many channels, and `merge0` sees the sum of both; `out` gives scores.
    """
    layers = _unet(widths, classes, planes) if widths else _lenet(classes, planes)
    found: Shapes = {}
    for name, (inputs, outputs, edge) in layers.items():
        found[f"{name}.weight"], found[f"{name}.bias"] = (outputs, inputs, edge, edge), (outputs,)
    return found


def _unet(widths: tuple[int, ...], classes: int, planes: int) -> dict[str, tuple[int, int, int]]:
    layers = {}
    for k, (before, width) in enumerate(zip((planes, *widths), widths, strict=False)):
        layers[f"down{k}a"], layers[f"down{k}b"] = (before, width, 3), (width, width, 3)
    for k in range(len(widths) - 1):
        layers[f"up{k}"], layers[f"merge{k}"] = (widths[k + 1], widths[k], 1), (widths[k], widths[k], 3)
    return {**layers, "out": (widths[0], classes, 1)}


def _lenet(classes: int, planes: int) -> dict[str, tuple[int, int, int]]:
    (first, second), (one, two) = LENET_WIDTHS, LENET_DENSE
    return {
        "first": (planes, first, LENET_KERNEL), "second": (first, second, LENET_KERNEL), "dense0": (second, one, 6),
        "dense1": (one, two, 1), "out": (two, classes, 1),
    }  # fmt: skip


register_model("segmenter", SegmenterParameters)
