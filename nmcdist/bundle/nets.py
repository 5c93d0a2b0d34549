"""Parameters and arrays of the neural generator: a net of convolutions that turns white noise into phases."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nmcdist.bundle.parameters import Parameters, Positive, quantity, register_model

LAYERS = 2  # convolutions per level
MOST_LEVELS, MOST_CHANNELS, MOST_PHASES = 6, 128, 16
_KERNEL = (3, 3, 3)


class Level(NamedTuple):
    """Numbers of channels at one level of a net: of its own noise, from the coarser level, and after each layer."""

    noises: int
    coarser: int
    channels: tuple[int, ...]


class NeuralParameters(Parameters):
    """A net from white noise to the scores of phases.

    Level 0 has the voxels of the volume, and each further level voxels twice as long. The coarsest level sees its
    noise, each other one its noise and the repeated channels of the level below. Arrays: `weight_L_K` and `bias_L_K`
    of convolution K at level L, shapes (channels, noises + channels of level L + 1, 3, 3, 3) or, for the second,
    (channels, channels, 3, 3, 3), and (channels,); `weight_out`, shape (phases, channels, 1, 1, 1), and `bias_out`.
    """

    voxel_size_nm: Positive = quantity("nm", "voxel edge of the sections of the training, and of the volumes")

    def check_arrays(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless the arrays have these names, and shapes that fit each other."""
        levels_of(shapes)


def array_names(levels: int) -> list[str]:
    """Return the names of the arrays of a net with so many levels."""
    parts = [*(f"{level}_{layer}" for level in range(levels) for layer in range(LAYERS)), "out"]
    return [f"{kind}_{part}" for part in parts for kind in ("weight", "bias")]


def levels_of(shapes: Mapping[str, Sequence[int]]) -> list[Level]:
    """Return the levels of a net, the finest first, from the shapes of its arrays.

    Raises
    ------
    ValueError
        If names or shapes are not those of such a net, or larger than any that is drawn.
    """
    count = (len(shapes) - 2) // (2 * LAYERS)
    if not 1 <= count <= MOST_LEVELS or set(shapes) != set(array_names(count)):
        raise ValueError(
            f"arrays: found {sorted(shapes)[:8]}, expected weight_L_K and bias_L_K of {LAYERS} layers at 1 to "
            f"{MOST_LEVELS} levels, weight_out and bias_out"
        )
    levels: list[Level] = []
    coarser = 0
    for level in reversed(range(count)):
        first = tuple(shapes[f"weight_{level}_0"])
        _check(f"weight_{level}_0", first, (None, None, *_KERNEL))
        noises, width = first[1] - coarser, first[0]
        if noises < 1:
            raise ValueError(f"arrays.weight_{level}_0: found {first[1]} inputs, expected more than {coarser}")
        _check(f"bias_{level}_0", tuple(shapes[f"bias_{level}_0"]), (width,))
        second = tuple(shapes[f"weight_{level}_1"])
        _check(f"weight_{level}_1", second, (None, width, *_KERNEL))
        _check(f"bias_{level}_1", tuple(shapes[f"bias_{level}_1"]), (second[0],))
        levels.append(Level(noises, coarser, (width, second[0])))
        coarser = second[0]
    out = tuple(shapes["weight_out"])
    _check("weight_out", out, (None, coarser, 1, 1, 1))
    _check("bias_out", tuple(shapes["bias_out"]), (out[0],))
    if not 2 <= out[0] <= MOST_PHASES:
        raise ValueError(f"arrays.weight_out: found {out[0]} phases, expected 2 to {MOST_PHASES}")
    return levels[::-1]


def _check(name: str, found: tuple[int, ...], expected: tuple[int | None, ...]) -> None:
    """Refuse a shape; None stands for any number of channels that a net may have."""
    fits = len(found) == len(expected) and all(
        1 <= n <= MOST_CHANNELS if wanted is None else n == wanted for n, wanted in zip(found, expected, strict=True)
    )
    if not fits:
        most = f"1 to {MOST_CHANNELS}"
        wanted = ", ".join(most if n is None else str(n) for n in expected)
        raise ValueError(f"arrays.{name}: found shape {found}, expected ({wanted})")


register_model("neural", NeuralParameters)
