"""Training of the marker net on windows of measured sections: by energy distances, or by the game of Algorithm 2.

Every step has a separate random stream, (seed, epoch, step), so a training continued from a checkpoint equals an
uninterrupted one: bit for bit on the same device with the same number of threads.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle.parameters import MOST_UNEQUAL
from nmcdist.bundle.schema import NET_INPUTS
from nmcdist.calibration.grains.baselines import SECTION_DENSITY
from nmcdist.calibration.grains.counts import hats
from nmcdist.calibration.grains.losses import Mismatch, discriminator_loss, generator_loss
from nmcdist.calibration.grains.networks import Discriminator, MarkerGenerator
from nmcdist.calibration.grains.recipe import GrainRecipe
from nmcdist.calibration.grains.results import Epoch
from nmcdist.calibration.grains.soft import SoftWindows, matrix_entries, measured_features, visible_grains
from nmcdist.calibration.grains.windows import Measured, Places, seeds_around
from nmcdist.errors import ImageError, InputError, StoreError
from nmcdist.models.intensity import IntensityProfile
from nmcdist.pytorch import reproducible, torch

CHECKPOINT = "checkpoint.pt"
_SHELLS = 6  # shells about the centre, within which the mean shape is subtracted from the noise
_SMALL_NOISE = 0.005  # variance of log D below which noises count as alike
_SMALL_MEAN = 0.01  # squared mean of log(D2 / D3) with the same weight as a sphericity of 1 / e
_FEWEST = 10  # least number of whole grains in the windows of a step
_NOISE_OF = {"pool": 1, "step": 2}  # first words of the streams

_WELL_POSED = 1e-3  # of the largest singular value: changes of knots with smaller ones are left out
_MOST_CHANGE = 4.0  # largest ratio by which an epoch changes the intensity at a knot

Arrays = dict[str, np.ndarray]
Intensity = float | IntensityProfile
Assess = Callable[[Arrays, Intensity], dict[str, float]]


@dataclass
class Training:
    """The state of a training.

    Attributes
    ----------
    intensity : float or IntensityProfile
        Seeds per cubed pixel.
    visible : float
        Measured grains per pixel, the target of the intensity.
    history : list of Epoch
    best : (float, float or IntensityProfile, dict) or None
        Mean distance, intensity and weights of the best assessed state.
    """

    intensity: Intensity
    visible: float
    history: list[Epoch] = field(default_factory=list)
    best: tuple[float, Intensity, Arrays] | None = None

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """Number of epochs up to the best assessed state, 0 if none was assessed."""
        assessed = {e.epoch: mean_distance(e.distances) for e in self.history if e.distances is not None}
        return max((epoch for epoch, mean in assessed.items() if mean == min(assessed.values())), default=0)


def train(
    measured: Measured,
    recipe: GrainRecipe,
    assess: Assess,
    *,
    profile: IntensityProfile | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: Callable[[dict[str, Any]], None] = lambda facts: None,
) -> Training:
    """Train a marker net.

    Parameters
    ----------
    measured : Measured
    recipe : GrainRecipe
    assess : callable
        Weights and intensity (per cubed pixel) -> distances by descriptor; their mean is minimised.
    profile : IntensityProfile, optional
        Initial seeds per cubed pixel by distance from the centre. Eq. (13) then changes the intensity at each knot,
        by the grains near that distance. Default: a constant intensity.
    checkpoint : Path, optional
        File to write after each epoch.
    resume : bool
        Whether to continue from the checkpoint.
    device : str
        PyTorch device, for example "cuda".
    threads : int, optional
        PyTorch threads on the CPU; default: PyTorch's own choice.
    progress : callable
        Called after each epoch with a dictionary that describes it.

    Raises
    ------
    ImageError
        If no section has room for a window, or windows hold too few whole grains.
    InputError
        If the device cannot be used, or the training diverges.
    StoreError
        If there is no checkpoint to continue from, or it is damaged or belongs to another recipe or other sections.
    """
    with reproducible(recipe.seed, threads):
        trainer = _Trainer(measured, recipe, usable_device(device), profile)
        if resume:
            if checkpoint is None:
                raise StoreError("checkpoint: missing, needed to resume a training")
            trainer.load(checkpoint)
        while trainer.training.epoch < recipe.epochs:
            progress(trainer.one_epoch(assess).model_dump())
            if checkpoint is not None:
                trainer.save(checkpoint)
        return trainer.training


def mean_distance(distances: dict[str, float]) -> float:
    """Return the mean of a state's distances, which is minimised."""
    return float(np.mean(list(distances.values())))


def usable_device(name: str) -> torch.device:
    """Return a PyTorch device; InputError if the name is unknown, or the device cannot be used here."""
    try:
        found = torch.zeros(1, device=name)
        found.item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # depends on the build of torch
        why = " ".join(str(error).split(". ")[0].split())
        raise InputError(f"device: found {name!r}, expected cpu, or a GPU that torch can use ({why})") from None
    return found.device


def starting_intensity(grains_per_pixel: float) -> float:
    """Return the seeds per cubed pixel of a Poisson-Voronoi tessellation with so many grains per pixel in sections."""
    return float((grains_per_pixel / SECTION_DENSITY) ** 1.5)


class _Trainer:
    """The networks with their optimisers, and the steps of an epoch."""

    def __init__(
        self, measured: Measured, recipe: GrainRecipe, device: torch.device, profile: IntensityProfile | None
    ) -> None:
        self.measured, self.recipe, self.device = measured, recipe, device
        areas = sum(int((depth > measured.margin).sum()) for depth in measured.depths)
        if not areas:
            raise ImageError("sections: found no pixel far enough inside a particle")
        self.pool = _Pool.cut(measured, recipe, device) if recipe.method == "energy" else None
        self.visible = self._visible_grains()
        spacing = starting_intensity(self.visible) ** (-1 / 3)
        self.training = Training(profile or starting_intensity(self.visible), self.visible)
        net = recipe.net
        self.net = MarkerGenerator(
            spacing, sees_distance=net.sees_distance, own_noise=net.own_noise, widths=net.widths,
            diagonal_range=net.diagonal_range, offset_range=net.offset_range,
        ).to(device)  # fmt: skip
        self.average = {name: p.detach().clone() for name, p in self.net.named_parameters()}
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=recipe.learning_rate)
        self.critic, self.critic_optimiser = None, None
        if recipe.method == "adversarial":
            settings = recipe.adversarial
            self.critic = Discriminator(recipe.window, settings.channels, settings.dense).to(device)
            self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), lr=recipe.learning_rate)

    def one_epoch(self, assess: Assess) -> Epoch:
        """Do the steps of an epoch, update the intensity, and assess the state if it is due."""
        recipe, state, start = self.recipe, self.training, time.perf_counter()
        of_steps: dict[str, list[float]] = {}
        self.about_knots: list[np.ndarray] = []
        for step in range(recipe.steps):
            generator = np.random.default_rng([recipe.seed, _NOISE_OF["step"], state.epoch, step])
            self._set_rate((state.epoch * recipe.steps + step) / (recipe.epochs * recipe.steps))
            found = self._energy_step(generator) if self.pool is not None else self._adversarial_step(generator)
            for name, value in found.items():
                of_steps.setdefault(name, []).append(value)
        means = {name: float(np.mean(values)) for name, values in of_steps.items()}
        if not all(map(math.isfinite, means.values())):
            # Raised before anything is written, so the checkpoint remains that of the last good epoch.
            raise InputError(
                f"training: its loss is not finite in epoch {state.epoch + 1} (learning_rate {recipe.learning_rate:g}, "
                f"temperature {recipe.temperature:g}, window {recipe.window}, batch {recipe.batch}), expected smaller "
                "steps, or more and larger windows if these hold barely one whole grain"
            )
        self._move_intensity(means["visible"])
        done = state.epoch + 1
        facts: dict[str, Any] = {
            "epoch": done, **means, **_described(state.intensity), "seconds": time.perf_counter() - start
        }  # fmt: skip
        if done % recipe.assess_every == 0 or done == recipe.epochs:
            arrays, threads, start = self._averaged_arrays(), torch.get_num_threads(), time.perf_counter()
            distances = assess(arrays, state.intensity)
            facts["assess_seconds"] = time.perf_counter() - start
            # Other libraries that share OpenMP with torch change this number.
            torch.set_num_threads(threads)
            facts["distances"] = distances
            mean = mean_distance(distances)
            if state.best is None or mean <= state.best[0]:
                state.best = mean, state.intensity, arrays
        epoch = Epoch.model_validate(facts)
        state.history.append(epoch)
        return epoch

    def _move_intensity(self, visible: float) -> None:
        """Update the intensity by Eq. (13): by all visible grains, or at each knot by whole grains nearby.

        A grain counts at its two neighbouring knots, with weights that are linear in between. Least squares divide
        the total change among the knots; with a single knot, the step is that of Eq. (13).
        """
        state, weight = self.training, self.recipe.intensity_weight
        if not isinstance(state.intensity, IntensityProfile):
            state.intensity *= 1 - weight + weight * self.visible / visible
            return
        measured, generated, *products = np.sum(self.about_knots, axis=0)
        change = np.linalg.lstsq(np.array(products), measured - generated, rcond=_WELL_POSED)[0]
        ratio = np.clip(1 + change, 1 / _MOST_CHANGE, _MOST_CHANGE)
        values = np.array(state.intensity.values) * (1 - weight + weight * ratio)
        least = values.max() / MOST_UNEQUAL
        state.intensity = IntensityProfile(state.intensity.knots, tuple(np.maximum(values, least).tolist()))

    def _energy_step(self, generator: np.random.Generator) -> dict[str, float]:
        assert self.pool is not None
        places, truth = self.pool.draw(self.recipe.batch, generator)
        windows, unlike = self._generated(places, generator)
        found = windows.features()
        if isinstance(self.training.intensity, IntensityProfile):
            distances = (rows[:, 3].detach().cpu().numpy() for rows in (truth, found))
            measured, generated = (hats(self.training.intensity.knots, away) for away in distances)
            sums = [measured.sum(axis=0), generated.sum(axis=0), *(generated.T @ generated)]
            self.about_knots.append(np.stack(sums))
        loss = self.pool.mismatch(found, truth) + self.recipe.noise_weight * unlike
        length = self._descend(self.net, self.optimiser, loss)
        self._move_average()
        return {"loss": loss.item(), "gradient": length, "visible": windows.visible_per_pixel}

    def _adversarial_step(self, generator: np.random.Generator) -> dict[str, float]:
        """Do one round of Algorithm 2: a step of the generator, then one of the discriminator."""
        assert self.critic is not None
        assert self.critic_optimiser is not None
        settings = self.recipe.adversarial
        windows, unlike = self._generated(self._places(self.recipe.batch, generator), generator)
        verdicts = self.critic(windows.images(windows.hard if settings.rounded else windows.shares))
        loss = generator_loss(verdicts, settings.generator_loss) + self.recipe.noise_weight * unlike
        length = self._descend(self.net, self.optimiser, loss)
        self._move_average()
        truth = self._measured_windows(settings.discriminator_batch, generator, settings.augmentation)
        with torch.no_grad():
            shown, _ = self._generated(truth.places, generator)
        images = (truth.images(truth.hard.detach()), shown.images(shown.hard.detach()))
        critic_loss = discriminator_loss(*(self.critic(image) for image in images))
        learns = critic_loss.item() > settings.skip_below
        if learns:
            self._descend(self.critic, self.critic_optimiser, critic_loss)
        return {
            "loss": loss.item(), "gradient": length, "visible": windows.visible_per_pixel,
            "discriminator_loss": critic_loss.item(), "discriminator_steps": float(learns),
        }  # fmt: skip

    def _generated(self, places: Places, generator: np.random.Generator) -> tuple[SoftWindows, torch.Tensor]:
        """Return generated windows, and the inequality of the noise of the entries of D."""
        seeds = seeds_around(places, self.training.intensity, generator)
        diagonals, offsets = self.net(torch.from_numpy(seeds.inputs).to(self.device))
        frames = torch.from_numpy(seeds.frames.astype(np.float32)).to(self.device)
        windows = SoftWindows(places, seeds, matrix_entries(diagonals, frames), offsets, self.recipe.temperature)
        return windows, _unlike_noise(torch.log(diagonals), seeds.inputs[:, NET_INPUTS])

    def _places(self, count: int, generator: np.random.Generator) -> Places:
        return self.measured.turned_windows(count, self.recipe.window, generator)[0]

    def _measured_windows(self, count: int, generator: np.random.Generator, augmentation: float = 0.0) -> SoftWindows:
        return _soft(self.measured, count, self.recipe, generator, self.device, augmentation)

    def _visible_grains(self) -> float:
        if self.pool is not None:
            return self.pool.visible
        generator = np.random.default_rng([self.recipe.seed, _NOISE_OF["pool"]])
        return self._measured_windows(self.recipe.pool, generator).visible_per_pixel

    def _descend(self, net: torch.nn.Module, optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> float:
        optimiser.zero_grad()
        loss.backward()
        length = float(torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None]))
        if length > 0 and (self.recipe.gradient == "normalise" or length > 1):
            for parameter in net.parameters():
                if parameter.grad is not None:
                    parameter.grad /= length
        optimiser.step()
        return length

    def _set_rate(self, share: float) -> None:
        factor = (1 + math.cos(math.pi * share)) / 2 if self.recipe.schedule == "cosine" else 1.0
        for optimiser in filter(None, (self.optimiser, self.critic_optimiser)):
            for group in optimiser.param_groups:
                group["lr"] = self.recipe.learning_rate * factor

    def _move_average(self) -> None:
        decay = self.recipe.average
        for name, parameter in self.net.named_parameters():
            self.average[name].mul_(decay).add_(parameter.detach(), alpha=1 - decay)

    def _averaged_arrays(self) -> Arrays:
        now = {name: p.detach().clone() for name, p in self.net.named_parameters()}
        self._put(self.average)
        arrays = self.net.arrays()
        self._put(now)
        return arrays

    def _put(self, values: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.net.named_parameters():
                parameter.copy_(values[name])

    def save(self, path: Path) -> None:
        """Write the complete state for the next epoch."""
        state = self.training
        best = (
            None
            if state.best is None
            else (*state.best[:2], {n: torch.from_numpy(a) for n, a in state.best[2].items()})
        )
        if best is not None:
            best = (best[0], _plain(best[1]), best[2])
        content = {
            "recipe": self.recipe.model_dump_json(), "sections": self.measured.digest(),
            "intensity": _plain(state.intensity), "history": [epoch.model_dump() for epoch in state.history],
            "best": best, "average": self.average, "parts": self._parts(),
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(content, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Continue from the file of :meth:`save`."""
        try:
            content = torch.load(path, map_location=self.device, weights_only=True)
            recipe, sections = content["recipe"], content["sections"]
        except FileNotFoundError:
            raise StoreError(f"{path}: no checkpoint to continue from") from None
        except Exception as error:  # torch raises errors of any type on a damaged file
            raise StoreError(f"{path}: damaged checkpoint ({' '.join(str(error).split())[:200]})") from None
        if recipe != self.recipe.model_dump_json():
            raise StoreError(f"{path}: belongs to another recipe; train without resuming, or with the original recipe")
        if sections != self.measured.digest():
            raise StoreError(f"{path}: belongs to other sections; train without resuming, or on the original sections")
        best = content["best"]
        if best is not None:
            arrays = {name: tensor.cpu().numpy() for name, tensor in best[2].items()}
            best = (best[0], _from_plain(best[1]), arrays)
        history = [Epoch.model_validate(epoch) for epoch in content["history"]]
        self.training = Training(_from_plain(content["intensity"]), self.visible, history, best)
        self.average = content["average"]
        for name, part in self._stateful().items():
            part.load_state_dict(content["parts"][name])

    def _parts(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._stateful().items()}

    def _stateful(self) -> dict[str, Any]:
        parts = {
            "net": self.net, "optimiser": self.optimiser, "critic": self.critic,
            "critic_optimiser": self.critic_optimiser,
        }  # fmt: skip
        return {name: part for name, part in parts.items() if part is not None}


@dataclass(frozen=True)
class _Pool:
    """Windows of the measured sections, with the features of their grains."""

    places: Places
    features: list[torch.Tensor]
    mismatch: Mismatch
    visible: float

    @classmethod
    def cut(cls, measured: Measured, recipe: GrainRecipe, device: torch.device) -> "_Pool":
        generator = np.random.default_rng([recipe.seed, _NOISE_OF["pool"]])
        places, labels = measured.windows(recipe.pool, recipe.window, generator)
        features = [
            measured_features(
                places[k : k + 1], np.unique(labels[k], return_inverse=True)[1].reshape(1, *labels[k].shape)
            )
            for k in range(recipe.pool)
        ]
        whole = sum(map(len, features)) / recipe.pool
        if whole * recipe.batch < _FEWEST:
            raise ImageError(
                f"sections: found {whole:.2g} whole grains in a window of {recipe.window} pixels, expected "
                f"{_FEWEST / recipe.batch:.2g} at least; take a larger window or batch"
            )
        everything = [f.to(device) for f in features]
        return cls(places, everything, Mismatch(torch.cat(everything)), visible_grains(places, labels))

    def draw(self, count: int, generator: np.random.Generator) -> tuple[Places, torch.Tensor]:
        """Return positions of measured windows, and their grains, which generated grains should match."""
        rows = generator.integers(len(self.places), size=count)
        return self.places[rows], torch.cat([self.features[k] for k in rows])


def _described(intensity: Intensity) -> dict[str, Any]:
    """Return the entries of an intensity in the history; its greatest value represents a varying one."""
    if isinstance(intensity, IntensityProfile):
        return {"intensity": intensity.highest, "knots": list(intensity.knots), "intensities": list(intensity.values)}
    return {"intensity": intensity}


def _plain(intensity: Intensity) -> Any:
    return (intensity.knots, intensity.values) if isinstance(intensity, IntensityProfile) else intensity


def _from_plain(content: Any) -> Intensity:
    return content if isinstance(content, float) else IntensityProfile(*map(tuple, content))


def _unlike_noise(logs: torch.Tensor, distances: np.ndarray) -> torch.Tensor:
    """Return the inequality of the noise of the entries of D: 0 if alike, independent and equal across.

    Noise is the variation of the logarithms about their mean at a distance from the centre. It is alike if its
    covariance is spherical; the measure is minus the logarithm of Mauchly's sphericity, det C / (tr C / 3)^3.
    """
    edges = np.quantile(distances, np.linspace(0, 1, _SHELLS + 1)[1:-1])
    shell = torch.from_numpy(np.digitize(distances, edges)).to(logs.device)
    inside = torch.nn.functional.one_hot(shell, _SHELLS).to(logs.dtype)
    noise = logs - inside @ ((inside.T @ logs) / inside.sum(dim=0).clamp(min=1)[:, None])
    covariance = noise.T @ noise / len(noise) + _SMALL_NOISE * torch.eye(3, device=logs.device)
    sphericity = torch.logdet(covariance) - 3 * torch.log(covariance.trace() / 3)
    return (logs[:, 1] - logs[:, 2]).mean() ** 2 / _SMALL_MEAN - sphericity


def _soft(
    measured: Measured, count: int, recipe: GrainRecipe, generator: np.random.Generator, device: torch.device,
    augmentation: float = 0.0,
) -> SoftWindows:  # fmt: skip
    places, seeds, matrices, offsets = measured.turned_windows(count, recipe.window, generator, augmentation)
    entries, added = (torch.from_numpy(a.astype(np.float32)).to(device) for a in (matrices, offsets))
    return SoftWindows(places, seeds, entries, added, recipe.temperature)
