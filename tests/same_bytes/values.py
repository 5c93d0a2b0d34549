"""Print a checksum of the bits of many values of each kind that stores are made of, one line a kind.

Run as a program by the tests, with a setting of another machine or without; tiny stores hold too few values to
meet every branch.
"""

import hashlib

import numpy as np

from nmcdist.bundle import (
    AnnealedParameters,
    Bundle,
    LevelCutParameters,
    NeuralParameters,
    PackingParameters,
    PatternsParameters,
    load_bundle,
)
from nmcdist.calibration.baseline_measures import measured_by_theory
from nmcdist.calibration.baselines import GENERATORS, fit_baseline
from nmcdist.descriptors import describe_grains
from nmcdist.descriptors.directional import AXES_AND_DIAGONALS, directional_coverage
from nmcdist.descriptors.intrinsic import intrinsic_volumes_from_counts
from nmcdist.descriptors.shell import measure_shells
from nmcdist.geometry import elementary
from nmcdist.geometry.sphere import star_bounds_of_many, star_volumes
from nmcdist.learning.refine.net import Net as RefinementNet
from nmcdist.learning.refine.windows import refined
from nmcdist.models.annealing import generate_annealed
from nmcdist.models.body_theory import fibres_for, spheres_for
from nmcdist.models.fibres import generate_fibres, segments
from nmcdist.models.grains import GrainModel
from nmcdist.models.levelcut import generate_level_cut
from nmcdist.models.neural import Net, generate_neural, white_noise
from nmcdist.models.orientation import crystal_orientations, watson_cosines
from nmcdist.models.packing import pack_balls
from nmcdist.models.patterns import generate_patterns
from nmcdist.models.shell import ShellModel
from nmcdist.models.spheres import balls
from nmcdist.models.star_packing import relax_stars, rotations, turned
from nmcdist.models.streams import draws
from nmcdist.models.theory import graphite_fraction, intensity_for_graphite_fraction
from nmcdist.products.registry import parsed_recipe

COUNT = 100_000  # random numbers of each law: 24 normal numbers in the tail
LEVELS = 499  # graphite fractions


def values():
    """Yield name and values of each kind."""
    uniform = draws(1, 1, 1).uniform(20_000)
    for name, wide in (("exp", 700), ("log", 1e300), ("log1p", 1), ("cbrt", 1e300), ("asin", 1), ("acos", 1)):
        low = 0.0 if name == "log" else -1.0
        function = getattr(elementary, name)
        yield name, [function(float(x)) for x in wide * (low + (1.0 - low) * uniform)]
    yield "sin_cos", [elementary.sin_cos(float(x)) for x in 2e4 * (uniform - 0.5)]
    yield "atan2", [elementary.atan2(float(y), float(x)) for y, x in (uniform - 0.5).reshape(-1, 2)]
    yield "normal", draws(2, 1, 1).normal(COUNT)
    yield "normal32", draws(3, 1, 1).normal32(COUNT)
    yield "exponential", draws(4, 1, 1).exponential(COUNT)
    for shape in (0.4, 1.0, 10.25, 197.2):
        yield f"gamma {shape}", draws(5, 1, 1).gamma(shape, COUNT)
    yield "student", draws(6, 1, 1).student(np.tile([1.3, 4.0, 6.0], COUNT // 3))
    stream = draws(7, 1, 1)
    yield "poisson", [stream.poisson(mean) for mean in (0.5, 4.0, 30.0, 900.0) for _ in range(2000)]

    additive = load_bundle("cba-cathode-2025")
    for changes in ({}, {"alpha_1": 0.7, "alpha_2": 3.0}):
        parameters = additive.with_parameters(**changes).parameters
        levels = [intensity_for_graphite_fraction(parameters, k / (LEVELS + 1)) for k in range(1, LEVELS + 1)]
        yield f"lambda_X {changes}", levels
        each = [parameters.model_copy(update={"lambda_X_per_nm3": level}) for level in levels[::20]]
        yield f"V1 {changes}", [graphite_fraction(p) for p in each]

    for name in ("nmc811-stereological", "nmc811-radial"):
        bundle = load_bundle(name)
        grains = GrainModel.from_bundle(bundle).draw(4000.0, 5, 1)
        yield f"seeds {name}", grains.seeds_nm
        yield f"markers {name}", np.column_stack([grains.diagonals, grains.offsets_nm2, grains.gammas])
        yield f"matrices {name}", grains.matrices()
    denser = bundle.with_parameters(
        grain_intensity_knots_nm=(0.0, 1500.0, 3000.0), grain_intensity_factors=(0.4, 1.0, 1.7)
    )
    yield "seeds of growing density", GrainModel.from_bundle(denser).draw(4000.0, 5, 1).seeds_nm
    shells, _ = ShellModel.from_bundle(bundle).draw_many(5, range(40))
    yield "shells", shells
    yield "bounds", star_bounds_of_many(shells)
    yield from (((f"shell {name}", column) for name, column in measure_shells(shells).items()))
    for concentration in (-1e4, -5.0, 0.0, 5.0, 300.0, 1e4):
        yield f"watson {concentration}", watson_cosines(uniform, concentration)
        yield f"orientations {concentration}", crystal_orientations(grains.seeds_nm, concentration, 5)

    yield from bodies(shells)

    labels = draws(8, 1, 1).uniform(12, 13, 14) * 40
    grains = describe_grains(labels.astype(np.int32), 37.1)
    yield from ((f"grain {name}", grains[name].values) for name in grains.data_vars)
    counts = (draws(9, 1, 1).uniform(256) * 1e7).astype(np.int64)
    yield "densities", intrinsic_volumes_from_counts(counts, 37.1)
    yield from media()
    yield from matched()
    yield from refinements()
    yield "proposals", proposals()


def proposals():
    """Return points that a campaign proposes after 16 results, which emulators and LAPACK lead to."""
    recipe = parsed_recipe({
        "kind": "campaign", "name": "c", "version": "1.0.0", "title": "C", "bundle": "cba-cathode-2025", "seed": 7,
        "volume": {"shape": [32, 32, 32], "voxel_size_nm": 160.0},
        "space": {"parameters": {"graphite_fraction": [0.02, 0.2], "mu": [0.0, 1.2]}},
        "goal": {"targets": {"volume_fraction_solid": {"value": 0.4, "tolerance": 0.02},
                             "surface_area_solid": {"value": 0.004, "relative": 0.2}}},
        "proposer": {"kind": "thompson", "initial": 12, "lag": 4}, "evaluations": 24,
        "descriptors": {"transport": False, "axes": ["z"]},
    }, "recipe")  # fmt: skip
    stream = draws(18, 1, 1)
    places = np.round(stream.uniform(16, 2), 6)
    solid = 0.3 + 0.3 * places[:, 0] - 0.1 * places[:, 1] + 0.01 * (stream.uniform(16) - 0.5)
    surface = 0.01 / (1 + places[:, 1]) + 0.001 * (stream.uniform(16) - 0.5)
    proposer = recipe.proposer_of_points
    return [proposer.propose(number, places, np.column_stack([solid, surface])) for number in range(16, 20)]


def refinements():
    """Yield the scores of a net for super-resolution, and labels that are chosen and drawn by them."""
    shapes = ((6, 3, 3, 3, 3), (5, 6, 3, 3, 3), (24, 5, 1, 1, 1))
    layers = tuple(
        (draws(15, 1, k).normal32(*shape), draws(16, 1, k).normal32(shape[0])) for k, shape in enumerate(shapes)
    )
    net = RefinementNet(layers, ("pore", "carbon_binder", "graphite"), 20.0, 27.0)
    labels = (draws(17, 1, 1).uniform(24, 24, 24) * 3).astype(np.uint8)
    yield "scores", net.scores(labels)
    for how in ("likeliest", "drawn"):
        box = ((0, 48), (0, 48), (0, 48))
        yield (
            f"refined, {how}",
            refined(net, lambda b: labels[tuple(slice(*s) for s in b)], (24, 24, 24), box, how, 1, 0),
        )


def matched():
    """Yield parameters and arrays of baseline generators that are matched to the additive."""
    measured = measured_by_theory(load_bundle("cba-cathode-2025").cba(), 80.0, 16, 3)
    for kind in GENERATORS:
        bundle = fit_baseline(kind, measured)
        numbers = [*bundle.parameters.model_dump(exclude_none=True).values(), *bundle.arrays.values()]
        yield f"matched {kind}", np.concatenate([np.ravel(each) for each in numbers])


def media():
    """Yield volumes of the models that are rebuilt from curves or images."""
    level_cut = LevelCutParameters(threshold=0.4, scales_nm=(100.0, 200.0), weights=(0.7, 0.3))
    volume = generate_level_cut(Bundle.of("b", "B", level_cut, licence="-"), (30, 30, 30), 100.0, seed=1)
    yield "level-cut", volume
    curves = {
        "directions": AXES_AND_DIAGONALS.astype(np.float32),
        "coverage": directional_coverage(volume > 0, AXES_AND_DIAGONALS, 6),
    }
    curves["coverage"][:, 0] = volume.mean()
    annealed = AnnealedParameters(voxel_size_nm=100.0, most_sweeps=8.0)
    bundle = Bundle.of("b", "B", annealed, licence="-", arrays=curves)
    yield "annealed", generate_annealed(bundle, (16, 16, 16), 100.0, seed=1)
    crossed = np.where(sum(np.indices(volume.shape)) % 10 == 0, 1 - volume, volume)  # no chord crosses the image
    image = {"image": crossed.astype(np.float32)}
    bundle = Bundle.of("b", "B", PatternsParameters(voxel_size_nm=100.0), licence="-", arrays=image)
    yield "patterns", generate_patterns(bundle, (12, 12, 12), 100.0, seed=1)
    yield from neural()


def neural():
    """Yield scores and phases of a net with two levels and weights from a stream."""
    shapes = {"weight_out": (3, 6, 1, 1, 1), "bias_out": (3,)}
    for name, inputs in (("1_0", 2), ("1_1", 6), ("0_0", 8), ("0_1", 6)):
        shapes |= {f"weight_{name}": (6, inputs, 3, 3, 3), f"bias_{name}": (6,)}
    stream = draws(15, 1, 1)
    arrays = {name: stream.normal32(*shape) * np.float32(0.15) for name, shape in shapes.items()}
    bundle = Bundle.of("b", "B", NeuralParameters(voxel_size_nm=100.0), licence="-", arrays=arrays)
    net = Net.of(bundle)
    yield "neural scores", net.scores((-5, 3, 1), (20, 21, 70), lambda level, *at: white_noise(1, 0, level, 2, *at))
    yield "neural", generate_neural(bundle, (20, 21, 70), 100.0, seed=1, origin=(-5, 3, 1))


def bodies(shells):
    """Yield fibres, balls, packings of balls and of shells, and parameters for a fraction and a surface."""
    more = {"radius_spread": 0.3, "persistence_length_nm": 1500.0, "anisotropy": 2.0, "sheath_nm": 20.0}
    profile = {"profile_knots_nm": (0.0, 3000.0), "profile_factors": (1.0, 0.3)}
    fibre, ball = fibres_for(0.3, 6e-3, 2000.0, **more, **profile), spheres_for(0.3, 6e-3, 0.4)
    for record in (fibre, ball):
        yield f"parameters {type(record).__name__}", [record.radius_mean_nm, record.intensity_per_nm3]
    low, high = np.zeros(3), np.full(3, 4000.0)
    yield "segments", np.concatenate([part.ravel() for part in vars(segments(fibre, low, high, 10, 1)).values()])
    yield "fibres", generate_fibres(Bundle.of("f", "", fibre, licence=""), (60, 60, 60), 40.0, 10)
    yield "balls", np.concatenate([part.ravel() for part in vars(balls(ball, low, high, 11, 1)).values()])
    packed = PackingParameters(radius_mean_nm=100.0, radius_spread=0.3, ball_fraction=0.55)
    found = pack_balls(packed, np.array([1500.0, 1600.0, 1700.0]), 12, 1)
    yield "packed balls", np.column_stack([found.centre_nm, found.radius_nm])
    rows = turned(shells, rotations(draws(13, 1, 1).normal(len(shells), 4)))
    radii = np.array([elementary.cbrt(v) for v in star_volumes(rows) / (4 / 3 * np.pi)])
    edges, centres = np.full(3, 60_000.0), draws(14, 1, 1).uniform(len(rows), 3) * 20_000.0
    yield "depth of packed shells", relax_stars(rows, radii, centres, edges)
    yield "packed shells", np.column_stack([rows, centres])


if __name__ == "__main__":
    for name, of in values():
        print(name, hashlib.sha256(np.ascontiguousarray(of).tobytes()).hexdigest())
