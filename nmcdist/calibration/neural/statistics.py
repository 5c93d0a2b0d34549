"""Statistics of sections, and how far those of drawn ones are from those of measured ones, for each plane apart.

Averages over a batch scatter. The square of their difference to a target is smallest if they scatter less than the
target does, so a net that is trained on it draws volumes that are too alike. The product of the differences of two
independent halves of a batch has no such bias.
"""

from dataclasses import dataclass

from nmcdist.pytorch import nn, torch

LONGEST_LAG = 32  # pixels
_DISTANCES = (1, 2, 4, 8)  # between the four pixels of a pattern
_SCALES = (1, 2, 4)  # of the filters, in pixels
_FILTERS, _FILTER_EDGE = 12, 7
_EPSILON = 0.02  # share of a phase, below which errors are not divided by it


@dataclass(frozen=True)
class Target:
    """Averages over the measured sections of one plane: what :func:`averages` gives, and the scale of each error."""

    covariance: torch.Tensor
    patterns: list[torch.Tensor]
    weight: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def of(cls, sections: torch.Tensor) -> "Target":
        """Return the averages over sections, shape (n, phases, edge, edge)."""
        covariance, patterns = averages(sections)
        share = sections.mean(dim=(0, 2, 3)).clamp(_EPSILON, 1 - _EPSILON)
        variance = share * (1 - share)
        rows, columns = _pairs(len(share))
        reach = min(LONGEST_LAG, sections.shape[-1] // 2 - 1)
        down, across = torch.arange(-reach, reach + 1.0)[:, None], torch.arange(reach + 1.0)
        lag = torch.hypot(down, across)
        weight = (lag <= reach) / (1 + lag) ** 1.5  # so that lags of every length count, and the first ones most
        return cls(covariance, patterns, weight / weight.sum(), (variance[rows] * variance[columns]).sqrt())


def averages(sections: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the covariances of sections, and the shares of the patterns of four pixels at some distances.

    Parameters
    ----------
    sections : Tensor, shape (n, phases, edge, edge)
        Indicators of the phases.

    Returns
    -------
    covariance : Tensor, shape (pairs of phases, 2 reach + 1, reach + 1)
        Probability of two phases at lags down and across, on the sections as if they were periodic.
    patterns : list of Tensor, shape (phases ** 4,)
    """
    edge = sections.shape[-1]
    reach = min(LONGEST_LAG, edge // 2 - 1)
    rows, columns = _pairs(sections.shape[1])
    spectrum = torch.fft.rfft2(sections)
    product = (spectrum[:, rows] * spectrum[:, columns].conj()).mean(dim=0)
    map_of_lags = torch.fft.irfft2(product, s=(edge, edge)) / edge**2
    covariance = map_of_lags.roll(reach, dims=1)[:, : 2 * reach + 1, : reach + 1]
    return covariance, [_patterns(sections, step) for step in _DISTANCES if 2 * step < edge]


def _patterns(sections: torch.Tensor, step: int) -> torch.Tensor:
    left, right = sections[..., :-step], sections[..., step:]
    corners = (left[:, :, :-step], right[:, :, :-step], left[:, :, step:], right[:, :, step:])
    flat = [each.transpose(0, 1).flatten(1) for each in corners]
    upper, lower = ((a[:, None] * b[None]).flatten(0, 1) for a, b in ((flat[0], flat[1]), (flat[2], flat[3])))
    return (upper @ lower.T).flatten() / upper.shape[1]


def _pairs(phases: int) -> tuple[list[int], list[int]]:
    """Return the pairs of phases, each once."""
    pairs = [(a, b) for a in range(phases) for b in range(a, phases)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def mismatch(drawn: torch.Tensor, target: Target) -> torch.Tensor:
    """Return the error of the averages over drawn sections: without bias, so it may be negative by chance."""
    half = len(drawn) // 2
    (a, first), (b, second) = averages(drawn[:half]), averages(drawn[half:])
    scale = target.scale[:, None, None]
    of_lags = ((a - target.covariance) / scale * ((b - target.covariance) / scale) * target.weight).sum()
    total = of_lags
    for p, q, wanted in zip(first, second, target.patterns, strict=True):
        total = total + ((p - wanted) * (q - wanted) / (wanted + _EPSILON)).sum()
    return total


def sliced_distance(drawn: torch.Tensor, measured: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Return the squared Wasserstein distance of the responses to random filters, averaged over scales and filters.

    Parameters
    ----------
    drawn, measured : Tensor, shape (n, phases, edge, edge)
        As many sections of both.
    random : torch.Generator
        Draws new filters at each call.
    """
    total = drawn.new_zeros(())
    phases, scales = drawn.shape[1], [s for s in _SCALES if drawn.shape[-1] // s >= 2 * _FILTER_EDGE]
    for scale in scales:
        filters = torch.randn((_FILTERS, phases, _FILTER_EDGE, _FILTER_EDGE), generator=random)
        # Small filters see the finest detail, large ones the arrangement.
        edges = torch.randint(2, _FILTER_EDGE + 1, (_FILTERS,), generator=random)
        inside = torch.arange(_FILTER_EDGE) < edges[:, None]
        filters = filters * inside[:, None, :, None] * inside[:, None, None, :]
        filters = filters - filters.mean(dim=1, keepdim=True)
        filters = filters / filters.flatten(1).norm(dim=1)[:, None, None, None]
        found = [_responses(each, filters, scale) for each in (drawn, measured)]
        spread = found[1].std(dim=1, keepdim=True) + 1e-3
        total = total + (((found[0] - found[1]) / spread) ** 2).mean()
    return total / len(scales)


def _responses(sections: torch.Tensor, filters: torch.Tensor, scale: int) -> torch.Tensor:
    """Return the sorted responses to each filter."""
    pooled = nn.functional.avg_pool2d(sections, scale) if scale > 1 else sections
    found = nn.functional.conv2d(pooled, filters, stride=3 if scale == 1 else 1)
    return found.transpose(0, 1).flatten(1).sort(dim=1).values
