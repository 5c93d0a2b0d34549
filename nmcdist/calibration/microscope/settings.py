"""The frozen settings of the virtual microscopes. Grey values are shares of full scale, lengths are in pixels."""

from dataclasses import dataclass

SETTINGS = ("easy", "paper-like", "hard")


@dataclass(frozen=True)
class FibSem:
    """How a virtual FIB-SEM images a structure.

    Attributes
    ----------
    contrast : float
        Grey value of the solid over that of the pores.
    dose : float
        Electrons per pixel at full scale, which give the Poisson noise.
    charging : float
        Standard deviation of the smooth brightness in pores, where no carbon leads charge away.
    shine : float
        Share of the contrast with which a pore shows solid directly below its surface.
    blur_px : float
        Standard deviation of the beam.
    curtain : float
        Standard deviation of the brightness of stripes along y, relative.
    drift_px : float
        Standard deviation of the step of the drift between slices, along each axis.
    ramp : float
        Share of the brightness that is lost from the first to the last row.
    read_noise : float
        Standard deviation of the Gaussian noise.
    pore : float
        Grey value of pores.
    shine_depth_px : float
        Depth over which the shine decays by a factor e.
    charging_px, curtain_px : float
        Standard deviations of the smoothing of the charging and of the stripes.
    persistence : float
        Share of the drift that remains in the next slice; below 1, so the drift stays near zero.
    margin_px : int
        Rim of the structure that is not imaged unless the drift leads there.
    depth_px : int
        Planes below the surface that can shine through, and the one of the surface.
    pixels_per_slice : int
        Thickness of a slice over the size of a pixel.
    """

    contrast: float
    dose: float
    charging: float
    shine: float
    blur_px: float
    curtain: float
    drift_px: float = 0.4
    ramp: float = 0.3
    read_noise: float = 0.01
    pore: float = 0.3
    shine_depth_px: float = 6.0
    charging_px: float = 24.0
    curtain_px: float = 1.5
    persistence: float = 0.9
    margin_px: int = 8
    depth_px: int = 16
    pixels_per_slice: int = 2


@dataclass(frozen=True)
class NanoCt:
    """How a virtual nano-CT images particles, without rings.

    Attributes
    ----------
    contrast : float
        Grey value of particles over that of the rest.
    blur_px : float
        Standard deviation of the point spread.
    noise : float
        Standard deviation of the noise, which is correlated as after a reconstruction.
    noise_px : float
        Standard deviation of the smoothing of the noise.
    background : float
        Grey value of the rest.
    """

    contrast: float
    blur_px: float
    noise: float
    noise_px: float = 0.7
    background: float = 0.25


FIB_SEM = {
    "easy": FibSem(contrast=0.40, dose=400, charging=0.02, shine=0.10, blur_px=0.6, curtain=0.01),
    "paper-like": FibSem(contrast=0.32, dose=120, charging=0.06, shine=0.25, blur_px=0.8, curtain=0.02),
    "hard": FibSem(contrast=0.20, dose=50, charging=0.12, shine=0.50, blur_px=1.2, curtain=0.03),
}
NANO_CT = {
    "easy": NanoCt(contrast=0.50, blur_px=0.7, noise=0.03),
    "paper-like": NanoCt(contrast=0.40, blur_px=1.0, noise=0.06),
    "hard": NanoCt(contrast=0.30, blur_px=1.5, noise=0.10),
}
