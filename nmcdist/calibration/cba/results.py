"""The content of ``results.json``: what a calibration found, written and read."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nmcdist.datasets.files import write_text
from nmcdist.errors import StoreError

RESULTS = "results.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Quantity(_Record):
    """A fitted quantity.

    Attributes
    ----------
    value : float
    unit : str
    relative : bool
        Whether the standard error is a share of the value (of all but mu).
    standard_error : float or None
    interval : (float, float) or None
        95 %.
    identified : bool
        False if the interval spans more than a factor of four, or none is known.
    note : str
        Where the standard error comes from, or why there is none.
    """

    value: float
    unit: str
    relative: bool
    standard_error: float | None
    interval: tuple[float, float] | None
    identified: bool
    note: str


class Curve(_Record):
    """A curve by lag or radius: measured, fitted, standard error of the measured, envelope of replicates."""

    at_nm: list[float]
    measured: list[float | None]
    fitted: list[float] | None = None
    error: list[float] | None = None
    low: list[float | None] | None = None
    high: list[float | None] | None = None


class Compared(_Record):
    """A descriptor of the image, and its mean, least and largest value over the replicates."""

    image: float | None
    mean: float | None = None
    low: float | None = None
    high: float | None = None


class Level(_Record):
    """Descriptors of the middle of the first image and of the replicates, at one voxel size.

    Attributes
    ----------
    voxel_size_nm : float
    shape : (int, int, int)
        Voxels that were measured.
    scalars : dict of str to Compared
    pores : Curve
        Continuous size distribution of the pores by radius.
    coverage : Curve
        C(h) - V^2 of the solid by lag.
    """

    voxel_size_nm: float
    shape: tuple[int, int, int]
    scalars: dict[str, Compared]
    pores: Curve
    coverage: Curve


class Profile(_Record):
    """A refit of graphite with a value of alpha_1, without correction."""

    alpha_1: float
    chi2: float
    lambda_X: float
    mean_a: float
    mean_c: float


class PaperStart(_Record):
    """Where a search of the minimum of Eq. (17) ended that started with alpha_1 at `start`."""

    start: float
    alpha_1: float
    lambda_X: float
    mean_a: float
    mean_c: float
    objective: float


class PaperTheta(_Record):
    """A value of theta, lambda_Y by Eq. (25), and distances of pore size distributions from the image's, in nm.

    `distance_nm` is that of the mean curve `pores`, `each_nm` those of the realisations.
    """

    theta: float
    lambda_Y: float
    distance_nm: float
    each_nm: list[float]
    pores: list[float]


class Paper(_Record):
    """Results of the paper's route.

    Attributes
    ----------
    parameters : dict of str to float or None
        By the names in a bundle; None if Eq. (25) has no solution.
    note : str
        Why it has none.
    cutout_begin, cutout_shape : (int, int, int)
        In voxels of the image along z, y, x.
    graphite_left, large_pores_left : float
        Their shares of the cutout.
    binder_share : float
        Share of carbon binder in the cutout outside graphite, Eq. (18).
    mu, eta : float
        Eqs. (19) and (21); eta in 1/nm.
    correlation : Curve
        rho(h) by Eq. (21) and the fit of Eq. (2).
    starts : list of PaperStart
        The least objective, which is kept, first.
    grid : list of PaperTheta
    pores : Curve
        Size distribution of the pores of the image.
    shape : (int, int, int)
        Voxels in which pores were measured and realisations drawn.
    """

    parameters: dict[str, float] | None
    note: str
    cutout_begin: tuple[int, int, int]
    cutout_shape: tuple[int, int, int]
    graphite_left: float
    large_pores_left: float
    binder_share: float
    mu: float
    eta: float
    correlation: Curve
    starts: list[PaperStart]
    grid: list[PaperTheta]
    pores: Curve
    shape: tuple[int, int, int]


class Results(_Record):
    """Results of a calibration of the additive.

    Attributes
    ----------
    images, digests : list of str
        Paths and digests of the images, or of the grey stack that was labelled.
    shapes : list of (int, int, int)
    voxel_size_nm : (float, float, float)
    volume_um3 : float
    phases : dict of str to int
    bundle : dict of str to str
        Name and sha256.
    quantities : dict of str to Quantity
    order : list of str
        Order of the rows of `correlations`.
    correlations : list of list of float or None
        None without bootstrap.
    bootstrap : dict of str to int
        Replicates, lost ones, and seed.
    bias : dict of str to float
        Subtracted mean error of the replicates; of the logarithm, but for mu.
    starts : dict of str to list
        Where the blind starts ended: eta, theta, lambda_Y v of the binder; mean a and c of graphite.
    chi2 : dict of str to (float, int)
        Of both fits, with degrees of freedom.
    profile : list of Profile
    fractions : dict of str to (float, float)
        Measured and fitted volume fractions.
    plates_in_view : float
    curves : dict of str to Curve
    levels : list of Level
        By voxel size; none if voxels are not cubes.
    windows : list of (int, int, int)
        Voxels of each replicate, if they are parts of the images only.
    paper : Paper or None
        If the paper's route was asked for.
    warnings : list of str
    seconds : dict of str to float
        CPU time of this process.
    """

    images: list[str]
    digests: list[str]
    shapes: list[tuple[int, int, int]]
    voxel_size_nm: tuple[float, float, float]
    volume_um3: float
    phases: dict[str, int]
    bundle: dict[str, str]
    quantities: dict[str, Quantity]
    order: list[str]
    correlations: list[list[float]] | None
    bootstrap: dict[str, int]
    bias: dict[str, float]
    starts: dict[str, list[list[float]]]
    chi2: dict[str, tuple[float, int]]
    profile: list[Profile]
    fractions: dict[str, tuple[float, float]]
    plates_in_view: float
    curves: dict[str, Curve]
    levels: list[Level] = []
    windows: list[tuple[int, int, int]] = []
    paper: Paper | None = None
    warnings: list[str]
    seconds: dict[str, float]

    def write(self, path: Path) -> None:
        """Write the file, which becomes visible only when complete."""
        write_text(path, self.model_dump_json(indent=1) + "\n")


def read_results(folder: Path) -> Results:
    """Read the results of a calibration; StoreError if there are none, or they are damaged."""
    path = Path(folder) / RESULTS
    try:
        return Results.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}), expected a calibration of the additive") from None
    except ValidationError as error:
        first: Any = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise StoreError(f"{path}: damaged, {where}: {first['msg']}") from None
