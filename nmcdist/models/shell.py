"""Outer shells of NMC811 particles: a random radius function on the sphere with harmonics up to order L.

A shell is a star-shaped body around (0, 0, 0). Points and directions are ordered z, y, x.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nmcdist.arguments import check_length
from nmcdist.bundle import Bundle, ShellParameters
from nmcdist.errors import InputError
from nmcdist.geometry import sphere
from nmcdist.geometry.elementary import exp
from nmcdist.jit import kernel
from nmcdist.models import streams
from nmcdist.models.draws import Stream
from nmcdist.threads import thread_map

CHECK_LEVEL = 3  # icosphere with the paper's 642 directions, in which the radius must be positive
MAXIMUM_REJECTIONS = 1000
_BLOCK = 256  # shells with generators in memory at a time
_SLAB = 8  # planes of voxels that a thread fills at a time


@dataclass(frozen=True, eq=False)
class Shell:
    """A star-shaped body, given by the coefficients of its radius function, Eq. (3) of the NMC811 paper.

    Attributes
    ----------
    coefficients_nm : ndarray of float64, shape ((L + 1)^2,)
        Coefficients of the real orthonormal spherical harmonics, Y_lm at index l^2 + l + m.
    rejections : int
        Number of shells drawn and rejected before this one.
    """

    coefficients_nm: np.ndarray
    rejections: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients_nm", sphere.check_coefficients([self.coefficients_nm])[0])

    def radius(self, directions: np.ndarray) -> np.ndarray:
        """Return the radius in nm along directions, shape (n, 3), of any length."""
        return sphere.star_radii(self.coefficients_nm, directions)

    def contains(self, points_nm: np.ndarray) -> np.ndarray:
        """Return which points, shape (n, 3), lie inside or on the surface."""
        return sphere.star_contains(self.coefficients_nm, points_nm, self._bounds)

    def mesh(self, level: int = 4) -> tuple[np.ndarray, np.ndarray]:
        """Return the surface as a closed mesh of triangles.

        Parameters
        ----------
        level : int
            Level of the icosphere whose 10 * 4^level + 2 vertices are moved to the surface.

        Returns
        -------
        vertices_nm : ndarray of float64, shape (n, 3)
        faces : ndarray of int32, shape (m, 3)
            Outward in the order of the columns: det(v0, v1, v2) > 0.
        """
        directions, faces = sphere.icosphere(level)
        return directions * self.radius(directions)[:, None], faces

    def voxelize(self, voxel_size_nm: float) -> tuple[np.ndarray, tuple[float, float, float]]:
        """Return the voxels whose centres lie inside.

        The star point is a corner of voxels in the middle of the window, so halving the voxel size splits each voxel
        into eight.

        Parameters
        ----------
        voxel_size_nm : float

        Returns
        -------
        inside : ndarray of bool, shape (2 n, 2 n, 2 n)
        origin_nm : tuple of float
            Centre of the first voxel.

        Raises
        ------
        InputError
            If the voxel size is not positive or is larger than the shell.
        """
        extent = 2 * self.largest_radius_nm
        if not check_length("voxel_size_nm", voxel_size_nm) <= extent:
            raise InputError(
                f"voxel_size_nm: found {voxel_size_nm}, expected a positive number up to the shell's extent, {extent:g}"
            )
        half = math.ceil(self.largest_radius_nm / voxel_size_nm)
        first = (0.5 - half) * voxel_size_nm
        return self.contains_grid((2 * half,) * 3, voxel_size_nm, (first,) * 3), (first,) * 3

    def contains_grid(
        self, shape: tuple[int, int, int], voxel_size_nm: float, origin_nm: tuple[float, float, float]
    ) -> np.ndarray:
        """Return which voxel centres of a window lie inside.

        Parameters
        ----------
        shape : tuple of int
        voxel_size_nm : float
        origin_nm : tuple of float
            Centre of the first voxel.

        Returns
        -------
        ndarray of bool, shape `shape`
        """
        inside = np.empty(shape, dtype=np.bool_)
        z, y, x = (first + voxel_size_nm * np.arange(n) for n, first in zip(shape, origin_nm, strict=True))

        def fill(start: int) -> None:
            part = slice(start, start + _SLAB)
            inside[part] = sphere.star_contains_grid(self.coefficients_nm, z[part], y, x, self._bounds)

        thread_map(fill, range(0, shape[0], _SLAB))
        return inside

    @cached_property
    def volume_nm3(self) -> float:
        """Volume, exact."""
        return float(sphere.star_volumes(self.coefficients_nm[None])[0])

    @property
    def area_nm2(self) -> float:
        """Surface area, by quadrature."""
        return float(self._moments.area_nm2[0])

    @property
    def centre_of_mass_nm(self) -> np.ndarray:
        """Centre of mass relative to the star point, exact, shape (3,)."""
        return np.asarray(self._moments.centre_nm[0])

    @property
    def largest_radius_nm(self) -> float:
        """A tight upper bound on the radius in all directions: see :func:`sphere.star_bounds`."""
        return self._bounds[1]

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        return sphere.star_bounds(self.coefficients_nm)

    @cached_property
    def _moments(self) -> sphere.StarMoments:
        return sphere.star_moments(self.coefficients_nm[None])


@dataclass(frozen=True)
class ShellModel:
    """Laws of the coefficients, Eqs. (5) and (6) of the NMC811 paper, and the rules of rejection.

    Z_00 = location + scale exp(sigma N(0, 1)), and Z_lm = harmonic_scale_l T, where T has Student's law with nu_l
    degrees of freedom. All are independent. A shell is rejected if its radius is not positive in each of 642
    directions or its volume is too small; then all coefficients are drawn again from the item's stream.

    Attributes
    ----------
    location_nm, scale_nm, sigma : float
    nu, harmonic_scale_nm : tuple of float
        Values for l = 1, 2, ..., L.
    minimum_volume_nm3 : float
    """

    location_nm: float
    scale_nm: float
    sigma: float
    nu: tuple[float, ...]
    harmonic_scale_nm: tuple[float, ...]
    minimum_volume_nm3: float

    def __post_init__(self) -> None:
        for name, least in (("scale_nm", 0.0), ("sigma", 0.0), ("minimum_volume_nm3", 0.0)):
            if not least <= getattr(self, name) < math.inf:
                raise InputError(f"{name}: found {getattr(self, name)}, expected a finite number from 0")
        if not math.isfinite(self.location_nm):
            raise InputError(f"location_nm: found {self.location_nm}, expected a finite number")
        if len(self.nu) != len(self.harmonic_scale_nm):
            raise InputError(
                f"harmonic_scale_nm: found {len(self.harmonic_scale_nm)} values, expected {len(self.nu)} as in nu"
            )
        if not all(0 < nu < math.inf for nu in self.nu):
            raise InputError(f"nu: found {self.nu}, expected positive finite numbers")
        if not all(0 <= scale < math.inf for scale in self.harmonic_scale_nm):
            raise InputError(f"harmonic_scale_nm: found {self.harmonic_scale_nm}, expected finite numbers from 0")

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> "ShellModel":
        """Return the model of a bundle.

        Raises
        ------
        BundleError
            If it is not a particle bundle.
        """
        return cls.of(bundle.particle())

    @classmethod
    def of(cls, p: ShellParameters) -> "ShellModel":
        """Return the model with these parameters."""
        return cls(
            p.shell_location_nm, p.shell_scale_nm, p.shell_sigma, p.shell_nu, p.shell_harmonic_scale_nm,
            p.shell_minimum_volume_nm3,
        )  # fmt: skip

    @property
    def order(self) -> int:
        """The order L."""
        return len(self.nu)

    def draw(self, seed: int, index: int = 0) -> Shell:
        """Draw one shell.

        Parameters
        ----------
        seed : int
            Seed in [0, 2^64).
        index : int
            Number of the item in [0, 2^32).

        Returns
        -------
        Shell

        Raises
        ------
        InputError
            If the seed or the index is impossible, or the law produces no valid shell in 1000 trials.
        """
        coefficients, rejections = self.draw_many(seed, [index])
        return Shell(coefficients[0], int(rejections[0]))

    def draw_many(self, seed: int, indices: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Draw shells: row i equals the result of :meth:`draw` for the i-th index, bit for bit.

        Parameters
        ----------
        seed : int
            Seed in [0, 2^64).
        indices : iterable of int
            Numbers of the items, each in [0, 2^32).

        Returns
        -------
        coefficients_nm : ndarray of float64, shape (n, (L + 1)^2)
        rejections : ndarray of int32, shape (n,)

        Raises
        ------
        InputError
            If the seed or an index is impossible, or the law produces no valid shell in 1000 trials of an item.
        """
        keys = [streams.check_key(seed, index)[1] for index in indices]
        coefficients = np.empty((len(keys), (self.order + 1) ** 2))
        rejections = np.zeros(len(keys), dtype=np.int32)
        # Threads would wait for each other, because drawing random numbers takes most of the time and holds the GIL.
        for start in range(0, len(keys), _BLOCK):
            part = slice(start, start + _BLOCK)
            self._draw_block(int(seed), keys[part], coefficients[part], rejections[part])
        return coefficients, rejections

    def largest_of(self, count: int, first_nm: np.ndarray, bounds_nm: np.ndarray, chance: float = 0.05) -> float:
        """Return a radius that the largest of many shells exceeds with a given small chance, from a sample of shells.

        The largest radius of a shell is Z_00 Y_00 + h, where h, the largest value of the other terms, does not depend
        on Z_00. The shell is accepted if Z_00 Y_00 + h' > 0, where h' is their smallest value. The law of Z_00 is
        known, so sampled h and h' give P(R > r) = mean of P(Z_00 Y_00 > max(r - h, -h')) / P(Z_00 Y_00 > -h'). This
        neglects rejections by volume, and terms larger than those in the sample.

        Parameters
        ----------
        count : int
            Shells.
        first_nm : ndarray of float64, shape (n,)
            Z_00 of the sample.
        bounds_nm : ndarray of float64, shape (n, 2)
            Smallest and largest radius of each.
        chance : float

        Returns
        -------
        float
            At least the largest radius of the sample.
        """
        from scipy.special import ndtr

        mean_radius = first_nm / math.sqrt(4 * math.pi)
        lowest, above = mean_radius - bounds_nm[:, 0], bounds_nm[:, 1] - mean_radius

        def exceeded(radius: np.ndarray) -> np.ndarray:
            """Return the probability that Z_00 Y_00 exceeds a radius."""
            ratio = (math.sqrt(4 * math.pi) * radius - self.location_nm) / self.scale_nm
            return np.asarray(ndtr(-np.log(np.maximum(ratio, 1e-300)) / self.sigma))

        accepted = np.maximum(exceeded(lowest), 1e-300)

        def expected(radius: float) -> float:
            """Return the expected number of shells that exceed a radius."""
            return count * float((exceeded(np.maximum(radius - above, lowest)) / accepted).mean())

        low = high = float(bounds_nm[:, 1].max())
        while expected(high) > chance:
            low, high = high, 1.5 * high
        for _ in range(30):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if expected(middle) > chance else (low, middle)
        return high

    def _draw_block(self, seed: int, keys: list[int], coefficients: np.ndarray, rejections: np.ndarray) -> None:
        draws = [streams.draws(seed, streams.SHELL, key) for key in keys]
        rejected = np.ones(len(keys), dtype=np.bool_)
        while rejected.any():
            for i in np.flatnonzero(rejected):
                if rejections[i] == MAXIMUM_REJECTIONS:
                    raise InputError(
                        f"shell law: found no valid shell in {MAXIMUM_REJECTIONS} trials of item {keys[i]}, "
                        f"expected radii above 0 and volumes of at least {self.minimum_volume_nm3:g} nm3 more often"
                    )
                self._try(draws[i], coefficients[i])
            _reject(
                coefficients, sphere.icosphere_harmonics(CHECK_LEVEL, self.order), *sphere.volume_rule(self.order),
                self.minimum_volume_nm3, rejected,
            )  # fmt: skip
            rejections[rejected] += 1

    def _try(self, draws: Stream, row: np.ndarray) -> None:
        row[0] = self.location_nm + self.scale_nm * exp(self.sigma * float(draws.normal(1)[0]))
        nu, scale = self._columns
        row[1:] = scale * draws.student(nu)

    @cached_property
    def _columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Degrees of freedom and scale of each coefficient except the first."""
        repeats = 2 * np.arange(1, self.order + 1) + 1
        nu, scale = (np.repeat(np.array(part, np.float64), repeats) for part in (self.nu, self.harmonic_scale_nm))
        return nu, scale


@kernel
def _reject(
    coefficients: np.ndarray, harmonics: np.ndarray, rule_harmonics: np.ndarray, rule_weights: np.ndarray,
    minimum_volume: float, rejected: np.ndarray,
) -> None:  # fmt: skip
    """Test the rows marked as rejected, and clear the marks of those that pass."""
    radii, nodes = np.empty(harmonics.shape[1]), np.empty(len(rule_weights))
    for i in range(len(coefficients)):
        if not rejected[i]:
            continue
        sphere.sum_rows(coefficients[i], harmonics, radii)
        if _lowest(radii) <= 0.0:
            continue
        sphere.sum_rows(coefficients[i], rule_harmonics, nodes)
        rejected[i] = sphere.volume_from_radii(nodes, rule_weights) < minimum_volume


@kernel
def _lowest(values: np.ndarray) -> float:
    lowest = values[0]
    for value in values:
        lowest = min(lowest, value)
    return lowest
