"""Small virtual stores, and what their chunks must hold, drawn directly."""

import functools
import hashlib
import warnings
from pathlib import Path

import numcodecs
import numpy as np
import pytest

from nmcdist import generate_cba, generate_particle
from nmcdist.bundle import load_bundle
from nmcdist.descriptors.shell import describe_shell
from nmcdist.models.orientation import crystal_orientations
from nmcdist.models.theory import intensity_for_graphite_fraction
from nmcdist.products.registry import parsed_recipe
from nmcdist.virtual import Computed, freeze

BUNDLE = "cba-cathode-2025"
LIMIT = 64 << 20
SHAPE = (75, 65, 48)
VOLUMES = {
    "name": "windows", "version": "1.0.0", "title": "Windows", "bundle": BUNDLE, "seed": 2025,
    "volume": {"shape": list(SHAPE), "voxel_size_nm": 20.0}, "sweep": {"graphite_fraction": [0.05, 0.15]},
    "realisations": 2, "descriptors": "none", "storage": {"chunk": 16, "shard": "none"},
}  # fmt: skip
PARTICLES = {
    "name": "grains", "version": "1.0.0", "title": "Grains", "bundle": "small-radial", "seed": 811,
    "particles": {"count": 40, "batch": 8}, "labels": {"voxel_sizes_nm": [200.0], "chunk": 16, "shard": "none"},
    "orientations": {"concentration": -5.0},
}  # fmt: skip


def recipe_of(content):
    return parsed_recipe(content, "recipe")


@pytest.fixture(scope="session")
def windows(tmp_path_factory):
    store = tmp_path_factory.mktemp("virtual") / "windows.zarr"
    freeze(recipe_of(VOLUMES), load_bundle(BUNDLE), store)
    return store


@pytest.fixture(scope="session")
def grains(tmp_path_factory, small_bundle):
    store = tmp_path_factory.mktemp("virtual") / "grains.zarr"
    freeze(recipe_of(PARTICLES), small_bundle, store)
    return store


def opened(store: Path, cache: Path | None, limit=LIMIT, makers=2, **options) -> Computed:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Computed.open(store, cache, limit, makers, **options)


def window_keys():
    return [f"volume/c/{i}/{z}/{y}/{x}" for i in range(4) for z in range(5) for y in range(5) for x in range(3)]


def encoded(values: np.ndarray) -> bytes:
    """Encode a chunk with numcodecs alone: the codecs of the layout are bytes and Zstandard."""
    little = values.astype(values.dtype.newbyteorder("<"))
    return numcodecs.Zstd(level=3, checksum=True).encode(np.ascontiguousarray(little).tobytes())


@functools.cache
def drawn_volume(item: int) -> np.ndarray:
    """A volume of `VOLUMES`, from the generator."""
    bundle = load_bundle(BUNDLE)
    fraction = (0.05, 0.15)[item // 2]
    bundle = bundle.with_parameters(lambda_X_per_nm3=intensity_for_graphite_fraction(bundle.cba(), fraction))
    return generate_cba(bundle, SHAPE, 20.0, seed=2025, index=item % 2)


def drawn_window(key: str) -> bytes:
    """The bytes of a chunk of `VOLUMES` by its key; what lies outside the volume is 255."""
    item, *place = map(int, key.removeprefix("volume/c/").split("/"))
    drawn = drawn_volume(item)[tuple(slice(16 * k, 16 * k + 16) for k in place)]
    chunk = np.full((16, 16, 16), 255, np.uint8)
    chunk[tuple(slice(0, n) for n in drawn.shape)] = drawn
    return encoded(chunk)


def particle_values(bundle, item: int) -> dict[str, np.ndarray]:
    """The values of every variable of one particle but the labels, from the generator and its descriptors."""
    p = generate_particle(bundle, 811, item)
    shell = describe_shell(p.coefficients_nm)
    volumes = np.where(p.kept, p.volumes_nm3, np.float32(np.nan))
    return {
        "shell_coefficients_nm": p.coefficients_nm, "shell_rejections": np.int32(p.rejections),
        **{f"shell_{name}": shell[name].values for name in shell.data_vars},
        "box_nm": p.box_nm, "reach_nm": np.float64(p.reach_nm), "rows": np.int32(len(p.kept)),
        "kept_grains": np.int32(p.kept.sum()), "seed_nm": p.seeds_nm, "diagonal": p.diagonals,
        "offset_nm2": p.offsets_nm2, "gamma": p.gammas, "kept": p.kept, "lattice_centroid_nm": p.centroids_nm,
        "lattice_volume_nm3": volumes, "orientation": crystal_orientations(p.seeds_nm, -5.0, 811, item),
    }  # fmt: skip


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder, while others change it."""
    total = 0
    for path in folder.rglob("*"):
        try:
            state = path.lstat()
        except FileNotFoundError:
            continue
        if not path.is_dir():
            total += state.st_size
    return total


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
