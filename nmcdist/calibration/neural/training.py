"""Training of the neural generator on sections of three planes: by statistics first, then against a critic.

Against a critic alone the net collapses to one phase. Each plane has its own losses: a pooled one does not see
lamellae, which look right in two planes together with the third.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from nmcdist.calibration.neural.critic import Critic, critic_loss, deceiving_loss, steepness
from nmcdist.calibration.neural.net import Generator, sites
from nmcdist.calibration.neural.sections import Sections
from nmcdist.calibration.neural.statistics import Target, mismatch, sliced_distance
from nmcdist.errors import InputError
from nmcdist.pytorch import half_precision, nn, reproducible, torch

AXES = (0, 1, 2)
_ALIKE = ((12, 12), (12, 12), (18, 12), (18, 18), (18, 18))  # channels of a net whose axes are alike
_OF_TARGETS = 512  # windows per plane that the targets are averaged over
_RATE, _RATE_OF_CRITIC = 2e-3, 1e-3
_GROWING = 0.22  # share of the warm start in which the rate grows
_CALMED = 0.25  # share of the rate of the warm start that is left against the critic
_STEEPNESS, _EVERY = 1.0, 8  # weight of R1, and steps between two of its uses
_OF_CRITIC = 0.1  # weight of the critic beside the statistics
_AVERAGED = 0.99  # of the weights that are kept, per step
_WARM = 0.45  # share of the steps that is the warm start by statistics
_CLIPPED = 1.0  # norm of a gradient


@dataclass(frozen=True)
class Recipe:
    """How a neural generator is trained.

    Attributes
    ----------
    noises, channels : tuple
        See :class:`nmcdist.calibration.neural.net.Generator`.
    steps, critic_steps : int
        Steps of the warm start by statistics alone, and of those with a critic.
    edge, batch : int
        Pixels along an edge of a section, and drawn sections per plane and step: an even number.
    seed : int
    isotropic : bool
        Whether the axes of the net are alike, and the sections of all planes, turned and mirrored, are one sample.
    """

    noises: tuple[int, ...] = (1, 1, 2, 4, 4)
    channels: tuple[tuple[int, int], ...] = ((10, 10), (12, 10), (16, 12), (16, 16), (16, 16))
    steps: int = 315
    critic_steps: int = 385
    edge: int = 64
    batch: int = 4
    seed: int = 1
    isotropic: bool = False

    @classmethod
    def of_steps(cls, steps: int, sections: Sections, *, isotropic: bool = False) -> "Recipe":
        """Return the recipe of a training of so many steps on these sections, whose windows may be smaller."""
        warm = round(_WARM * steps)
        edge, channels = min(cls.edge, sections.shortest), _ALIKE if isotropic else cls.channels
        return cls(steps=warm, critic_steps=steps - warm, edge=edge, channels=channels, isotropic=isotropic)


def train(
    sections: Sections, recipe: Recipe, progress: Callable[[dict[str, float]], None] = lambda facts: None
) -> Generator:
    """Train a neural generator on one thread.

    Parameters
    ----------
    sections : Sections
    recipe : Recipe
    progress : callable
        Called after each step with a dictionary that describes it.

    Raises
    ------
    InputError
        If the sections are smaller than the windows of the recipe, or the training diverges.
    """
    if sections.shortest < recipe.edge:
        raise InputError(
            f"sections: found one of {sections.shortest} pixels along an edge, expected at least {recipe.edge}"
        )
    with reproducible(recipe.seed):
        trainer = _Trainer(sections, recipe)
        for step in range(recipe.steps + recipe.critic_steps):
            progress(trainer.one_step(step))
        return trainer.averaged()


class _Trainer:
    def __init__(self, sections: Sections, recipe: Recipe) -> None:
        self.sections, self.recipe = sections, recipe
        self.numbers = np.random.default_rng([recipe.seed, 1])
        self.random = torch.Generator().manual_seed(recipe.seed % 2**63)
        self.net = Generator(recipe.noises, recipe.channels, sections.phases, isotropic=recipe.isotropic)
        self.kept = {name: p.detach().clone() for name, p in self.net.named_parameters()}
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=_RATE, betas=(0.5, 0.99))
        self.critic = Critic(sections.phases)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), lr=_RATE_OF_CRITIC, betas=(0.0, 0.99))
        self.planes = AXES[:1] if recipe.isotropic else AXES  # by their normal; those of an isotropic net are alike
        more = len(AXES) // len(self.planes)
        self.batch = recipe.batch * more
        self.targets = [Target.of(self._measured(axis, _OF_TARGETS * more)) for axis in self.planes]
        self.start = time.process_time()

    def one_step(self, step: int) -> dict[str, float]:
        """Change the weights once; return the losses."""
        is_game = step >= self.recipe.steps
        self._set_rate(step)
        drawn = [self._drawn(axis) for axis in self.planes]
        measured = [self._measured(axis, self.batch) for axis in self.planes]
        facts = self._critic_step(drawn, measured, step) if is_game else {}
        of_lags = torch.stack([mismatch(d, target) for d, target in zip(drawn, self.targets, strict=True)])
        of_filters = torch.stack([sliced_distance(d, m, self.random) for d, m in zip(drawn, measured, strict=True)])
        loss = len(AXES) * (of_lags.mean() + of_filters.mean())
        if is_game:
            deceived = deceiving_loss(self.critic(torch.cat(drawn), self._normals()))
            loss = loss + _OF_CRITIC * len(AXES) * deceived
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), _CLIPPED)
        if not torch.isfinite(loss):
            raise InputError(f"training: its loss is not finite in step {step + 1}, expected another seed")
        self.optimiser.step()
        self._average(step)
        facts |= {"statistics": float(of_lags.detach().mean()), "filters": float(of_filters.detach().mean())}
        shares = torch.cat(drawn).detach().mean(dim=(0, 2, 3)).tolist()
        return {
            "step": step + 1, **facts, **{f"share_{k}": v for k, v in enumerate(shares)},
            "cpu_s": time.process_time() - self.start,
        }  # fmt: skip

    def averaged(self) -> Generator:
        """Return the net with the average of its late weights."""
        with torch.no_grad():
            for name, p in self.net.named_parameters():
                p.copy_(self.kept[name])
        return self.net

    def _critic_step(self, drawn: list[torch.Tensor], measured: list[torch.Tensor], step: int) -> dict[str, float]:
        real, planes = torch.cat(measured), self._normals()
        is_steep = step % _EVERY == 0
        real.requires_grad_(is_steep)
        scores = self.critic(real, planes)
        loss = critic_loss(self.critic(torch.cat(drawn).detach(), planes), scores)
        if is_steep:
            loss = loss + _STEEPNESS * _EVERY / 2 * steepness(scores, real)
        self.critic_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.critic_optimiser.step()
        return {"critic": float(loss.detach())}

    def _drawn(self, axis: int) -> torch.Tensor:
        """Return drawn sections as indicators, shape (batch, phases, edge, edge); gradients are those of softmax."""
        recipe, shape = self.recipe, (1, self.recipe.edge, self.recipe.edge)
        period = 2 ** (len(recipe.noises) - 1)
        z, y, x = (int(v) for v in self.numbers.integers(period, size=3))
        places = sites(len(recipe.noises), (z, y, x), shape)
        noise = [
            torch.randn((self.batch, n, *size), generator=self.random)
            for n, (_, size) in zip(recipe.noises, places, strict=True)
        ]
        with half_precision():
            scores = self.net(noise, (z, y, x), shape, axis)
        share = torch.softmax(scores[:, :, 0].float(), dim=1)
        labels = nn.functional.one_hot(share.argmax(dim=1), share.shape[1]).movedim(-1, 1).to(share.dtype)
        return labels + share - share.detach()

    def _measured(self, axis: int, count: int) -> torch.Tensor:
        edge, numbers = self.recipe.edge, self.numbers
        windows = self.sections.turned_windows if self.recipe.isotropic else partial(self.sections.windows, axis)
        labels = torch.from_numpy(windows(count, edge, numbers).astype(np.int64))
        return nn.functional.one_hot(labels, self.sections.phases).movedim(-1, 1).float()

    def _normals(self) -> torch.Tensor:
        return torch.tensor(self.planes).repeat_interleave(self.batch)

    def _set_rate(self, step: int) -> None:
        """Let the rate grow slowly, as channels die otherwise; against the critic it is lower, and ends at zero."""
        recipe = self.recipe
        if step < recipe.steps:
            share = min(1.0, (step + 1) / (_GROWING * recipe.steps)) * (1 - (1 - _CALMED) * step / recipe.steps)
        else:
            share = _CALMED * (1 - (step - recipe.steps) / recipe.critic_steps) ** 0.5
        for group in self.optimiser.param_groups:
            group["lr"] = _RATE * share

    def _average(self, step: int) -> None:
        share = min(_AVERAGED, step / (step + 10))
        with torch.no_grad():
            for name, p in self.net.named_parameters():
                self.kept[name].lerp_(p, 1 - share)
