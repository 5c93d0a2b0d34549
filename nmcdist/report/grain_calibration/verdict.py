"""The aims that a calibration reached or missed, and what sections cannot determine or could not be judged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nmcdist.calibration.grains.counts import AIM as AIM_IN_SECTIONS
from nmcdist.calibration.grains.results import BaselineDistances, Count, Dimension, DistanceRow, Results

# The aims: Kolmogorov-Smirnov distances of these descriptors, in sections and in space.
AIMS = {
    "2D": (0.03, ("area_nm2", "elongation", "angle_to_radius", "chord_length_nm")),
    "3D": (0.05, ("volume_nm3", "elongation", "flatness", "angle_to_radius", "short_axis_angle")),
}
AIM_BY_DISTANCE = 0.05  # the same, as a mean over bins of distance from the centre
AIM_IN_SPACE = 0.15  # relative difference of the grains per volume in a micrometre of distance
FLOORS = 2.0  # noise floors: no distance needs to be smaller
TIMES = 5.0  # factor by which a baseline must be farther, in the 1-Wasserstein distance ...
OF_SHAPE = ("elongation", "angle_to_radius")  # ... of these descriptors
_PLACES: dict[Dimension, str] = {"2D": "in sections", "3D": "in space"}
_DESCRIPTORS = {
    "area_nm2": "area A_cross", "elongation": "elongation", "angle_to_radius": "angle to the radius",
    "chord_length_nm": "chord length", "volume_nm3": "volume", "equivalent_diameter_nm": "equivalent diameter",
    "neighbours": "neighbours", "boundary_area_nm2": "boundary area", "flatness": "flatness",
    "short_axis_angle": "angle of the short axis",
}  # fmt: skip
_BASELINES = {"voronoi": "Poisson-Voronoi", "isotropic": "isotropic power diagram"}

LIMITS = (
    "Planar sections through the centre do not determine the grains in space, however many there are. Laws with "
    "different spreads of volumes can have sections that look alike, because a plane meets tall grains more often and "
    "cuts each anywhere. So the spread of sizes, the law of the offsets and the variation of shapes between grains "
    "follow from the assumptions of the model (one net, uniform noise, equal noise along all axes) as much as from the "
    "data. The difference between the two axes across the radius is invisible too, because grains are turned about the "
    "radius at random. Few grains are visible near the centre: the numbers of the innermost micrometre rest on the "
    "smoothness of the law. To check volumes, compare with a measurement in space."
)


@dataclass(frozen=True)
class Verdict:
    """Sentences about a calibration.

    Attributes
    ----------
    missed : tuple of str
        Missed aims, each with the results.
    unknown : tuple of str
        Aims that could not be judged, with reasons; results of little significance.
    has_truth : bool
        Whether grains in space were compared.
    """

    missed: tuple[str, ...]
    unknown: tuple[str, ...]
    has_truth: bool

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        if self.missed:
            aims = "1 aim is" if len(self.missed) == 1 else f"{len(self.missed)} aims are"
            where = "" if self.has_truth else ", and grains in space were not judged"
            return f"Not all aims are reached: {aims} missed{where}."
        if self.has_truth:
            return "All aims are reached, in sections and in space."
        return "No aim is missed in sections. Grains in space were not judged: their truth is unknown."


def judge(results: Results) -> Verdict:
    """Return the verdict on a calibration, by the aims of this module."""
    missed: list[str] = []
    for dimension, place in _PLACES.items():
        rows = results.rows(dimension)
        lines = [*_too_far(rows), *_too_far_by_distance(rows), *_too_near(rows), *_no_nearer(rows)]
        missed += [f"{place}, {line}" for line in lines]
    missed += [f"in sections, {line}" for line in _other_numbers(results.counts.two, AIM_IN_SECTIONS, "area")]
    missed += [f"in space, {line}" for line in _other_numbers(results.counts.three, AIM_IN_SPACE, "volume")]
    return Verdict(tuple(missed), tuple(_unknown(results)), bool(results.rows("3D")))


def verdict_text(found: Verdict) -> Iterator[str]:
    """Yield the verdict as paragraphs of Markdown."""
    yield f"## Verdict\n\n**{found.headline}**"
    if found.missed:
        yield "\n".join(f"- {line}" for line in found.missed)
    yield (
        f"Aims: a KS of at most {AIMS['2D'][0]:g} in sections and {AIMS['3D'][0]:g} in space, of at most "
        f"{AIM_BY_DISTANCE:g} as a mean over bins of distance from the centre, or {FLOORS:g} times the noise floor "
        f"if that is more; baselines at least {TIMES:g} times further, by W1, in elongation and angle to the "
        f"radius, and further in volumes; grains per area within {AIM_IN_SECTIONS:.0%} at each distance and "
        f"per volume within {AIM_IN_SPACE:.0%}, or within their error if that is more."
    )
    if found.unknown:
        yield "Not judged, or supported by little data:\n\n" + "\n".join(f"* {line}" for line in found.unknown)
    yield f"**What sections cannot determine.** {LIMITS}"


def descriptor_name(descriptor: str) -> str:
    """Return a descriptor in words."""
    return _DESCRIPTORS.get(descriptor, descriptor)


def baseline_name(label: str) -> str:
    """Return a baseline's name in words."""
    return _BASELINES.get(label, label)


def _too_far(rows: Sequence[DistanceRow]) -> Iterator[str]:
    for row in rows:
        aim, names = AIMS[row.dimension]
        most = max(aim, FLOORS * row.floor_ks)
        if row.descriptor in names and not row.ks <= most:
            yield (
                f"{descriptor_name(row.descriptor)}: KS is {row.ks:.3f}, the aim is at most {most:.3f} (noise floor "
                f"{row.floor_ks:.3f})"
            )


def _too_far_by_distance(rows: Sequence[DistanceRow]) -> Iterator[str]:
    for row in rows:
        if row.profile_ks is None or row.floor_profile_ks is None or row.descriptor not in AIMS[row.dimension][1]:
            continue
        most = max(AIM_BY_DISTANCE, FLOORS * row.floor_profile_ks)
        if not row.profile_ks <= most:
            yield (
                f"{descriptor_name(row.descriptor)} by distance: KS is {row.profile_ks:.3f}, the aim is at "
                f"most {most:.3f} (noise floor {row.floor_profile_ks:.3f})"
            )


def _too_near(rows: Sequence[DistanceRow]) -> Iterator[str]:
    for row, label, other in _baselines(rows, OF_SHAPE):
        if _is_beyond_noise(row, other) and other.times is not None and not other.times >= TIMES:
            yield (
                f"{descriptor_name(row.descriptor)}: {baseline_name(label)} is {other.times:.2f} times further, "
                f"the aim is {TIMES:g} (a model at the noise floor would have {other.w1 / row.floor_w1:.1f})"
            )


def _no_nearer(rows: Sequence[DistanceRow]) -> Iterator[str]:
    for row, label, other in _baselines(rows, ("volume_nm3",)):
        if _is_beyond_noise(row, other) and not row.w1 < other.w1:
            yield (
                f"{descriptor_name(row.descriptor)}: {baseline_name(label)}, which knows only sizes of sections, is "
                f"as near or nearer (W1 {other.w1:.3f}, the model {row.w1:.3f})"
            )


def _other_numbers(counts: Sequence[Count], aim: float, per: str) -> Iterator[str]:
    for row in counts:
        most = max(aim, row.error or 0.0)
        if row.ratio is not None and row.error is not None and abs(row.ratio - 1) > most:
            yield (
                f"grains per {per} from {row.from_nm / 1000:g} to {row.to_nm / 1000:g} µm: {row.ratio:.2f} of the "
                f"expected number, the aim is within {most:.2f} (error {row.error:.2f})"
            )


def _unknown(results: Results) -> Iterator[str]:
    if not results.rows("3D"):
        yield "volumes, shapes and numbers of grains in space: the truth in space is unknown"
    compared = len(results.sections.compared)
    if any(row.ratio is not None and row.error is None for row in results.counts.two):
        yield f"grains per area by distance: {compared} sections give no error, three are needed"
    elif any(row.ratio is None for row in results.counts.two):
        yield "grains per area by distance: a bin of distance has no grains"
    if any(row.profile_ks is None for row in results.rows("2D") if row.descriptor != "chord_length_nm"):
        yield "descriptors by distance: a bin of distance has no grains"
    if not results.sections.held_out:
        yield (
            "new sections: the model is compared with the sections that it was trained on, so the distances are "
            "optimistic"
        )
    for row, label, other in _baselines(results.rows("2D"), ("area_nm2",)):
        if other.w1 <= max(row.w1, FLOORS * row.floor_w1):
            yield (
                f"sizes: {baseline_name(label)} shows areas as near to the measured ones (W1 {other.w1:.3f}, the model "
                f"{row.w1:.3f}), so areas say little about the model, and less about volumes"
            )
    level = [
        f"{baseline_name(label)} in {descriptor_name(row.descriptor)} ({_PLACES[row.dimension]})"
        for row, label, other in _baselines(results.distances, OF_SHAPE)
        if not _is_beyond_noise(row, other)
    ]
    if level:
        yield (
            f"shapes: no model can be {TIMES:g} times nearer than a baseline that is itself within {FLOORS:g} times "
            f"the noise floor: {', '.join(level)}"
        )


def _baselines(
    rows: Sequence[DistanceRow], names: Sequence[str]
) -> Iterator[tuple[DistanceRow, str, BaselineDistances]]:
    for row in rows:
        if row.descriptor in names:
            yield from ((row, label, other) for label, other in row.baselines.items())


def _is_beyond_noise(row: DistanceRow, other: BaselineDistances) -> bool:
    return other.w1 > FLOORS * row.floor_w1
