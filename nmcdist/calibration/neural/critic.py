"""The critic: tells drawn sections of a plane from measured ones, patch by patch."""

from nmcdist.pytorch import nn, torch

_WIDTHS = (24, 48, 96)
PLANES = 3


class Critic(nn.Module):
    """Scores of the patches of sections: high for measured ones."""

    def __init__(self, phases: int) -> None:
        super().__init__()
        widths = (phases + PLANES, *_WIDTHS)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2) for a, b in zip(widths, _WIDTHS, strict=False))
        self.near, self.out = nn.Conv2d(_WIDTHS[-1], _WIDTHS[-1], 3), nn.Conv2d(_WIDTHS[-1], 1, 1)

    def forward(self, sections: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        """Return one score per section and patch.

        Parameters
        ----------
        sections : Tensor, shape (n, phases, edge, edge)
        planes : Tensor of int64, shape (n,)
            The axis that is normal to each section.
        """
        of_plane = nn.functional.one_hot(planes, PLANES).to(sections.dtype)[:, :, None, None]
        found = torch.cat([sections, of_plane.expand(-1, -1, *sections.shape[2:])], dim=1)
        found = found.contiguous(memory_format=torch.channels_last)
        for layer in (*self.layers, self.near):
            found = nn.functional.leaky_relu(layer(found), 0.2)
        scores: torch.Tensor = self.out(found).flatten(1)
        return scores


def critic_loss(drawn: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
    """Return the loss of the critic, from its scores of drawn and measured patches."""
    return nn.functional.softplus(drawn).mean() + nn.functional.softplus(-measured).mean()


def deceiving_loss(drawn: torch.Tensor) -> torch.Tensor:
    """Return the loss of the generator that does not saturate, from the scores of what it drew."""
    return nn.functional.softplus(-drawn).mean()


def steepness(scores: torch.Tensor, sections: torch.Tensor) -> torch.Tensor:
    """Return the mean squared gradient of the scores of measured sections (R1, Mescheder et al., ICML 2018)."""
    (slope,) = torch.autograd.grad(scores.mean(dim=1).sum(), sections, create_graph=True)
    return slope.square().sum(dim=(1, 2, 3)).mean()
