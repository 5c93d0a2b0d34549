"""Whole particles: a shell and its grains, as an analytic record that can be rendered to voxels of any size.

The grains are cells of one infinite tessellation. The particle consists of the whole grains with their centre of mass
in the shell, so its surface consists of facets of grains. Centres of mass and volumes are sums over a lattice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nmcdist.arguments import check_length, check_one_of, finite_array
from nmcdist.bundle import Bundle, resolved
from nmcdist.errors import InputError
from nmcdist.geometry.frames import lengths
from nmcdist.geometry.tessellation import MOST_POINTS, label_lattice, rasterize_gbpd
from nmcdist.html_text import card, image
from nmcdist.jit import kernel
from nmcdist.models import seed_window, streams
from nmcdist.models.grains import GrainModel, Grains
from nmcdist.models.pieces import merge_pieces
from nmcdist.models.shell import Shell, ShellModel
from nmcdist.pictures import section_picture

STEPS_PER_SPACING = 4  # lattice spacing intensity^(-1/3) / 4: changing it changes which grains are kept
_SMALLEST_VOXEL_NM = 0.001  # as in recipes
_PICTURE_PIXELS = 200


@dataclass(frozen=True, eq=False)
class Particle:
    """The analytic record of a particle. Everything but the shell is computed from values rounded to float32.

    Attributes
    ----------
    seed, index : int
    bundle_hash : str
        Content hash of the bundle.
    coefficients_nm : ndarray of float64, shape (100,)
        Coefficients of the shell.
    rejections : int
        Number of shells drawn and rejected before this one.
    seeds_nm : ndarray of float32, shape (n, 3)
        Positions from the particle's centre; all seeds that can win a point within `reach_nm`.
    diagonals : ndarray of float32, shape (n, 3)
        D, the radial entry first.
    offsets_nm2, gammas : ndarray of float32, shape (n,)
        r, and the turn about the radial direction.
    kept : ndarray of bool, shape (n,)
        Grains whose centre of mass lies in the shell.
    centroids_nm : ndarray of float32, shape (n, 3)
        Centres of mass of the kept grains, NaN for the others.
    volumes_nm3 : ndarray of float32, shape (n,)
        Volumes of the kept grains, 0 for the others.
    box_nm : ndarray of float32, shape (2, 3)
        Lowest and highest coordinates of the kept grains, with a margin of one lattice step.
    reach_nm : float
        Distance within which all kept grains lie, and within which the seeds represent the infinite process.
    """

    seed: int
    index: int
    bundle_hash: str
    coefficients_nm: np.ndarray
    rejections: int
    seeds_nm: np.ndarray
    diagonals: np.ndarray
    offsets_nm2: np.ndarray
    gammas: np.ndarray
    kept: np.ndarray
    centroids_nm: np.ndarray
    volumes_nm3: np.ndarray
    box_nm: np.ndarray
    reach_nm: float

    @cached_property
    def shell(self) -> Shell:
        """The outer shell."""
        return Shell(self.coefficients_nm, self.rejections)

    def matrices(self) -> np.ndarray:
        """Return M = Q^T diag(D) Q of all grains (Eq. 12), float64, shape (n, 3, 3)."""
        return self._diagram[1].copy()

    def grid(self, voxel_size_nm: float) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
        """Return shape and origin (centre of the first voxel) of the voxels that contain the particle.

        Voxel k along an axis covers [k, k + 1] times the voxel size. So the particle's centre is a corner of voxels,
        and halving the voxel size splits each voxel into eight.

        Raises
        ------
        InputError
            If the voxel size is below 0.001 nm, or larger than the particle.
        """
        voxel = self._voxel(voxel_size_nm)
        low = np.floor(self.box_nm[0].astype(np.float64) / voxel).astype(int)
        high = np.maximum(np.ceil(self.box_nm[1].astype(np.float64) / voxel).astype(int), low + 1)
        nz, ny, nx = (int(n) for n in high - low)
        z, y, x = (float(v) for v in (low + 0.5) * voxel)
        return (nz, ny, nx), (z, y, x)

    def voxelize(self, voxel_size_nm: float = 50.0, pieces: Literal["merge", "keep"] = "merge") -> np.ndarray:
        """Return the grain at each voxel centre.

        Parameters
        ----------
        voxel_size_nm : float
        pieces : {"merge", "keep"}
            "merge" makes every grain one piece (:mod:`nmcdist.models.pieces`); "keep" leaves the tessellation
            unchanged.

        Returns
        -------
        ndarray of int32, shape as in :meth:`grid`
            Row of the grain + 1; 0 outside.

        Raises
        ------
        InputError
            If an argument is impossible, or the voxel size is larger than the particle or makes too many voxels.
        """
        pieces = check_one_of("pieces", pieces, ("merge", "keep"))
        shape, origin = self.grid(voxel_size_nm)
        if math.prod(shape) > MOST_POINTS:
            found = f"{voxel_size_nm} nm, which gives {math.prod(shape):.3g} voxels"
            raise InputError(f"voxel_size_nm: found {found}, expected at most {MOST_POINTS:.3g} of them")
        if not self.kept.any():
            return np.zeros(shape, dtype=np.int32)
        labels = rasterize_gbpd(*self._diagram, shape, float(voxel_size_nm), origin, reach=self.reach_nm)
        _keep(labels.reshape(-1), self.kept)
        if pieces == "merge":
            merge_pieces(labels)
        return labels

    def section(
        self, voxel_size_nm: float = 50.0, normal: Sequence[float] | np.ndarray = (1.0, 0.0, 0.0),
        point_nm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
    ) -> np.ndarray:  # fmt: skip
        """Return the grain at each pixel centre of a plane, without merging pieces.

        Of the axes z, y, x, the one nearest to the normal is left out. Rows run along the projection of the first of
        the other two onto the plane, columns across the rows, on the side of the second. The pixels cover a square
        around the point of the plane nearest to the particle's centre; this point is a corner of pixels.

        Parameters
        ----------
        voxel_size_nm : float
            Pixel edge.
        normal : sequence of three
            Normal of the plane, of any length.
        point_nm : sequence of three
            A point of the plane.

        Returns
        -------
        ndarray of int32, shape (2 m, 2 m)
            Row of the grain + 1; 0 outside.

        Raises
        ------
        InputError
            If an argument is impossible, the plane misses the particle, or the voxel size is larger than it.
        """
        voxel = self._voxel(voxel_size_nm)
        foot, rows, columns = _plane(normal, point_nm)
        distance = float(lengths(foot[None])[0])
        if distance >= self.reach_nm > 0:
            raise InputError(
                f"point_nm: found a plane at {distance:g} nm from the centre, expected less than {self.reach_nm:g} nm"
            )
        half = max(1, math.ceil(math.sqrt(max((self.reach_nm - distance) * (self.reach_nm + distance), 0.0)) / voxel))
        if not self.kept.any():
            return np.zeros((2 * half, 2 * half), dtype=np.int32)
        steps = voxel * np.stack([rows, columns])
        origin = foot - (half - 0.5) * steps.sum(axis=0)
        return self.lattice((2 * half, 2 * half), steps, origin)

    def lattice(
        self, shape: tuple[int, ...], steps_nm: np.ndarray, origin_nm: Sequence[float] | np.ndarray
    ) -> np.ndarray:  # fmt: skip
        """Return the grain at each point of a lattice, without merging pieces.

        Parameters
        ----------
        shape : tuple of int, length k = 1, 2 or 3
            Points along each axis of the lattice.
        steps_nm : ndarray, shape (k, 3)
            Vector z, y, x from a point to the next along each axis.
        origin_nm : sequence of three
            The first point, from the particle's centre.

        Returns
        -------
        ndarray of int32, shape `shape`
            Row of the grain + 1; 0 outside.

        Raises
        ------
        InputError
            If an argument has an impossible shape or value.
        """
        labels = label_lattice(*self._diagram, shape, steps_nm, origin_nm, reach=self.reach_nm)
        _keep(labels.reshape(-1), self.kept)
        return labels

    def __repr__(self) -> str:
        extent = " x ".join(f"{length / 1000:.2f}" for length in self.box_nm[1] - self.box_nm[0])
        return f"Particle(seed={self.seed}, index={self.index}: {int(self.kept.sum())} grains, {extent} µm)"

    def _repr_html_(self) -> str:
        """Return a section through the centre and the numbers of the particle, for notebooks."""
        count = int(self.kept.sum())
        extent = " × ".join(f"{length / 1000:.2f}" for length in self.box_nm[1] - self.box_nm[0])
        rows = [
            ("grains", str(count)),
            ("extent", f"{extent} µm along z, y, x"),
            ("volume", f"{float(self.volumes_nm3.sum(dtype=np.float64)) / 1e9:.3g} µm³"),
            ("seed, index", f"{self.seed}, {self.index}"),
            ("bundle", f"sha256 {self.bundle_hash[:16]}"),
        ]
        if not count:
            return card("Particle", rows)
        picture = section_picture(self.section(2 * self.reach_nm / _PICTURE_PIXELS))
        return card("Particle", rows, image(picture, "section through the centre, x to the right and y upwards"))

    @property
    def _grains(self) -> Grains:
        return Grains(self.seeds_nm, self.diagonals, self.offsets_nm2, self.gammas)

    @cached_property
    def _diagram(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._grains.diagram()

    def _voxel(self, voxel_size_nm: Any) -> float:
        voxel = check_length("voxel_size_nm", voxel_size_nm)
        extent = float((self.box_nm[1] - self.box_nm[0]).min())
        if voxel < _SMALLEST_VOXEL_NM:
            raise InputError(f"voxel_size_nm: found {voxel} nm, expected at least {_SMALLEST_VOXEL_NM} nm")
        if self.kept.any() and voxel > extent:
            raise InputError(f"voxel_size_nm: found {voxel} nm, expected at most the particle's {extent:g} nm")
        return voxel


@dataclass(frozen=True)
class ParticleModel:
    """The model of particles: models of shells and grains, and the bundle's content hash."""

    shells: ShellModel
    grains: GrainModel
    bundle_hash: str

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> "ParticleModel":
        """Return the model of a bundle; BundleError if it has no marker law."""
        grains = GrainModel.from_bundle(bundle)
        return cls(ShellModel.from_bundle(bundle), grains, bundle.content_hash)

    @property
    def step_nm(self) -> float:
        """Distance between points of the lattice, fine enough where the seeds are densest."""
        return self.grains.spacing_nm / STEPS_PER_SPACING

    @cached_property
    def margins_nm(self) -> tuple[float, float]:
        """Initial margins of the lattice and of the seeds beyond the shell; they affect only the time."""
        return seed_window.first_margins_nm(self.grains)

    def draw(self, seed: int, index: int = 0) -> Particle:
        """Draw one particle, a pure function of model, seed and index.

        Raises
        ------
        InputError
            If the seed or the index is impossible.
        """
        return self.draw_in(self.shells.draw(*streams.check_key(seed, index)), seed, index)

    def draw_in(self, shell: Shell, seed: int, index: int = 0) -> Particle:
        """Draw the grains of a particle with a given shell, a pure function of model, shell, seed and index.

        Raises
        ------
        InputError
            If the seed or the index is impossible.
        """
        seed, index = streams.check_key(seed, index)
        step = self.step_nm
        half, labels, grains, volumes, centroids, kept = self._settled_lattice(shell, step, seed, index)
        box, reach2 = _extent(labels, half, kept)
        reach_nm = float(np.float32(math.sqrt(reach2) * step))
        window = 0.0
        if kept.any():
            window = seed_window.needed_nm(labels, (half, half, half), step, grains.diagram(), self.grains.law, reach2)
        grains = grains.nearest_to_centre(window)
        n = len(grains.gammas)
        kept, centroids, volumes = kept[:n], centroids[:n], volumes[:n]
        return Particle(
            seed, index, self.bundle_hash, shell.coefficients_nm, shell.rejections,
            grains.seeds_nm, grains.diagonals, grains.offsets_nm2, grains.gammas, kept,
            np.where(kept[:, None], centroids, np.float32(np.nan)), np.where(kept, volumes, np.float32(0)),
            (box * step).astype(np.float32), reach_nm,
        )  # fmt: skip

    def _settled_lattice(self, shell: Shell, step: float, seed: int, index: int) -> tuple[Any, ...]:
        """Return a lattice of labels that a larger lattice or additional seeds would not change.

        This is true for the particle, because its grains are whole. Points are `step` apart; the point with index
        `half` along all axes is the centre. Also returns the grains' volumes, centres of mass, and which are kept.
        """
        law, spacing = self.grains.law, self.grains.widest_spacing_nm
        reach, window = (shell.largest_radius_nm + margin for margin in self.margins_nm)
        while True:
            grains = self.grains.draw(window, seed, index)
            half = math.floor(reach / step)
            diagram = grains.diagram()
            labels = rasterize_gbpd(*diagram, (2 * half + 1,) * 3, step, (-half * step,) * 3, reach=reach)
            needed = seed_window.needed_nm(labels, (half, half, half), step, diagram, law)
            if needed > window:
                window = needed
                continue
            counts, sums, cut = _sum_up(labels, half, len(grains.gammas))
            volumes, centroids, kept = _measure(shell, step, counts, sums)
            steps = shell.largest_radius_nm / step
            doubtful = _points_of(labels, half, cut, steps * steps) * step
            if not (kept & cut).any() and not shell.contains(doubtful).any():
                return half, labels, grains, volumes, centroids, kept
            reach += spacing
            window += spacing


def generate_particle(bundle: Bundle | str | Path, seed: int, index: int = 0) -> Particle:
    """Draw a particle: a shell and independent grains, kept if their centre of mass is in the shell.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A trained bundle with a marker law, a built-in name, or the path of a bundle.
    seed : int
        Seed in [0, 2^64).
    index : int
        Number of the particle in [0, 2^32).

    Returns
    -------
    Particle

    Raises
    ------
    InputError
        If the seed or the index is impossible.
    BundleError
        If the bundle cannot be loaded or has no marker law.
    """
    return ParticleModel.from_bundle(resolved(bundle)).draw(seed, index)


def _measure(shell: Shell, step: float, counts: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return volumes, centres of mass (NaN for grains without a point), and which of these lie in the shell."""
    seen = counts > 0
    centroids = np.full(sums.shape, np.nan, dtype=np.float32)
    centroids[seen] = sums[seen] * (step / counts[seen])[:, None]
    kept = np.zeros(len(counts), dtype=np.bool_)
    kept[seen] = shell.contains(centroids[seen].astype(np.float64))
    return (counts * (step * step * step)).astype(np.float32), centroids, kept


def _plane(normal: Any, point_nm: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the point of a plane nearest to (0, 0, 0), and the directions of its rows and columns."""
    normal, point = finite_array("normal", normal, (3,)), finite_array("point_nm", point_nm, (3,))
    length = lengths(normal[None])[0]
    if not length > 0:
        raise InputError(f"normal: found {normal.tolist()}, expected a direction")
    normal = normal / length
    first, second = (a for a in range(3) if a != int(np.argmax(np.abs(normal))))
    rows = np.eye(3)[first] - normal[first] * normal
    rows /= lengths(rows[None])[0]
    columns = np.cross(normal, rows)
    columns *= math.copysign(1.0, columns[second])
    return (normal[0] * point[0] + normal[1] * point[1] + normal[2] * point[2]) * normal, rows, columns


@kernel
def _keep(labels: np.ndarray, kept: np.ndarray) -> None:
    """Replace rows of kept grains by row + 1, and all others by 0."""
    for i in range(len(labels)):
        row = labels[i]
        labels[i] = row + 1 if row >= 0 and kept[row] else 0


@kernel
def _sum_up(labels: np.ndarray, half: int, grains: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, per grain, the number of points, the sums of their indices from the centre, and whether it is cut off."""
    n = len(labels)
    counts, sums = np.zeros(grains, np.int64), np.zeros((grains, 3), np.int64)
    cut = np.zeros(grains, np.bool_)
    for z in range(n):
        for y in range(n):
            for x in range(n):
                g = labels[z, y, x]
                if g < 0:
                    continue
                counts[g] += 1
                sums[g, 0] += z - half
                sums[g, 1] += y - half
                sums[g, 2] += x - half
                if not cut[g]:
                    cut[g] = _at_edge(labels, z, y, x)
    return counts, sums, cut


@kernel
def _at_edge(labels: np.ndarray, z: int, y: int, x: int) -> bool:
    """Return whether one of the 26 neighbours is missing."""
    n = len(labels)
    if min(z, y, x) == 0 or max(z, y, x) == n - 1:
        return True
    # The outer corner is the farthest neighbour, so it is missing if any other is.
    h = n // 2
    c, b, a = (1 if z >= h else -1), (1 if y >= h else -1), (1 if x >= h else -1)
    return labels[z + c, y + b, x + a] < 0


@kernel
def _points_of(labels: np.ndarray, half: int, chosen: np.ndarray, reach2: float) -> np.ndarray:
    """Return the indices, from the centre, of the points of chosen grains within reach."""
    found, m = np.empty((1024, 3), np.float64), 0
    n = len(labels)
    for z in range(n):
        for y in range(n):
            for x in range(n):
                g = labels[z, y, x]
                if g < 0 or not chosen[g]:
                    continue
                c, b, a = z - half, y - half, x - half
                if c * c + b * b + a * a > reach2:
                    continue
                if m == len(found):
                    longer = np.empty((2 * m, 3), np.float64)
                    for k in range(m):
                        for axis in range(3):
                            longer[k, axis] = found[k, axis]
                    found = longer
                found[m, 0], found[m, 1], found[m, 2] = c, b, a
                m += 1
    return found[:m].copy()


@kernel
def _extent(labels: np.ndarray, half: int, kept: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the box of the kept grains with a margin of one point, and the squared distance that bounds it."""
    n = len(labels)
    box = np.zeros((2, 3), np.int64)
    reach2, some = 0, False
    place = np.empty(3, np.int64)
    for z in range(n):
        for y in range(n):
            for x in range(n):
                g = labels[z, y, x]
                if g < 0 or not kept[g]:
                    continue
                place[0], place[1], place[2] = z - half, y - half, x - half
                far = 0
                for a in range(3):
                    box[0, a] = min(box[0, a], place[a] - 1) if some else place[a] - 1
                    box[1, a] = max(box[1, a], place[a] + 1) if some else place[a] + 1
                    far += (abs(place[a]) + 1) ** 2
                reach2, some = max(reach2, far), True
    return box, reach2
