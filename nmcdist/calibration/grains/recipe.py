"""The recipe of a calibration of grains, as a YAML file that is checked completely before the training starts."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from nmcdist.faults import NAME, spelt
from nmcdist.inputs import folder_name

Count = Annotated[int, Field(ge=1, le=10**6)]
Windows = Annotated[int, Field(ge=1, le=10**5)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
_PRINTABLE = spelt(r"[^\x00-\x1f\x7f]+", "a line of printable text")
Line = Annotated[str, Field(min_length=1, max_length=500), _PRINTABLE]


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Width = Annotated[int, Field(ge=1, le=4096)]
Widths = Annotated[tuple[Width, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=8)]
Range = Annotated[tuple[float, float], BeforeValidator(_as_tuple)]


_WIDEST = 100.0


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class NetSettings(_Frozen):
    """The marker net.

    Attributes
    ----------
    widths : tuple of int
        Widths of the hidden layers; the paper's values are illegible.
    sees_distance : bool
        Whether the distance of the seed from the centre is an input; without it, the law cannot depend on it.
    own_noise : bool
        Whether the grain's own two noises are inputs, besides those of its neighbours (the paper's inputs). Needed
        for grains of several sizes, with a wide `offset_range`: r competes with D, so offsets of x squared pixels
        among round grains need entries of D that are x times as large.
    diagonal_range, offset_range : tuple of float
        Ranges of the entries of D, and of r in squared pixels.
    """

    widths: Widths = (64, 64)
    sees_distance: bool = True
    own_noise: bool = False
    diagonal_range: Range = (1.0, 10.0)
    offset_range: Range = (0.0, 50.0)

    @model_validator(mode="after")
    def _ranges_are_possible(self) -> "NetSettings":
        for name, (low, high), least in (
            ("diagonal_range", self.diagonal_range, "above 0"), ("offset_range", self.offset_range, "at least 0"),
        ):  # fmt: skip
            if not low < high or low < 0 or (least == "above 0" and low == 0):
                raise ValueError(f"{name}: found [{low:g}, {high:g}], expected numbers {least}, the lower first")
        low, high = self.diagonal_range
        if high > _WIDEST * low:
            # With more unequal grains, seeds beyond those drawn around a window could matter.
            raise ValueError(f"diagonal_range: found [{low:g}, {high:g}], expected a ratio of at most {_WIDEST:g}")
        return self


class AdversarialSettings(_Frozen):
    """The game of Algorithm 2.

    Attributes
    ----------
    discriminator_batch : int
        Number of measured windows per step, and of generated ones.
    channels : tuple of int
        Channels of its convolutions; the paper's values are illegible.
    dense : int
        Width of its dense layer.
    skip_below : float
        Loss below which a step of the discriminator is skipped.
    generator_loss : {"least-squares", "printed"}
        (D - 1)^2, or -D^2 as printed in Algorithm 2, which has no lower bound.
    augmentation : float
        Largest share by which D and r of fitted sections are changed.
    rounded : bool
        Whether generated windows are rounded too, with the gradient of the smooth ones.
    """

    discriminator_batch: Windows = 128
    channels: Widths = (32, 64, 128)
    dense: Width = 64
    skip_below: Annotated[float, Field(ge=0, le=1e6)] = 0.09
    generator_loss: Literal["least-squares", "printed"] = "least-squares"
    augmentation: Annotated[float, Field(ge=0, lt=1)] = 0.2
    rounded: bool = True


class GrainRecipe(_Frozen):
    """How a marker net is trained on sections.

    Attributes
    ----------
    name, version, title : str
    seed : int
    method : {"energy", "adversarial"}
        How generated windows are compared with measured ones: by the energy distance of their grains, or by a
        discriminator.
    window : int
        Pixels along an edge of a window.
    batch : int
        Windows per step of the generator.
    epochs, steps : int
        Epochs, and steps per epoch; each epoch ends with an update of the intensity by Eq. (13).
    learning_rate : float
    schedule : {"cosine", "constant"}
    gradient : {"clip", "normalise"}
        Whether gradients longer than 1 are shortened to 1, or all are scaled to 1.
    temperature : float
        T of the softmax in squared pixels; not printed in the paper.
    noise_weight : float
        Weight of the penalty on unequal noise of the entries of D. Planar sections contain little information about
        the relation of the two axes across the radius and their noises, because gamma turns them at random. Among
        laws that look alike in sections, the penalty favours equal and independent noise along all axes.
    intensity : {"both", "constant", "by-distance"}
        Law of the seeds' intensity: constant, as in the paper; by distance from the centre, with as many knots as the
        visible grains justify; or both, with one training each: the constant law is chosen unless the visible grains
        by distance contradict it. Only for `method: energy`.
    intensity_weight : float
        Weight of the ratio of visible grains in Eq. (13).
    average : float
        Decay per step of the running average of the weights, which is assessed and kept; 0 for no average.
    assess_every : int
        Epochs between two assessments by the descriptors of sections; the best assessed state is kept.
    pool : int
        Number of windows cut once from the measured sections, from which steps draw (for energy).
    net : NetSettings
    adversarial : AdversarialSettings
    """

    name: Annotated[str, Field(max_length=100), NAME, AfterValidator(folder_name)] = "nmc811-stereological"
    version: Line = "1.0.0"
    title: Line = "Marker net trained on planar sections"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    method: Literal["energy", "adversarial"] = "energy"
    window: Annotated[int, Field(ge=16, le=256, multiple_of=8)] = 64
    batch: Windows = 12
    epochs: Count = 72
    steps: Count = 50
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 4e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    gradient: Literal["clip", "normalise"] = "clip"
    temperature: Positive = 12.0
    noise_weight: Annotated[float, Field(ge=0, le=1e6)] = 0.1
    intensity: Literal["both", "constant", "by-distance"] = "both"
    intensity_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    average: Annotated[float, Field(ge=0, lt=1)] = 0.98
    assess_every: Count = 6
    pool: Windows = 1000
    net: NetSettings = NetSettings()
    adversarial: AdversarialSettings = AdversarialSettings()

    @model_validator(mode="after")
    def _window_has_room_for_pooling(self) -> "GrainRecipe":
        halvings = len(self.adversarial.channels)
        if self.method == "adversarial" and self.window < 2**halvings:
            raise ValueError(
                f"adversarial.channels: found {halvings}, each of which halves the window of {self.window} pixels, "
                f"expected at most {self.window.bit_length() - 1}"
            )
        return self

    @model_validator(mode="after")
    def _intensity_suits_the_method(self) -> "GrainRecipe":
        if self.method == "adversarial" and self.intensity == "by-distance":
            raise ValueError("intensity: found 'by-distance', which needs method: energy, expected 'constant'")
        return self
