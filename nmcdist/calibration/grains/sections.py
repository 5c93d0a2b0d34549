"""Measured planar sections of particles: labelled grains, outside and missing pixels, and the centre."""

import logging
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nmcdist.arguments import check_length
from nmcdist.calibration import ebsd
from nmcdist.calibration.grains.label_images import EXTENSIONS as LABEL_EXTENSIONS
from nmcdist.calibration.grains.label_images import read_labels
from nmcdist.calibration.grains.tessellation_fit import MISSING, OUTSIDE
from nmcdist.descriptors.sections import chord_lengths, describe_section
from nmcdist.errors import ImageError, InputError
from nmcdist.inputs import existing_folder, local_path
from nmcdist.wording import in_utf8

_LOG = logging.getLogger(__name__)

MAP_EXTENSIONS = ebsd.EXTENSIONS

# Types of files in a folder, including reasons to skip an image.
_MAP, _PAIRED, _IMAGE = "map", "part of a pair", "an image beside EBSD maps"

SAME_SIZE = 1e-3  # relative: files round the size of their steps
_BRIDGE_PX = 2
_NARROWEST = math.radians(1.0)  # bandwidth if all angles are equal


@dataclass(frozen=True, eq=False)
class Section:
    """One planar section of a particle.

    Attributes
    ----------
    name : str
    labels : ndarray of int32, shape (ny, nx)
        Positive for grains, 0 outside the particle, -1 where the measurement failed.
    pixel_size_nm : float
    centre_px : tuple of float
        Row and column of the particle's centre; (0, 0) is the centre of the first pixel.
    notes : tuple of str
        Assumptions where the file is incomplete, one line each.
    """

    name: str
    labels: np.ndarray = field(repr=False)
    pixel_size_nm: float
    centre_px: tuple[float, float]
    notes: tuple[str, ...] = ()

    @cached_property
    def mask(self) -> np.ndarray:
        """Pixels of the particle, both measured and missing."""
        return np.asarray(self.labels != OUTSIDE)

    @property
    def origin_nm(self) -> tuple[float, float]:
        """Coordinates of the first pixel's centre, relative to the particle's centre."""
        return -self.centre_px[0] * self.pixel_size_nm, -self.centre_px[1] * self.pixel_size_nm

    def describe(self) -> xr.Dataset:
        """Return the descriptors of the grains: see :func:`nmcdist.descriptors.sections.describe_section`."""
        return describe_section(self._grains, self.pixel_size_nm, self.origin_nm)

    def chord_lengths(self) -> np.ndarray:
        """Return the lengths of all chords in nm; missing pixels end a chord like the outside."""
        return chord_lengths(self._grains, self.pixel_size_nm)

    @property
    def _grains(self) -> np.ndarray:
        return np.where(self.labels == MISSING, OUTSIDE, self.labels)


def section_of_scan(
    scan: ebsd.Scan,
    name: str,
    misorientation_deg: float = 5.0,
    min_pixels: int = 0,
    min_confidence: float | None = None,
) -> Section:
    """Return the section in an EBSD map: its largest particle, divided into grains.

    The particle is the largest region of indexed pixels, after closing gaps of up to two pixels and filling holes.
    Unindexed pixels in it are missing. The centre is the centroid of this region. Grains are those of
    :func:`nmcdist.calibration.ebsd.segment`, but missing pixels do not divide them: pieces of nearly the same
    orientation at most two pixels apart are one grain. Maps on hexagonal grids are resampled to a square grid of the
    same step by the nearest point.

    Parameters
    ----------
    scan : ebsd.Scan
    name : str
    misorientation_deg : float
        Largest misorientation of neighbours in one grain, in (0, 180].
    min_pixels : int
        Grains of fewer pixels become missing in the particle, and outside elsewhere; 0 keeps all.
    min_confidence : float, optional
        Pixels with a lower confidence count as unindexed.

    Returns
    -------
    Section
        Grains are 1..n.

    Raises
    ------
    ImageError
        If the steps along rows and columns differ, or no pixel is left.
    InputError
        If an argument has an impossible value.
    """
    if isinstance(min_pixels, bool) or not isinstance(min_pixels, int | np.integer) or min_pixels < 0:
        raise InputError(f"min_pixels: found {min_pixels!r}, expected a whole number, 0 or more")
    if min_confidence is not None:
        scan = scan.filtered(min_confidence)
    scan = _on_square_grid(scan, name)
    labels = _bridged(scan, ebsd.segment(scan, misorientation_deg), misorientation_deg)
    sizes = np.bincount(labels.ravel())
    labels[sizes[labels] < min_pixels] = OUTSIDE
    if not labels.any():
        raise ImageError(f"{name}: found no indexed grain, expected a particle")
    mask = _particle_mask(labels > 0)
    labels = consecutive(np.where(mask, np.where(labels > 0, labels, MISSING), OUTSIDE))
    return Section(name, labels, scan.step_nm[1], _centroid(mask), scan.notes)


def read_section(
    path: str | Path,
    pixel_size_nm: float | None = None,
    *,
    index: int | None = None,
    misorientation_deg: float = 5.0,
    min_pixels: int = 0,
    min_confidence: float | None = None,
) -> Section:
    """Read a section from an EBSD map, by :func:`section_of_scan`, or from an image of labelled grains.

    Label images are .npy or TIFF files of integers: 0 outside, positive for grains, -1 for missing pixels; an
    unsigned image has no missing pixels. The centre is the centroid of grains and missing pixels.

    Parameters
    ----------
    path : str or Path
    pixel_size_nm : float, optional
        Pixel size of label images; if given for a map, it must equal the map's step.
    index : int, optional
        Number of the map in a file with several maps. Default: the first.
    misorientation_deg, min_pixels, min_confidence
        For maps: see :func:`section_of_scan`.

    Returns
    -------
    Section
        Named after the file; its grains are 1..n.

    Raises
    ------
    ImageError
        If the file is missing, malformed, of unknown format or without a particle, or the pixel size is unknown.
    InputError
        If an argument has an impossible value.
    """
    section = _read_section(path, pixel_size_nm, index, misorientation_deg, min_pixels, min_confidence)
    _log_notes(Path(path).parent, [section])
    return section


def read_sections(
    folder: str | Path,
    pixel_size_nm: float | None = None,
    *,
    misorientation_deg: float = 5.0,
    min_pixels: int = 0,
    min_confidence: float | None = None,
) -> list[Section]:
    """Read the sections in a folder: the first EBSD map of each file or, without maps, all label images.

    A pair of .cpr and .crc is one map. Images beside maps, other files, hidden files and folders are skipped, with a
    warning in the log.

    Parameters
    ----------
    folder : str or Path
    pixel_size_nm, misorientation_deg, min_pixels, min_confidence
        See :func:`read_section`.

    Returns
    -------
    list of Section
        Sections, sorted by name.

    Raises
    ------
    ImageError
        If the folder holds no section, a file cannot be read, or two sections differ in pixel size.
    InputError
        If an argument has an impossible value.
    """
    folder = existing_folder(
        folder, ImageError, "there is no such folder, expected a folder of EBSD maps or label images"
    )
    paths, skipped = _section_files(folder)
    if not paths:
        named = f" ({skipped})" if skipped else ""
        raise ImageError(f"{folder}: found no EBSD map or label image{named}, expected files of {_known()}")
    options = (pixel_size_nm, None, misorientation_deg, min_pixels, min_confidence)
    sections = [_read_section(path, *options) for path in paths]
    for section in sections[1:]:
        if not _same(section.pixel_size_nm, sections[0].pixel_size_nm):
            found = f"{section.pixel_size_nm:g} nm in {section.name}"
            raise ImageError(
                f"{folder}: pixel size is {found}, expected {sections[0].pixel_size_nm:g} nm as in {sections[0].name}"
            )
    if skipped:
        _LOG.warning("%s: skipped %s", folder, skipped)
    _log_notes(folder, sections)
    return sections


def _read_section(
    path: str | Path, pixel_size_nm: float | None, index: int | None, misorientation_deg: float, min_pixels: int,
    min_confidence: float | None,
) -> Section:  # fmt: skip
    path = local_path(path, ImageError)
    pixel = None if pixel_size_nm is None else check_length("pixel_size_nm", pixel_size_nm)
    extension = path.suffix.lower()
    if extension in LABEL_EXTENSIONS:
        if pixel is None:
            raise ImageError(f"{path}: label images carry no pixel size, expected pixel_size_nm (--pixel-size-nm)")
        labels = consecutive(read_labels(path))
        return Section(in_utf8(path.name), labels, pixel, _centroid(labels != OUTSIDE))
    if extension not in MAP_EXTENSIONS:
        raise ImageError(f"{path}: extension is {path.suffix!r}, expected one of {_known()}")
    scan = ebsd.read_quietly(path, index)
    section = section_of_scan(replace(scan, name=str(path)), str(path), misorientation_deg, min_pixels, min_confidence)
    if pixel is not None and not _same(pixel, section.pixel_size_nm):
        raise ImageError(f"{path}: step is {section.pixel_size_nm:g} nm, expected pixel_size_nm = {pixel:g} nm")
    return replace(section, name=in_utf8(path.name))


def consecutive(labels: np.ndarray) -> np.ndarray:
    """Return int32 labels with grains renumbered 1..n in the order of their labels; labels <= 0 are unchanged."""
    grains = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(grains, labels) + 1, labels).astype(np.int32)


def angle_density(angles: np.ndarray, at: np.ndarray, bandwidth: float | None = None) -> np.ndarray:
    """Return the density of orientations alpha by a Gaussian kernel, reflected at both ends (Fig. 2d).

    All reflections together are the cosine series of the angles, with term m times exp(-2 m^2 bandwidth^2).

    Parameters
    ----------
    angles : ndarray of float64, shape (n,)
        Angles in [0, pi/2]; NaN, for grains without an orientation, is ignored.
    at : ndarray of float64, shape (m,)
        Angles at which to evaluate the density, in [0, pi/2].
    bandwidth : float, optional
        Standard deviation of the kernel in radians. Default: Silverman's, 0.9 min(s, IQR / 1.34) n^(-1/5).

    Returns
    -------
    ndarray of float64, shape (m,)
        Density per radian; its integral over [0, pi/2] is 1.

    Raises
    ------
    InputError
        If there is no angle, one is out of range, or the bandwidth is not positive.
    """
    angles = np.ravel(np.asarray(angles, dtype=np.float64))
    angles = angles[~np.isnan(angles)]
    at = np.asarray(at, dtype=np.float64)
    if not len(angles):
        raise InputError("angles: found none, expected at least one")
    for name, values in (("angles", angles), ("at", at)):
        if not ((values >= 0) & (values <= np.pi / 2)).all():
            raise InputError(f"{name}: found {values.min():g} to {values.max():g}, expected numbers in [0, pi/2]")
    width = _silverman(angles) if bandwidth is None else bandwidth
    if not 0 < width < math.inf:
        raise InputError(f"bandwidth: found {width}, expected a positive number of radians")
    m = 2.0 * np.arange(1, math.ceil(4.5 / width) + 1)
    terms = np.array([np.cos(k * angles).mean() for k in m]) * np.exp(-0.5 * (m * width) ** 2)
    series = 1.0 + 2.0 * np.cos(np.multiply.outer(at, m)) @ terms
    return np.asarray(np.maximum(series, 0.0) / (np.pi / 2))


def _silverman(angles: np.ndarray) -> float:
    low, high = np.percentile(angles, [25, 75])
    spread = min(float(angles.std()), float(high - low) / 1.34)
    return float(max(0.9 * spread * len(angles) ** -0.2, _NARROWEST))


def _on_square_grid(scan: ebsd.Scan, name: str) -> ebsd.Scan:
    """Return a scan with square pixels: unchanged, or resampled from hexagons; raise for others."""
    step_y, step_x = scan.step_nm
    if scan.grid == "hexagonal":
        return _resampled(scan)
    if not _same(step_y, step_x):
        raise ImageError(f"{name}: steps are {step_y:g} nm along y and {step_x:g} nm along x, expected equal steps")
    return scan


def _resampled(scan: ebsd.Scan) -> ebsd.Scan:
    """Return a map resampled to a square grid by the nearest points of the hexagonal grid."""
    from scipy.spatial import cKDTree

    rows, columns = scan.shape
    step_y, step = scan.step_nm
    row, column = np.indices(scan.shape).reshape(2, -1)
    points = np.stack([row * step_y, (column + row % 2 / 2) * step], axis=1)
    # The last point of a shifted row may be missing in the file; the other point of a tie is then just as near.
    there = np.ones(scan.shape, dtype=bool)
    there[1::2, -1] = (scan.indexed | np.isfinite(scan.confidence))[1::2, -1]
    known = np.flatnonzero(there)
    tall = math.floor((rows - 1) * step_y / step + 1e-6) + 1
    wanted = step * np.indices((tall, columns)).reshape(2, -1).T
    found = known[cKDTree(points[known]).query(wanted)[1]]
    nearest = np.unravel_index(found.reshape(tall, columns), scan.shape)
    return replace(
        scan, grid="square", step_nm=(step, step), euler=scan.euler[nearest], phase=scan.phase[nearest],
        confidence=scan.confidence[nearest],
    )  # fmt: skip


def _bridged(scan: ebsd.Scan, labels: np.ndarray, misorientation_deg: float) -> np.ndarray:
    """Return labels from 1 after joining pieces of one phase and orientation separated by missing pixels."""
    quaternions, pairs = scan.quaternions(), [np.empty((0, 2), dtype=np.int64)]
    for dy in range(_BRIDGE_PX + 1):
        for dx in range(-_BRIDGE_PX if dy else 2, _BRIDGE_PX + 1):
            here, there = _shifted(scan.shape, dy, dx)
            a, b, phase = labels[here], labels[there], scan.phase[here]
            near = (a != b) & (a > 0) & (b > 0) & (phase == scan.phase[there])
            for number in np.unique(phase[near]):
                these = near & (phase == number)
                symmetry = scan.phases[number - 1].symmetry
                angle = ebsd.misorientations(quaternions[here][these], quaternions[there][these], symmetry)
                alike = angle <= misorientation_deg
                pairs.append(np.stack([a[these][alike], b[these][alike]], axis=1))
    joined = np.concatenate(pairs)
    size = int(labels.max()) + 1
    graph = coo_array((np.ones(len(joined), dtype=np.int8), joined.T), shape=(size, size))
    # Label 0 is joined to no other and comes first, so it stays 0.
    return np.asarray(connected_components(graph, directed=False)[1].astype(np.int32)[labels])


def _shifted(shape: tuple[int, int], dy: int, dx: int) -> tuple[Any, Any]:
    """Return the slices of all pixels with a partner `dy` below and `dx` to the right, and of the partners."""
    rows, columns = shape
    here = slice(0, max(rows - dy, 0)), slice(max(-dx, 0), max(columns - max(dx, 0), 0))
    there = slice(dy, rows), slice(max(dx, 0), max(columns + min(dx, 0), 0))
    return here, there


def _particle_mask(measured: np.ndarray) -> np.ndarray:
    closed = ndimage.binary_closing(np.pad(measured, 1), np.ones((3, 3)))[1:-1, 1:-1]
    regions = ndimage.label(closed)[0]
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(regions == sizes.argmax()))


def _centroid(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


def _log_notes(folder: Path, sections: list[Section]) -> None:
    for section in sections:
        for note in section.notes:
            _LOG.warning("%s: %s", folder / section.name, note)


def _section_files(folder: Path) -> tuple[list[Path], str]:
    """Return the files of sections by name, and the skipped files with the reasons."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise ImageError(f"{folder}: cannot be read ({error.strerror})") from None
    kinds = {path: _kind(path) for path in paths}
    maps = [path for path in paths if kinds[path] == _MAP]
    images = [path for path in paths if kinds[path] == _IMAGE]
    skipped = {path: kind for path, kind in kinds.items() if kind not in (_MAP, _PAIRED) and (maps or kind != _IMAGE)}
    named = ", ".join(f"{path.name} ({reason})" for path, reason in skipped.items())
    return maps or images, " ".join(named.splitlines())


def _kind(path: Path) -> str:
    """Return the type of a file in the folder: a section, or the reason to skip it."""
    extension = path.suffix.lower()
    if path.name.startswith("."):
        return "hidden"
    if path.is_dir():
        return "a folder"
    if extension in LABEL_EXTENSIONS:
        return _IMAGE
    if extension not in MAP_EXTENSIONS:
        return "neither an EBSD map nor a label image"
    paired = extension == ".cpr" and any(path.with_suffix(s).is_file() for s in (".crc", ".CRC"))
    return _PAIRED if paired else _MAP


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=SAME_SIZE)


def _known() -> str:
    return ", ".join((*MAP_EXTENSIONS, *LABEL_EXTENSIONS))
