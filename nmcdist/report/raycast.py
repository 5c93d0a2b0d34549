"""Pictures of particles directly from their analytic records: the first grain on each ray, and its lighting.

No mesh or voxels are needed. Along each ray, the first point in a grain is searched on a lattice aligned with the
view, then refined by bisection, so lines between grains are as sharp as the pixels.
"""

from dataclasses import dataclass

import numpy as np

from nmcdist.geometry.tessellation import label_lattice, label_points
from nmcdist.jit import kernel
from nmcdist.models.particle import Particle

TOWARDS = (0.75, -1.0, 0.85)  # from the centre to the viewer, z, y, x; the octant on this side is removed
_LIGHT = (-0.3, 0.55, 0.75)  # right, up, towards the viewer
_AMBIENT = 0.5
_SLAB = 4  # planes of the lattice in memory at a time
_COARSE = 1.5  # pixels between planes, or 1 / _PLANES of the reach if larger
_PLANES = 240
_HALVINGS = 8


@dataclass(frozen=True)
class View:
    """The visible part of a particle, on square pixels around its centre.

    Attributes
    ----------
    labels : ndarray of int32, shape (2 m, 2 m)
        Row of the grain + 1, rows downwards; 0 for no grain.
    light : ndarray of float64, shape (2 m, 2 m)
        Brightness, 0 to 1.
    pixel_nm : float
    """

    labels: np.ndarray
    light: np.ndarray
    pixel_nm: float


def view_particle(particle: Particle, pixel_nm: float) -> View:
    """Return the view of a particle in parallel projection, without the octant that faces the viewer."""
    towards = np.array(TOWARDS) / np.linalg.norm(TOWARDS)
    up = np.array([1.0, 0.0, 0.0]) - towards[0] * towards
    up /= np.linalg.norm(up)
    # Columns are z, y, x, so the cross product has the other sign.
    camera = np.stack([np.cross(towards, up), up, towards])
    scene = _Scene(particle)
    half = max(2, int(np.ceil(particle.reach_nm / pixel_nm)))
    corner = (half - 0.5) * pixel_nm * (camera[1] - camera[0])
    steps = pixel_nm * np.stack([-camera[1], camera[0]])
    coarse = max(_COARSE * pixel_nm, particle.reach_nm / _PLANES)
    depth = scene.march((2 * half, 2 * half), steps, corner + particle.reach_nm * towards, -towards, coarse)
    seen = np.isfinite(depth)
    rows, columns = np.nonzero(seen)
    starts = corner + particle.reach_nm * towards + rows[:, None] * steps[0] + columns[:, None] * steps[1]
    near, labels = scene.refine(starts, -towards, depth[seen], coarse)
    depth[seen] = near
    image = np.zeros(depth.shape, dtype=np.int32)
    image[seen] = labels
    normals = _normals(depth, pixel_nm)
    cut, faces = _cut_faces(starts - near[:, None] * towards, coarse / 2**_HALVINGS)
    normals[rows[cut], columns[cut]] = faces @ camera.T
    lit = np.clip(normals @ (np.array(_LIGHT) / np.linalg.norm(_LIGHT)), 0, 1)
    return View(image, np.where(seen, lit, 0.0), pixel_nm)


def draw_view(view: View, colours: np.ndarray, oversampling: int = 2) -> np.ndarray:
    """Return a picture, RGBA from 0 to 1, with dark lines between grains.

    Parameters
    ----------
    view : View
    colours : ndarray, shape (n, 3)
        Colours of the grains by label; the first one is unused.
    oversampling : int
        View pixels along the edge of a picture pixel.
    """
    labels = view.labels
    seen = labels > 0
    shade = (_AMBIENT + (1 - _AMBIENT) * view.light)[..., None] * colours[labels]
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, 1:] |= (labels[:, :-1] == 0) & seen[:, 1:]
    edge[1:] |= (labels[:-1] == 0) & seen[1:]
    shade[edge & seen] *= 0.25
    picture = np.dstack([np.where(seen[..., None], shade, 0.0), seen])
    height, width = (n // oversampling for n in labels.shape)
    blocks = picture[: height * oversampling, : width * oversampling].reshape(
        height, oversampling, width, oversampling, 4
    )
    opaque = blocks[..., 3:].sum(axis=(1, 3))
    mean = blocks[..., :3].sum(axis=(1, 3)) / np.maximum(opaque, 1)
    return np.dstack([mean, opaque[..., 0] / oversampling**2])


class _Scene:
    """A particle without the octant that faces the viewer."""

    def __init__(self, particle: Particle) -> None:
        self.particle = particle
        self.diagram = (
            particle.seeds_nm.astype(np.float64),
            particle.matrices(),
            particle.offsets_nm2.astype(np.float64),
        )
        self.label = np.append(np.where(particle.kept, np.arange(1, len(particle.kept) + 1), 0), 0).astype(np.int32)

    def march(
        self, shape: tuple[int, int], steps: np.ndarray, corner: np.ndarray, onwards: np.ndarray, step: float
    ) -> np.ndarray:
        """Return the depth of the first lattice point in a grain on each ray; inf if there is none."""
        depth = np.full(shape, np.inf)
        for k in range(0, int(np.ceil(2 * self.particle.reach_nm / step)) + 1, _SLAB):
            start = corner + k * step * onwards
            lattice = np.vstack([step * onwards, steps])
            rows = label_lattice(*self.diagram, (_SLAB, *shape), lattice, start, reach=self.particle.reach_nm)
            _meet(rows, self.label, lattice, start, np.sign(TOWARDS), k * step, step, depth)
        return depth

    def refine(
        self, starts: np.ndarray, onwards: np.ndarray, depth: np.ndarray, step: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return depths just inside the first grains on some rays, and the labels of these grains."""
        far, near = depth.copy(), depth - step
        labels = self._labels(starts + far[:, None] * onwards)
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            found = self._labels(starts + middle[:, None] * onwards)
            inside = found > 0
            far, near = np.where(inside, middle, far), np.where(inside, near, middle)
            labels = np.where(inside, found, labels)
        return far, labels

    def _labels(self, points: np.ndarray) -> np.ndarray:
        labels = self.label[label_points(*self.diagram, points)] if len(points) else np.zeros(0, dtype=np.int32)
        outside = (points**2).sum(axis=1) > self.particle.reach_nm**2
        return np.where(outside | _taken_out(*points.T), 0, labels)


def _taken_out(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    signs = np.sign(TOWARDS)
    return np.asarray((signs[0] * z > 0) & (signs[1] * y > 0) & (signs[2] * x > 0))


@kernel
def _meet(
    rows: np.ndarray, label: np.ndarray, lattice: np.ndarray, start: np.ndarray, signs: np.ndarray, nearest: float,
    step: float, depth: np.ndarray,
) -> None:  # fmt: skip
    """Record the depth of the rays that first meet a grain at a point of these planes."""
    planes, height, width = rows.shape
    for r in range(height):
        for c in range(width):
            if depth[r, c] < np.inf:
                continue
            for k in range(planes):
                if label[rows[k, r, c]] == 0:
                    continue
                inside = True
                for a in range(3):
                    place = start[a] + k * lattice[0, a] + r * lattice[1, a] + c * lattice[2, a]
                    inside &= signs[a] * place > 0
                if not inside:
                    depth[r, c] = nearest + k * step
                    break


def _normals(depth: np.ndarray, pixel: float) -> np.ndarray:
    """Return unit normals in the camera's axes, from the smaller of the differences to both sides."""
    slopes = []
    with np.errstate(invalid="ignore"):
        for axis in (1, 0):
            step = np.diff(depth, axis=axis)
            ends = [(0, 0), (0, 0)]
            ends[axis] = (1, 0)
            back = np.pad(step, ends, constant_values=np.inf)
            ends[axis] = (0, 1)
            ahead = np.pad(step, ends, constant_values=np.inf)
            slope = np.where(np.abs(back) < np.abs(ahead), back, ahead)
            slopes.append(np.nan_to_num(slope / pixel, nan=0.0, posinf=0.0, neginf=0.0))
    across, down = slopes
    normals = np.dstack([across, -down, np.ones(depth.shape)])
    return np.asarray(normals / np.linalg.norm(normals, axis=-1, keepdims=True))


def _cut_faces(points: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the points on the faces of the cut octant, and the normals there."""
    signed = points * np.sign(TOWARDS)
    axis = signed.argmin(axis=1)
    cut = np.flatnonzero(np.abs(signed.min(axis=1)) <= 2 * tolerance)
    normals = np.zeros((len(cut), 3))
    normals[np.arange(len(cut)), axis[cut]] = np.sign(TOWARDS)[axis[cut]]
    return cut, normals
