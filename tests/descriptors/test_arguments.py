"""What public functions of arrays do with strangers' arguments: every one of every function, by what it stands for.

Each function is called once as it should be. Then each argument in turn is replaced: by what means the same, which
must give the same result; and by what it cannot be, which must give one line that begins with its name.
"""

import inspect
from fractions import Fraction
from functools import cache

import dask.array
import numpy as np
import psutil
import pytest
import xarray as xr

import nmcdist
from nmcdist import descriptors, geometry
from nmcdist.descriptors.cba import describe_cba
from nmcdist.errors import InputError

RNG = np.random.default_rng(41)
PHASE = RNG.random((6, 5, 7)) < 0.6
LABELS = RNG.integers(0, 4, (6, 5, 7)).astype(np.int32)
VOLUME = RNG.integers(0, 3, (4, 5, 6)).astype(np.uint8)
SECTION = RNG.integers(0, 4, (9, 8)).astype(np.int32)
CONTACTS = descriptors.grain_contacts(LABELS, 10.0)
GRAINS = descriptors.describe_grains(LABELS, 10.0)
CORE = tuple(slice(0, n) for n in PHASE.shape)
CONDUCTIVITIES = {1: 1.0, 2: 0.5, 3: 2.0}
SHELL = np.array([3545.0, 10.0, 20.0, -30.0])
SEEDS = RNG.random((4, 3)) * 10
PARTICLE = nmcdist.generate_particle("nmc811-radial", seed=1)

IMAGE = PHASE[0]
COMMON = {"voxel_size_nm": (10.0, "edges"), "axis": (1, "axis")}
PIXELS = {"pixel_size_nm": (10.0, "pixel edges")}
FLOW = {
    "phase": (np.ones((4, 3, 4), bool), "phase"), "voxel_size_nm": (10.0, "edges"), "axis": (0, "axis"),
    "boundary": ("open", "record"),
}  # fmt: skip
DIAGRAM = {
    "seeds": (SEEDS, "numbers"),
    "matrices": (np.tile(np.eye(3), (4, 1, 1)), "numbers"),
    "offsets": (np.zeros(4), "numbers"),
}
WINDOW = {"shape": ((2, 3, 4), "shape"), "origin": ((0.0, 1.0, 2.0), "numbers"), "reach": (50.0, "number")}

# function: arguments, each with a value that it takes and what it stands for
CALLS = {
    descriptors.bottleneck_radius: {
        "phase": (PHASE, "phase"), **COMMON,
        "squared_distance": (None, "optional array"),
    },
    descriptors.active_area: {
        "labels": (LABELS, "labels"), "phases": ((1, 2), "record"), "voxel_size_nm": (10.0, "edges"),
        "axis": (0, "axis"),
    },
    descriptors.axis_coverage: {"phase": (PHASE, "phase"), **COMMON, "max_lag_nm": (30.0, "number")},
    descriptors.chord_lengths: {"labels": (SECTION, "labels"), **PIXELS},
    descriptors.configuration_counts: {"phase": (PHASE, "phase")},
    descriptors.connected_fractions: {"phase": (PHASE, "phase"), "axis": (0, "axis")},
    descriptors.constrictivity: {"phase": (PHASE, "phase"), **COMMON},
    descriptors.describe_grains: {
        "labels": (LABELS, "labels"), "voxel_size_nm": (10.0, "length"), "origin_nm": ((0.0, 0.0, 0.0), "numbers"),
        "contacts": (CONTACTS, "record"),
    },
    descriptors.describe_packing: {"grains": (GRAINS, "record"), "contacts": (CONTACTS, "record")},
    descriptors.describe_section: {
        "labels": (SECTION, "labels"), "pixel_size_nm": (10.0, "length"), "origin_nm": ((0.0, 0.0), "numbers"),
    },
    descriptors.describe_shell: {"coefficients_nm": (SHELL, "numbers")},
    descriptors.describe_shells: {"coefficients_nm": (SHELL[None], "numbers")},
    descriptors.effective_conductivity: {
        "labels": (LABELS, "labels"), "conductivities": (CONDUCTIVITIES, "conductivities"), "axis": (0, "axis"),
        "voxel_size_nm": (10.0, "edges"),
    },
    descriptors.geodesic_tortuosity: {
        "phase": (PHASE, "phase"), "axis": (0, "axis"), "voxel_size_nm": (10.0, "edges"),
    },
    descriptors.grain_contacts: {"labels": (LABELS, "labels"), "voxel_size_nm": (10.0, "length")},
    descriptors.interface_area: {
        "labels": (LABELS, "labels"), "phases": ((1, 2), "record"), "voxel_size_nm": (10.0, "edges"),
    },
    descriptors.intrinsic_volumes: {"phase": (PHASE, "phase"), "voxel_size_nm": (10.0, "edges")},
    descriptors.intrinsic_volumes_from_counts: {
        "counts": (descriptors.configuration_counts(PHASE), "counts"), "voxel_size_nm": (10.0, "edges"),
    },
    descriptors.pair_counts: {
        "window": (PHASE, "phase"), "core": (CORE, "record"), "max_lag": (3, "whole"), "voxel_size_nm": (10.0, "edges"),
    },
    descriptors.percolates: {"phase": (PHASE, "phase"), "axis": (0, "axis"), "connectivity": (26, "choice")},
    descriptors.permeability: FLOW,
    descriptors.phase_chord_lengths: {"phase": (PHASE, "phase"), **COMMON},
    descriptors.planar_active_length: {
        "labels": (SECTION, "labels"), "phases": ((1, 2), "record"), **PIXELS, "axis": (0, "axis"),
    },
    descriptors.planar_axis_coverage: {
        "phase": (IMAGE, "phase"), **PIXELS, "axis": (0, "axis"), "max_lag_nm": (30.0, "number"),
    },
    descriptors.planar_bottleneck_radius: {"phase": (IMAGE, "phase"), **PIXELS, "axis": (0, "axis")},
    descriptors.planar_chord_lengths: {"phase": (IMAGE, "phase"), **PIXELS, "axis": (0, "axis")},
    descriptors.planar_connected_fractions: {"phase": (IMAGE, "phase"), "axis": (0, "axis")},
    descriptors.planar_constrictivity: {"phase": (IMAGE, "phase"), **PIXELS, "axis": (0, "axis")},
    descriptors.planar_effective_conductivity: {
        "labels": (SECTION, "labels"), "conductivities": (CONDUCTIVITIES, "conductivities"), "axis": (0, "axis"),
        **PIXELS,
    },
    descriptors.planar_geodesic_tortuosity: {"phase": (IMAGE, "phase"), "axis": (0, "axis"), **PIXELS},
    descriptors.planar_interface_length: {
        "labels": (SECTION, "labels"), "phases": ((1, 2), "record"), **PIXELS,
    },
    descriptors.planar_intrinsic_volumes: {"phase": (IMAGE, "phase"), **PIXELS},
    descriptors.planar_percolates: {"phase": (IMAGE, "phase"), "axis": (0, "axis"), "connectivity": (8, "choice")},
    descriptors.planar_permeability: {
        "phase": (IMAGE, "phase"), **PIXELS, "axis": (0, "axis"), "boundary": ("open", "record"),
    },
    descriptors.planar_size_distribution: {
        "phase": (IMAGE, "phase"), **PIXELS, "radii_nm": (None, "optional array"),
    },
    descriptors.planar_triple_points: {
        "labels": (SECTION, "labels"), "phases": ((1, 2, 3), "record"), **PIXELS,
    },
    descriptors.planar_two_point_coverage: {"phase": (IMAGE, "phase"), **PIXELS, "max_lag_nm": (30.0, "number")},
    descriptors.pore_size_distribution: {
        "phase": (PHASE, "phase"), "voxel_size_nm": (10.0, "edges"), "radii_nm": ([0.0, 10.0], "numbers"),
        "squared_distance": (None, "optional array"),
    },
    descriptors.refine_permeability: {**FLOW, "refinements": ((1, 2, 4), "record")},
    descriptors.solve_conduction: {
        "labels": (LABELS, "labels"), "conductivities": (CONDUCTIVITIES, "conductivities"), "axis": (0, "axis"),
        "voxel_size_nm": (10.0, "edges"), "flux_spread": (1e-3, "number"), "max_iterations": (50, "whole"),
    },
    descriptors.solve_permeability: {
        **FLOW, "refinement": (1, "whole"), "flux_spread": (1e-3, "number"), "max_iterations": (50, "whole"),
    },
    descriptors.triple_line_length: {
        "labels": (LABELS, "labels"), "phases": ((1, 2, 3), "record"), "voxel_size_nm": (10.0, "edges"),
    },
    descriptors.two_point_coverage: {
        "phase": (PHASE, "phase"), "voxel_size_nm": (10.0, "edges"), "max_lag_nm": (30.0, "number"),
    },
    descriptors.two_point_from_counts: {
        "counts": (descriptors.pair_counts(PHASE, CORE, 3), "counts"),
        "voxel_size_nm": (10.0, "edges"),
    },
    descriptors.volume_fraction: {"phase": (PHASE, "phase")},
    describe_cba: {
        "volume": (VOLUME, "labels"), "voxel_size_nm": (10.0, "length"), "max_lag_nm": (20.0, "length"),
        "max_radius_nm": (20.0, "length"), "axes": (("z", "x"), "record"), "transport": (True, "record"),
    },
    geometry.rasterize_gbpd: {**DIAGRAM, **WINDOW, "spacing": (1.0, "length")},
    geometry.label_lattice: {**DIAGRAM, **WINDOW, "steps": (np.eye(3), "numbers")},
    geometry.label_points: {**DIAGRAM, "points": (SEEDS + 0.5, "numbers")},
    nmcdist.generate_cba: {
        "bundle": (nmcdist.load_bundle("cba-cathode-2025"), "bundle"),
        "shape": ((3, 4, 5), "shape"), "voxel_size_nm": (80.0, "length"), "seed": (5, "whole"), "index": (0, "whole"),
        "origin": ((0, -1, 2), "shape"), "gamma_law": ("physical", "choice"),
    },
    PARTICLE.voxelize: {"voxel_size_nm": (900.0, "length"), "pieces": ("merge", "choice")},
    PARTICLE.section: {
        "voxel_size_nm": (900.0, "length"), "normal": ((1.0, 0.0, 0.0), "numbers"),
        "point_nm": ((0.0, 9.0, 0.0), "numbers"),
    },
}  # fmt: skip


class Quantity:
    """What pint, astropy and unyt have in common: a number with a unit, which NumPy takes without it."""

    units = "um"

    def __init__(self, value):
        self.value = value

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.value, dtype)

    def __float__(self):
        return float(self.value)


class Unsized:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("two\nlines")


def masked(value):
    mask = np.zeros(np.shape(value), bool)
    mask.flat[0] = True
    return np.ma.masked_array(value, mask)


def read_only(value):
    array = np.array(value)
    array.setflags(write=False)
    return array


def data_array(value):
    return xr.DataArray(np.asarray(value), attrs={"units": "1"})


def huge_shape(value):
    """Of more than 10^14 elements, a thousand times what fits into any machine, however they are repeated."""
    axes = max(np.ndim(value), 1)
    return (round(1e14 ** (1 / axes)),) * axes


SAME_ARRAYS = {
    "list": lambda v: np.asarray(v).tolist(),
    "Fortran": lambda v: np.asfortranarray(v),
    "read-only": read_only,
    "strided": lambda v: np.repeat(np.asarray(v), 2, axis=-1)[..., ::2],
    "reversed": lambda v: np.ascontiguousarray(np.flip(v))[(slice(None, None, -1),) * np.ndim(v)],
    "big-endian": lambda v: np.asarray(v).astype(np.asarray(v).dtype.newbyteorder(">")),
    "nothing masked": lambda v: np.ma.masked_array(v),
    "DataArray": data_array,
    "lazy DataArray": lambda v: data_array(v).chunk(),
    "Dask": lambda v: dask.array.from_array(np.asarray(v), chunks=2),
}
OTHER_ARRAYS = {
    "masked": masked,
    "list of masked": lambda v: [masked(row) for row in np.atleast_2d(v)],
    "unit": Quantity,
    "complex": lambda v: np.asarray(v).astype(complex) + 1j,
    "objects": lambda v: np.asarray(v).astype(object),
    "text": lambda v: np.asarray(v).astype(str),
    "a word": lambda v: "phase",
    "nothing": lambda v: {},
    "ragged": lambda v: [[True, False], [True]],
    "a number": lambda v: 1,
    "too many axes": lambda v: np.asarray(v)[None, None],
    "too few axes": lambda v: np.asarray(v).ravel()[:3][0],
    "none": lambda v: np.zeros((0,) * np.ndim(v), np.asarray(v).dtype),
    "NaN": lambda v: np.full(np.shape(v), np.nan),
    "dates": lambda v: np.zeros(np.shape(v), "m8[s]"),
    "not to be read": lambda v: Unsized(),
    "huge": lambda v: np.broadcast_to(np.asarray(v).ravel()[0], huge_shape(v)),
    "huge and lazy": lambda v: dask.array.full(huge_shape(v), np.asarray(v).ravel()[0], chunks=-1),
}
NO_NUMBER = {
    "text": "20", "NaN": np.nan, "infinite": np.inf, "True": True, "a NumPy True": np.True_, "nothing": None,
    "complex": 20 + 0j, "unit": Quantity(20.0), "masked": np.ma.masked, "a list": [20.0],
    "a triple": (10.0, 10.0, 20.0),
    "an array": np.array([10.0, 10.0, 20.0]), "an array of one": np.array([20.0]), "an object": object(),
    "negative": -20.0, "minus infinity": -np.inf,
}  # fmt: skip
SAME_NUMBERS = {
    "float32": np.float32, "float64": np.float64, "whole": lambda v: np.int64(v) if v == int(v) else v,
    "fraction": Fraction, "array without axes": lambda v: np.array(float(v)),
}  # fmt: skip
NO_EDGES = {name: value for name, value in NO_NUMBER.items() if name not in ("a triple", "an array")} | {"zero": 0}
NO_WHOLE = {**NO_NUMBER, "a fraction": 1.5, "a float": 1.0}
NO_AXIS = {**NO_WHOLE, "too large": 3, "a name": "z", "negative": -1}
NO_RECORD = {"text": "20", "a number": 1, "nothing": {}, "an array": np.zeros((2, 2)), "masked": masked(np.ones(3))}
KINDS = {
    "phase": (SAME_ARRAYS, OTHER_ARRAYS | {"labels": lambda v: v.astype(int), "numbers": lambda v: v.astype(float)}),
    "labels": (
        SAME_ARRAYS | {"int64": lambda v: v.astype(np.int64), "uint64": lambda v: v.astype(np.uint64)},
        OTHER_ARRAYS | {"numbers": lambda v: v.astype(float)},
    ),
    "numbers": (
        {name: change for name, change in SAME_ARRAYS.items() if name != "reversed"},
        OTHER_ARRAYS | {"flags": lambda v: np.ones(np.shape(v), bool)},
    ),
    "counts": (
        SAME_ARRAYS,
        OTHER_ARRAYS | {"fractions": lambda v: v + 0.5, "negative": lambda v: -1 - v, "flags": lambda v: v > 0},
    ),
    "optional array": ({}, {}),
    "shape": (
        {"list": list, "NumPy": np.array},
        {"text": lambda v: "345", "fractions": lambda v: [n + 0.5 for n in v], "flags": lambda v: [True] * 3,
         "one": lambda v: v[0], "four": lambda v: (*v, 1), "masked": masked, "axes": lambda v: np.ones((3, 3), int),
         "ragged": lambda v: [[1, 2], 3, 4]},
    ),
}  # fmt: skip
SCALARS = {
    "length": (SAME_NUMBERS, {**NO_NUMBER, "zero": 0}),
    "edges": (
        SAME_NUMBERS | {"a triple": lambda v: (v, v, v), "an array": lambda v: np.full(3, v)},
        NO_EDGES | {"a pair": (10.0, 10.0), "four": [10.0] * 4, "one is 0": (10.0, 0.0, 10.0), "flags": (True,) * 3},
    ),
    "pixel edges": (
        SAME_NUMBERS | {"a pair": lambda v: [v, v], "an array": lambda v: np.full(2, v)},
        NO_EDGES | {"a triple": (10.0,) * 3, "one is 0": (10.0, 0.0), "text": ("10", "10")},
    ),
    "number": (SAME_NUMBERS, NO_NUMBER),
    "whole": ({"NumPy": np.int64, "small": np.uint8}, NO_WHOLE),
    "axis": ({"NumPy": np.int64}, NO_AXIS),
    "choice": ({}, {**NO_AXIS, "a triple": (6, 26, 6)}),
    "record": ({}, NO_RECORD),
    "conductivities": (
        {"NumPy": lambda v: {np.int64(k): np.float32(s) for k, s in v.items()}},
        NO_RECORD | {"text for a number": {1: "1.0"}, "text for a phase": {"1": 1.0}, "NaN": {1: np.nan},
                     "negative": {1: -1.0}, "a list": {1: [1.0]}, "an array": {1: np.ones(3)}},
    ),
    "bundle": ({}, {}),
}  # fmt: skip
# what has a meaning here and is refused elsewhere, or the other way round
EXCEPTIONS = {
    ("rasterize_gbpd", "spacing", "a triple"), ("rasterize_gbpd", "spacing", "an array"),
    ("rasterize_gbpd", "spacing", "fraction"), ("rasterize_gbpd", "reach", "nothing"),
    ("label_lattice", "reach", "nothing"), ("label_points", "points", "none"),
    ("pore_size_distribution", "radii_nm", "none"), ("volume_fraction", "phase", "masked"),
    ("effective_conductivity", "conductivities", "nothing"), ("solve_conduction", "conductivities", "nothing"),
    ("solve_conduction", "max_iterations", "nothing"),
    ("planar_effective_conductivity", "conductivities", "nothing"),
}  # fmt: skip


@cache
def meant(function):
    return function(**{name: value for name, (value, _) in CALLS[function].items()})


def changed(function, argument, value):
    arguments = {name: value for name, (value, _) in CALLS[function].items()}
    return function(**arguments | {argument: value})


def cases(good):
    for function, arguments in CALLS.items():
        for argument, (value, kind) in arguments.items():
            known = KINDS.get(kind) or SCALARS[kind]
            for name, change in known[0 if good else 1].items():
                if (function.__name__, argument, name) in EXCEPTIONS:
                    continue
                # What is wrong with an array is made of it; what is wrong with a number is a value.
                made = change(value) if good or kind in KINDS else change
                yield pytest.param(function, argument, made, id=f"{function.__name__}-{argument}-{name}")


def same(a, b):
    if isinstance(a, xr.Dataset):
        return a.identical(b)
    if isinstance(a, tuple):
        return all(np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f") for x, y in zip(a, b, strict=True))
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b or (a != a and b != b)


def test_no_public_function_and_no_argument_is_left_out():
    public = [getattr(module, name) for module in (descriptors, geometry) for name in module.__all__]
    functions = {f for f in public if inspect.isfunction(f)} | {nmcdist.describe_cba, nmcdist.generate_cba}
    assert functions <= set(CALLS)
    for function, arguments in CALLS.items():
        assert set(arguments) == set(inspect.signature(function).parameters), function.__name__


@pytest.mark.parametrize(("function", "argument", "value"), list(cases(good=True)))
def test_what_means_the_same_gives_the_same(function, argument, value):
    assert same(changed(function, argument, value), meant(function))


@pytest.mark.parametrize(("function", "argument", "value"), list(cases(good=False)))
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_meant_is_refused_in_one_line(function, argument, value):
    with pytest.raises(InputError) as caught:
        changed(function, argument, value)
    assert str(caught.value).startswith(f"{argument}: found")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


class TestMasks:
    def test_the_share_of_a_masked_phase_is_that_of_what_is_not_masked(self):
        phase = np.ma.masked_array(PHASE, np.indices(PHASE.shape)[0] < 3)
        assert descriptors.volume_fraction(phase) == PHASE[3:].mean() == phase.mean()

    def test_a_phase_that_is_masked_throughout_has_no_share(self):
        with pytest.raises(InputError, match="every voxel masked"):
            descriptors.volume_fraction(np.ma.masked_array(PHASE, True))

    def test_the_message_says_what_to_do(self):
        with pytest.raises(InputError, match=r"phase: found a masked array, expected .*fill it or crop it first"):
            descriptors.intrinsic_volumes(masked(PHASE), 10.0)


class TestSize:
    """Repeated views and lazy arrays can be of any size; what would not fit into memory is refused at once."""

    def test_the_message_names_the_argument_its_size_and_that_of_the_machine(self):
        there = psutil.virtual_memory().total / 2**30
        expected = rf"^phase: found .*\(30000, 30000, 30000\), which needs 25,145.7 GiB .* the {there:,.1f} GiB"
        with pytest.raises(InputError, match=expected) as caught:  # 2.7e13 voxels of one byte
            descriptors.volume_fraction(np.broadcast_to(np.True_, (30000,) * 3))
        assert "\n" not in str(caught.value)

    def test_what_fits_itself_but_not_with_what_is_computed_is_refused_before_it_is_read(self):
        edge = round((0.8 * psutil.virtual_memory().total) ** (1 / 3))
        phase = np.broadcast_to(np.True_, (edge,) * 3)
        for measure in (descriptors.geodesic_tortuosity, lambda v: descriptors.effective_conductivity(v, {1: 1.0})):
            with pytest.raises(InputError, match=r"^(phase|labels): found an array of shape .* GiB"):
                measure(phase)


def test_voxels_of_grains_are_cubes():
    with pytest.raises(InputError, match=r"voxel_size_nm: found \(10.0, 10.0, 20.0\), .* one length .*cubes"):
        descriptors.describe_grains(LABELS, (10.0, 10.0, 20.0))


def test_an_array_whose_named_axes_are_turned_is_refused():
    turned = xr.DataArray(PHASE, dims=("x", "y", "z"))
    with pytest.raises(InputError, match="phase: found dimensions x, y, z, expected the order z, y, x"):
        descriptors.geodesic_tortuosity(turned)
    named = turned.rename(x="z", z="x")
    assert descriptors.geodesic_tortuosity(named) == descriptors.geodesic_tortuosity(PHASE)


def test_distances_at_hand_are_checked():
    from nmcdist.geometry.distance import squared_distance

    at_hand = squared_distance(PHASE)
    expected = descriptors.pore_size_distribution(PHASE, 10.0).fraction
    for given in (at_hand, np.asfortranarray(at_hand), at_hand.astype(">u2"), read_only(at_hand)):
        assert np.array_equal(
            descriptors.pore_size_distribution(PHASE, 10.0, squared_distance=given).fraction, expected
        )
    for given in (masked(at_hand), at_hand[1:], at_hand.astype(float), "far"):
        with pytest.raises(InputError, match=r"^squared_distance: found"):
            descriptors.bottleneck_radius(PHASE, 10.0, squared_distance=given)
