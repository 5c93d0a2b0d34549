"""The recipe of a segmenter: what is drawn, how it is imaged, which net learns it; checked before the work starts."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from nmcdist.bundle.parameters import CbaParameters
from nmcdist.bundle.segmenter import MOST_PLANES
from nmcdist.calibration.segmenter.net import halo_of
from nmcdist.faults import NAME, one_line
from nmcdist.inputs import folder_name

INSTRUMENTS = ("fib-sem", "nano-ct")
CLASSES = {"fib-sem": ("pore", "carbon_binder", "graphite"), "nano-ct": ("background", "particle")}
_BASES = {"fib-sem": "cba-cathode-2025", "nano-ct": "nmc811-radial"}
_PIXELS_NM = {"fib-sem": 10.0, "nano-ct": 128.0}
# By how much a value may differ from that of the quality of its image, as a factor.
_FACTORS = {
    "fib-sem": {"contrast": 1.2, "dose": 1.5, "charging": 1.5, "shine": 1.4, "blur_px": 1.2, "curtain": 1.5},
    "nano-ct": {"contrast": 1.2, "noise": 1.2, "blur_px": 1.2},
}
_RANGES = {
    "fib-sem": {"pore": (0.2, 0.4), "ramp": (0.0, 0.4), "read_noise": (0.005, 0.02), "drift_px": (0.0, 1.0)},
    "nano-ct": {"background": (0.15, 0.35), "noise_px": (0.6, 0.8)},
}
_VARIED = {
    "fib-sem": {
        "eta_per_nm": (0.7, 2.2), "lambda_X_per_nm3": (0.4, 2.0), "mu": (0.6, 1.5), "theta_per_nm": (0.7, 1.4),
        "lambda_Y_per_nm3": (0.5, 2.0),
    },
    "nano-ct": {},
}  # fmt: skip
_LARGEST_BYTES = 4 << 30  # of all windows, which are in memory


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _ranges(given: Any) -> Any:
    return {key: _as_tuple(value) for key, value in given.items()} if isinstance(given, dict) else given


def _ascending(ranges: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    for name, (low, high) in ranges.items():
        if low > high:
            raise ValueError(f"{name}: found [{low:g}, {high:g}], expected the lower end first")
    return ranges


_List = BeforeValidator(_as_tuple)
Width = Annotated[int, Field(ge=1, le=512)]
Place = Annotated[str, Field(min_length=1, max_length=500)]
Range = tuple[Annotated[float, Field(ge=0, le=1e6)], Annotated[float, Field(ge=0, le=1e6)]]
Ranges = Annotated[dict[str, Range], BeforeValidator(_ranges), AfterValidator(_ascending)]
Factor = Annotated[float, Field(ge=1, le=10)]
Edge = Annotated[int, Field(ge=64, le=1024, multiple_of=16)]


class Imaging(_Frozen):
    """How drawn structures are imaged: a quality between the frozen settings, and what varies besides."""

    quality: Annotated[tuple[float, float], _List] = Field(
        default=(0.0, 1.0), description="Ends of the quality of images: 0 is that of the setting easy, 1/2 of "
        "paper-like, 1 of hard.",
    )  # fmt: skip
    factors: dict[str, Factor] = Field(
        default={}, description="Largest factor by which a value differs from that of the quality, up or down; "
        "those not given keep their default.",
    )  # fmt: skip
    ranges: Ranges = Field(
        default={}, description="Ends of what does not depend on the quality: of fib-sem pore, ramp, read_noise and "
        "drift_px, of nano-ct background and noise_px; those not given keep their default.",
    )  # fmt: skip
    registered: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="Share of the FIB-SEM windows whose drift is taken out, as of a registered stack."
    )


class Training(_Frozen):
    """How the net learns."""

    steps: Annotated[int, Field(ge=1, le=10**6)] = Field(default=1700, description="Steps of the optimiser.")
    batch: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=4, description="Patches of a step; of a LeNet 64 times as many, each of one pixel."
    )
    patch: Annotated[int, Field(ge=16, le=512, multiple_of=16)] = Field(
        default=192, description="Pixels along an edge of a patch, without the halo that the net needs; not of a LeNet."
    )
    learning_rate: Annotated[float, Field(gt=0, le=1)] = Field(default=2e-3, description="Largest learning rate.")


class SegmenterRecipe(_Frozen):
    """The recipe of a segmenter."""

    kind: Literal["segmenter"] = Field(default="segmenter", description="Kind of the recipe.")
    name: Annotated[str, Field(max_length=100), NAME, AfterValidator(folder_name)] = Field(
        description="Name of the bundle: small letters, digits and hyphens."
    )
    title: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(one_line)] = Field(
        default="Segmenter trained on drawn images", description="Title of the bundle: one line."
    )
    licence: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line)] = Field(
        default="not stated", description="Licence of the bundle."
    )
    instrument: Literal["fib-sem", "nano-ct"] = Field(default="fib-sem", description="Virtual microscope.")
    model: Literal["unet", "lenet"] = Field(
        default="unet", description="unet: a U-Net of valid convolutions; lenet: a LeNet-5 that classifies the pixel "
        "in the middle of each patch.",
    )  # fmt: skip
    widths: Annotated[tuple[Width, ...], _List, Field(min_length=2, max_length=6)] = Field(
        default=(12, 24, 48, 96, 128), description="Channels of a U-Net at each resolution, the finest first."
    )
    planes: Annotated[int, Field(ge=1, le=MOST_PLANES)] = Field(
        default=3, description="Neighbouring slices that the net sees, an odd number."
    )
    bundles: Annotated[tuple[Place, ...], _List, Field(max_length=100)] = Field(
        default=(), description="Bundles of the structures, by name or path, in turn: of the additive for fib-sem, of "
        "particles for nano-ct. Default: cba-cathode-2025 or nmc811-radial.",
    )  # fmt: skip
    vary: Ranges = Field(
        default={}, description="Ends of the factors on parameters of the additive, such as {eta_per_nm: [0.7, 2.2]}; "
        "those not given keep their default.",
    )  # fmt: skip
    share: Annotated[tuple[float, float], _List] = Field(
        default=(0.25, 0.5), description="Ends of the share of a window of nano-ct that particles fill."
    )
    pixel_nm: Annotated[float, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Edge of a pixel; slices of fib-sem are twice as thick. Default: 10 or 128."
    )
    windows: Annotated[int, Field(ge=2, le=100_000)] = Field(default=240, description="Number of drawn windows.")
    slices: Annotated[int, Field(ge=3, le=256)] = Field(default=8, description="Slices of a window.")
    edge: Edge = Field(default=288, description="Pixels along an edge of a window.")
    imaging: Imaging = Field(default=Imaging(), description="How windows are imaged.")
    training: Training = Field(default=Training(), description="How the net learns.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(default=1, description="Seed of the windows and of the net.")

    @model_validator(mode="after")
    def _names_are_known(self) -> "SegmenterRecipe":
        for where, given, known in (
            ("imaging.factors", self.imaging.factors, _FACTORS[self.instrument]),
            ("imaging.ranges", self.imaging.ranges, _RANGES[self.instrument]),
            ("vary", self.vary, CbaParameters.model_fields if self.instrument == "fib-sem" else {}),
        ):  # fmt: skip
            for name in given:
                if name not in known:
                    names = f"some of {', '.join(known)}" if known else "nothing"
                    raise ValueError(f"{where}: found {name!r}, expected {names} for {self.instrument}")
        return self

    @model_validator(mode="after")
    def _numbers_are_possible(self) -> "SegmenterRecipe":
        for name, (low, high), least, most in (
            ("imaging.quality", self.imaging.quality, -0.5, 1.5), ("share", self.share, 0.01, 0.5)
        ):  # fmt: skip
            if not least <= low <= high <= most:
                raise ValueError(f"{name}: found [{low:g}, {high:g}], expected ends from {least:g} to {most:g}")
        for name, limit in (("ramp", 0.9), ("drift_px", 4.0), ("pore", 0.8), ("background", 0.8)):
            if self.ranges.get(name, (0, 0))[1] > limit:
                raise ValueError(
                    f"imaging.ranges: found {name} up to {self.ranges[name][1]:g}, expected {limit:g} at most"
                )
        for name, (low, _) in self.varied.items():
            if not low > 0:
                raise ValueError(f"vary: found {name} from {low:g}, expected factors above 0")
        if self.planes % 2 == 0 or self.planes > self.slices:
            raise ValueError(f"planes: found {self.planes}, expected an odd number, of {self.slices} slices at most")
        if self.model == "unet" and self.training.patch > self.edge:
            raise ValueError(
                f"training.patch: found {self.training.patch}, expected at most the edge of a window, {self.edge}"
            )
        # Grey values as float32, with what lies within the halo beyond each side, and labels.
        voxels = 4 * (self.edge + 2 * halo_of(self.net_widths)) ** 2 + self.edge**2
        size = self.windows * self.slices * voxels
        if size > _LARGEST_BYTES:
            raise ValueError(f"windows: found {size / 2**30:.1f} GiB of voxels in all windows, expected at most 4")
        return self

    @property
    def factors(self) -> dict[str, float]:
        """Factors on the values of a quality, those not given by default."""
        return {**_FACTORS[self.instrument], **self.imaging.factors}

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Ranges of what does not depend on the quality, those not given by default."""
        return {**_RANGES[self.instrument], **self.imaging.ranges}

    @property
    def varied(self) -> dict[str, tuple[float, float]]:
        """Ranges of the factors on parameters, those not given by default."""
        return {**_VARIED[self.instrument], **self.vary}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels of what is drawn."""
        return CLASSES[self.instrument]

    @property
    def bases(self) -> tuple[str, ...]:
        """Names or paths of the bundles of the structures."""
        return self.bundles or (_BASES[self.instrument],)

    @property
    def edge_nm(self) -> float:
        """Edge of a pixel."""
        return _PIXELS_NM[self.instrument] if self.pixel_nm is None else self.pixel_nm

    @property
    def net_widths(self) -> tuple[int, ...]:
        """Widths as the net has them: none of a LeNet."""
        return self.widths if self.model == "unet" else ()
