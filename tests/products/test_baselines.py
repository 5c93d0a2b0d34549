"""Baseline generators as kinds of datasets: drawn as the models draw, described, exported and reported."""

import numpy as np
import pytest
from matplotlib.image import imread

from nmcdist.bundle import (
    AnnealedParameters,
    Bundle,
    ElectrodeParameters,
    LevelCutParameters,
    NeuralParameters,
    PatternsParameters,
    load_bundle,
    save_bundle,
)
from nmcdist.datasets.store import open_store
from nmcdist.descriptors.directional import AXES_AND_DIAGONALS, directional_coverage
from nmcdist.descriptors.labelled import TWO_PHASES, describe
from nmcdist.errors import BundleError, NmcdistError
from nmcdist.models.annealing import generate_annealed
from nmcdist.models.body_theory import fibres_for, packing_for, spheres_for
from nmcdist.models.electrode import generate_electrode
from nmcdist.models.fibres import generate_fibres
from nmcdist.models.levelcut import generate_level_cut
from nmcdist.models.neural import generate_neural
from nmcdist.models.packing import generate_packing
from nmcdist.models.patterns import generate_patterns
from nmcdist.models.spheres import generate_spheres
from nmcdist.products.baselines.kinds import Electrode
from nmcdist.products.stores import build_report, export_item
from nmcdist.products.volumes import labelled, plan
from nmcdist.runs.public import run
from tests.models.test_neural import BUNDLE as NET

SHAPE, VOXEL_NM = (24, 16, 16), 100.0


def bundle_of(parameters, arrays=None):
    return Bundle.of("baseline", "A baseline", parameters, licence="CC0-1.0", arrays=arrays)


def electrode():
    shell, cba = load_bundle("nmc811-radial").particle(), load_bundle("cba-cathode-2025").cba().model_dump()
    fields = {name: getattr(shell, name) for name in ElectrodeParameters.model_fields if hasattr(shell, name)}
    for name in ("lambda_X", "lambda_Y"):  # an additive with lengths 5 times as long is quick to draw
        cba[f"{name}_per_nm3"] /= 5.0**3
    for name in ("gamma", "eta", "theta"):
        cba[f"{name}_per_nm"] /= 5.0
    return bundle_of(ElectrodeParameters(**fields, **cba, nmc_fraction=0.3))


def field():
    return bundle_of(LevelCutParameters(threshold=0.1, scales_nm=(120.0, 200.0), weights=(0.7, 0.3)))


def image():
    return generate_level_cut(field(), (40, 40, 40), VOXEL_NM, seed=1)


def annealed():
    curves = directional_coverage(image() > 0, AXES_AND_DIAGONALS, 4)
    curves[:, 0] = image().mean()
    arrays = {"directions": AXES_AND_DIAGONALS.astype(np.float32), "coverage": curves}
    return bundle_of(AnnealedParameters(voxel_size_nm=VOXEL_NM, most_sweeps=5.0), arrays)


def patterns():
    return bundle_of(PatternsParameters(voxel_size_nm=VOXEL_NM), {"image": image().astype(np.float32)})


def neural():
    return bundle_of(NeuralParameters(voxel_size_nm=VOXEL_NM), NET.arrays)


KINDS = {
    "fibre-stack": (lambda: bundle_of(fibres_for(0.3, 3e-3, 4000.0, sheath_nm=100.0)), generate_fibres, VOXEL_NM),
    "boolean-spheres": (lambda: bundle_of(spheres_for(0.3, 3e-3)), generate_spheres, VOXEL_NM),
    "packed-spheres": (lambda: bundle_of(packing_for(0.3, 3e-3)), generate_packing, VOXEL_NM),
    "level-cut": (field, generate_level_cut, VOXEL_NM),
    "annealed": (annealed, generate_annealed, VOXEL_NM),
    "patterns": (patterns, generate_patterns, VOXEL_NM),
    "neural": (neural, generate_neural, VOXEL_NM),
    "electrode": (electrode, generate_electrode, 1500.0),
}


def recipe(kind, folder, bundle, voxel_nm, **changes):
    save_bundle(bundle, folder / "bundle")
    return {
        "kind": kind, "name": "baseline", "version": "1.0.0", "title": "A baseline", "seed": 3,
        "bundle": str(folder / "bundle"), "volume": {"shape": list(SHAPE), "voxel_size_nm": voxel_nm},
        "realisations": 2, "storage": {"chunk": 8, "shard": 8}, **changes,
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_holds_what_the_model_draws(kind, tmp_path):
    make, draw, voxel_nm = KINDS[kind]
    bundle = make()
    store = run(recipe(kind, tmp_path, bundle, voxel_nm), tmp_path, workers=0).store
    data = open_store(store)
    for item in range(2):
        expected = draw(bundle, SHAPE, voxel_nm, 3, item)
        np.testing.assert_array_equal(data["volume"][item].values, expected)
    solid = float(data["volume_fraction"].sel(phase="solid")[1])
    assert solid == (expected > 0).mean()
    tiff = export_item(store, 1, "tiff", tmp_path / "item.tif")
    assert tiff.stat().st_size > 0


def test_two_phases_are_measured_as_the_descriptors_measure_them(tmp_path):
    make, draw, voxel_nm = KINDS["level-cut"]
    data = open_store(run(recipe("level-cut", tmp_path, make(), voxel_nm), tmp_path, workers=0).store)
    expected = describe(TWO_PHASES, draw(make(), SHAPE, voxel_nm, 3, 0), voxel_nm)
    for name in expected.data_vars:
        np.testing.assert_array_equal(data[name][0].values, expected[name].values)
    # Conducting pores of a volume: no more than their share, and Wiener's bound.
    assert 0 < float(expected["m_factor_mean"].sel(conduction="pore")) < float(expected["volume_fraction"][0])


@pytest.mark.parametrize("kind", ["fibre-stack", "boolean-spheres", "level-cut", "neural"])
def test_endless_generators_are_made_in_blocks(kind, tmp_path, monkeypatch):
    make, draw, voxel_nm = KINDS[kind]
    monkeypatch.setattr(labelled, "DESCRIBE_WHOLE", 1e15)
    monkeypatch.setattr(plan, "_fitting_block", lambda shape, volume, fits: volume.file_shape[1:])
    bundle = make()
    data = open_store(run(recipe(kind, tmp_path, bundle, voxel_nm), tmp_path, workers=0).store)
    np.testing.assert_array_equal(data["volume"][0].values, draw(bundle, SHAPE, voxel_nm, 3, 0))
    assert "pore_size_distribution" not in data
    assert "surface_area" in data


def test_a_bundle_of_another_model_is_refused(tmp_path):
    with pytest.raises(BundleError, match="found model 'level-cut', expected 'spheres-boolean'"):
        run(recipe("boolean-spheres", tmp_path, field(), VOXEL_NM), tmp_path, workers=0)


def test_a_net_of_another_voxel_size_or_of_more_phases_is_refused(tmp_path):
    with pytest.raises(BundleError, match="was trained on voxels of 100 nm, found volumes of 50 nm"):
        run(recipe("neural", tmp_path, neural(), 50.0), tmp_path, workers=0)
    more = {"weight_out": np.zeros((4, *NET.arrays["weight_out"].shape[1:]), "f4"), "bias_out": np.zeros(4, "f4")}
    bundle = bundle_of(NeuralParameters(voxel_size_nm=VOXEL_NM), {**NET.arrays, **more})
    (tmp_path / "more").mkdir()
    with pytest.raises(BundleError, match="found 4 phases, expected at most 3"):
        run(recipe("neural", tmp_path / "more", bundle, VOXEL_NM), tmp_path, workers=0)


def test_ions_and_electrons_take_their_ways_through_an_electrode():
    """Layers in closed form: in parallel along them, in series across; M is the share of what conducts, if parallel."""
    scheme = Electrode.scheme()
    shares, conducting = np.array([0.4, 0.2, 0.1, 0.3]), {"pore": [1, 0, 0, 0], "solid": [0, 0.01, 1, 0]}
    layers = np.broadcast_to(np.repeat([0, 1, 2, 3], (20 * shares).astype(int)), (6, 8, 20))
    found = describe(scheme, layers, 50.0, axes=("z", "x"))
    for name, values in {**conducting, "nmc": [0, 0, 0, 1]}.items():
        own = found.sel(conduction=name)
        assert float(own["effective_conductivity"].sel(axis="z")) == pytest.approx(shares @ values, rel=1e-3)
        assert float(own["m_factor"].sel(axis="z")) == pytest.approx(shares[np.array(values) > 0].sum(), rel=1e-3)
        assert (float(own["m_factor"].sel(axis="x")), int(own["conducts"].sel(axis="x"))) == (0, 0)
    additive = describe(scheme, np.where(layers > 1, 2, 1), 50.0, axes=("x",))
    across = additive["effective_conductivity"].sel(conduction="solid", axis="x")
    assert float(across) == pytest.approx(1 / (0.4 / 1 + 0.6 / 0.01), rel=1e-3)


def test_the_slice_of_an_electrode_has_the_colours_of_its_phases(tmp_path):
    make, draw, voxel_nm = KINDS["electrode"]
    store = run(recipe("electrode", tmp_path, make(), voxel_nm, realisations=1), tmp_path, workers=0).store
    build_report(store, tmp_path / "report")
    assert not (tmp_path / "report/distributions.png").exists()  # one item has none
    picture = np.round(255 * imread(tmp_path / "report/slices.png")[..., :3])
    plane = draw(make(), SHAPE, voxel_nm, 3, 0)[SHAPE[0] // 2]
    pixels = 130 * 130 * 5.0  # of the slice, at least, with 130 per inch
    for label, colour in ((1, (0x56, 0x61, 0x6B)), (2, (0xE6, 0x9F, 0x00)), (3, (0x7F, 0xA7, 0xC9))):
        shown = (np.abs(picture - colour).max(axis=-1) <= 2).sum()
        assert shown > pixels * (plane == label).mean() + 200  # and its field in the legend


def test_the_report_shows_the_volume(tmp_path):
    make, _, voxel_nm = KINDS["electrode"]
    store = run(recipe("electrode", tmp_path, make(), voxel_nm), tmp_path, workers=0).store
    page = build_report(store, tmp_path / "report").read_text()
    assert "![volume](volume.png)" in page
    with pytest.raises(NmcdistError, match="no resolution study"):
        build_report(store, tmp_path / "report", voxel_sizes_nm=(100.0,))
