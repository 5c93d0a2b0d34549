"""Convolutions that treat the three axes alike, for media that are isotropic.

Channels come in triples, one for each turn of the cube about its diagonal: z to y, y to x, x to z. The weights of the
second and third of a triple are those of the first, turned. Then what is drawn from turned noise is what was drawn,
turned; and so, whatever the weights are, the law of a volume is the same along each axis. Such a layer is a group
convolution (Cohen and Welling, ICML 2016, section 6).
"""

import math

from nmcdist.pytorch import nn, torch

TURNS = 3


class TurnedConv3d(nn.Module):
    """A convolution whose channels are turned copies of each other.

    Parameters
    ----------
    scalars : int
        Channels that come first and are no triples: noise.
    before, after : int
        Channels that come and go: triples, the first ones of all, then the second, then the third ones.
    edge : int
        Of the kernel.
    """

    def __init__(self, scalars: int, before: int, after: int, edge: int) -> None:
        super().__init__()
        if before % TURNS or after % TURNS:
            raise ValueError(f"channels: found {before} and {after}, expected multiples of {TURNS}")
        count, kernel = after // TURNS, (edge,) * 3
        spread = math.sqrt(2 / ((scalars + before) * edge**3))
        self.of_scalars = nn.Parameter(spread * torch.randn(count, scalars, *kernel))
        self.of_turns = nn.Parameter(spread * torch.randn(count, TURNS, before // TURNS, *kernel))
        self.offset = nn.Parameter(torch.zeros(count))

    @property
    def weight(self) -> torch.Tensor:
        """The weights of all channels, shape (after, scalars + before, edge, edge, edge)."""
        rows = []
        for turn in range(TURNS):
            turns = self.of_turns.roll(turn, dims=1).flatten(1, 2)
            rows.append(_turned(torch.cat([self.of_scalars, turns], dim=1), turn))
        return torch.cat(rows)

    @property
    def bias(self) -> torch.Tensor:
        """The biases of all channels, shape (after,)."""
        return self.offset.repeat(TURNS)


class TurnedScores(nn.Module):
    """Scores of phases, to which the channels of a triple contribute alike.

    Parameters
    ----------
    before : int
        Channels that come, see :class:`TurnedConv3d`.
    phases : int
    """

    def __init__(self, before: int, phases: int) -> None:
        super().__init__()
        self.of_turns = nn.Parameter(torch.randn(phases, before // TURNS, 1, 1, 1) / math.sqrt(before))
        self.bias = nn.Parameter(torch.zeros(phases))

    @property
    def weight(self) -> torch.Tensor:
        """The weights of all channels, shape (phases, before, 1, 1, 1)."""
        return self.of_turns.repeat(1, TURNS, 1, 1, 1)


def _turned(weight: torch.Tensor, turns: int) -> torch.Tensor:
    """Return weights whose values at (z, y, x) are those at (x, z, y) before, once a turn."""
    order = [(k - turns) % TURNS for k in range(TURNS)]
    return weight.permute(0, 1, *(2 + k for k in order))
