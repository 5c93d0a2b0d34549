"""Bundles: data only, checked whole, refused with one line when anything is off."""

import errno
import json
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import nmcdist
from nmcdist.bundle import (
    ArrayRecord,
    Bundle,
    NetParameters,
    ParticleParameters,
    RadialParameters,
    list_bundles,
    load_bundle,
    save_bundle,
)
from nmcdist.bundle.schema import validated
from nmcdist.errors import BundleError
from tests.conftest import NET_VALUES

NAME = "cba-cathode-2025"
PARTICLES = "nmc811-radial"


@pytest.fixture
def folder(tmp_path):
    return save_bundle(load_bundle(NAME), tmp_path / "copy")


def layers(*widths):
    rng = np.random.default_rng(0)
    arrays = {}
    for k, (inputs, outputs) in enumerate(pairwise(widths)):
        arrays[f"weight_{k}"] = rng.standard_normal((outputs, inputs)).astype(np.float32)
        arrays[f"bias_{k}"] = rng.standard_normal(outputs).astype(np.float32)
    return arrays


def net_content(arrays, **changes):
    content = load_bundle(PARTICLES).model_dump(by_alias=True)
    shared = {n: value for n, value in content["parameters"].items() if n in ParticleParameters.model_fields}
    own = {n: {"value": v, "unit": unit, "provenance": "assumed"} for n, (v, unit) in {**NET_VALUES, **changes}.items()}
    records = {name: ArrayRecord.of(array, "1", "assumed") for name, array in arrays.items()}
    return {**content, "name": "net", "model": "particle-net", "parameters": {**shared, **own}, "arrays": records}


def rewrite(folder, change):
    content = json.loads((folder / "bundle.json").read_text())
    change(content)
    (folder / "bundle.json").write_text(json.dumps(content))


def test_built_in_bundle_holds_table_2_in_physical_units():
    bundle = load_bundle(NAME)
    assert NAME in list_bundles()
    p = bundle.parameters
    assert p.alpha_1 / p.gamma_per_nm == pytest.approx(205 / 1.971)  # nm: mean of half-axis a
    assert p.alpha_2 / p.gamma_per_nm == pytest.approx(3944 / 1.971)
    assert p.theta_per_nm == pytest.approx(1 / 95)
    assert {record.provenance for record in bundle.values.values()} == {"published"}


def test_saved_bundle_loads_as_the_same(folder):
    assert load_bundle(folder) == load_bundle(NAME)
    assert load_bundle(folder).content_hash == load_bundle(NAME).content_hash


def test_changed_parameters_are_marked_assumed_and_change_the_hash():
    changed = load_bundle(NAME).with_parameters(lambda_X_per_nm3=1e-11)
    assert changed.parameters.lambda_X_per_nm3 == 1e-11
    assert changed.values["lambda_X_per_nm3"].provenance == "assumed"
    assert changed.content_hash != load_bundle(NAME).content_hash


def test_hash_ignores_wording_but_not_values(folder):
    bundle = load_bundle(folder)
    assert bundle.model_copy(update={"title": "other"}).content_hash == bundle.content_hash


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        (NAME, "78b51c43d222264902e71656560800f85ffc6b88d3f0efc7fcdd4154dae237a3"),
        (PARTICLES, "8a18f07e5123d2467015528c5d240cef1ad227cef5ec4a83abf152ec0062599b"),
        ("nmc811-stereological", "bc944a028125a1c904f6ea64a722f89b2b39ce8562f24a4d721bc01e7f51bc9a"),
        ("fib-sem-unet-2026", "af0452be29dbe214889ce046ebc102bf45e4c3eacd784d5da75f241d4bb0f4a5"),
        ("nmc-ct-2018", "6798f4bf03d0642b059be100c2931fc4968907c31090d695dfe761f042197cd1"),
        ("neural-cba-40nm", "3bb9ac06f276bfd3e838fce34505ea4f795fe043ec1756559905b3824cb9c112"),
    ],
)
def test_the_hashes_of_the_built_in_bundles_stay(name, digest):
    """Datasets that were made from them name them."""
    assert load_bundle(name).content_hash == digest


class TestArrays:
    arrays = layers(60, 8, 4)

    @pytest.fixture
    def net(self):
        return validated(net_content(self.arrays), "net").with_arrays(self.arrays)

    def test_they_travel_as_safetensors(self, net, tmp_path):
        read = load_bundle(save_bundle(net, tmp_path / "b"))
        assert read == net
        assert read.content_hash == net.content_hash
        assert set(read.arrays) == set(self.arrays)
        for name, array in self.arrays.items():
            assert np.array_equal(read.arrays[name], array)
            assert read.arrays[name].dtype == np.float32

    def test_a_copy_with_other_parameters_carries_them(self, net):
        changed = net.with_parameters(diagonal_high=8.0)
        assert np.array_equal(changed.arrays["weight_1"], self.arrays["weight_1"])
        assert changed != net
        sent = pickle.loads(pickle.dumps(changed))
        assert sent == changed
        assert np.array_equal(sent.arrays["weight_1"], self.arrays["weight_1"])

    def test_they_cannot_be_written_to(self, net):
        with pytest.raises(ValueError, match="read-only"):
            net.arrays["bias_0"][0] = 1.0

    def test_other_weights_give_another_hash(self, net):
        others = {**self.arrays, "bias_1": self.arrays["bias_1"] + 1}
        assert validated(net_content(others), "net").content_hash != net.content_hash
        with pytest.raises(BundleError, match=r"bundle 'net': array 'bias_1' does not match its sha256"):
            net.with_arrays(others)

    def test_a_bundle_read_without_them_cannot_be_saved(self, net, tmp_path):
        bare = Bundle.model_validate(net.model_dump(by_alias=True))
        assert not bare.arrays
        with pytest.raises(BundleError, match=r"found arrays \[\], expected \['bias_0'"):
            save_bundle(bare, tmp_path / "b")
        assert not (tmp_path / "b").exists()
        assert load_bundle(save_bundle(bare, tmp_path / "b", self.arrays)) == net

    @pytest.mark.parametrize("name", ["arrays.safetensors", "bundle.json"])
    def test_a_disk_that_is_full_leaves_nothing(self, net, tmp_path, monkeypatch, name):
        written = {"arrays.safetensors": Path.write_bytes, "bundle.json": Path.write_text}[name]

        def full(path, content):
            written(path, content[:9])
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Path, written.__name__, full)
            with pytest.raises(OSError, match="No space left"):
                save_bundle(net, tmp_path / "b")
        assert not (tmp_path / "b").exists()
        assert load_bundle(save_bundle(net, tmp_path / "b")) == net

    def test_damaged_files_are_refused(self, net, tmp_path):
        folder = save_bundle(net, tmp_path / "b")
        path = folder / "arrays.safetensors"
        blob = bytearray(path.read_bytes())
        blob[-1] ^= 1
        path.write_bytes(blob)
        with pytest.raises(BundleError, match=r"array '\w+' does not match its sha256"):
            load_bundle(folder)
        path.write_bytes(blob[:20])
        with pytest.raises(BundleError, match="has 20 bytes, expected 2096 of arrays and a header"):
            load_bundle(folder)
        path.unlink()
        with pytest.raises(BundleError, match="no such file"):
            load_bundle(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (layers(59, 8, 4), r"weight_0: found shape \(8, 59\), expected \(8, 60\)"),
        (layers(64, 8, 4), r"weight_0: found shape \(8, 64\), expected \(8, 60\)"),
        (layers(60, 8, 5), r"weight_1: found shape \(5, 8\), expected \(4, 8\)"),
        ({**layers(60, 8, 4), "bias_0": np.zeros(7, np.float32)}, r"bias_0: found shape \(7,\), expected \(8,\)"),
        ({**layers(60, 8, 4), "weight_1": np.zeros((4, 9), np.float32)}, r"found shape \(4, 9\), expected \(4, 8\)"),
        ({**layers(60, 8, 4), "weight_0": np.zeros(60, np.float32)}, r"found shape \(60,\), expected \(n, 60\)"),
        ({**layers(60, 8, 4), "bias_1": np.zeros(4)}, "bias_1: found float64, expected float32"),
        ({"weight_0": np.zeros((4, 60), np.float32)}, r"arrays: found \['weight_0'\], expected weight_0, bias_0"),
        ({}, r"arrays: found \[\], expected weight_0, bias_0"),
    ],
)
def test_weights_that_make_no_net_are_refused(arrays, message):
    with pytest.raises(BundleError, match=message):
        validated(net_content(arrays), "net")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"diagonal_low": (11.0, "1")}, r"diagonal_high: found 10.0, expected at least diagonal_low = 11.0"),
        ({"diagonal_low": (0.0, "1")}, "diagonal_low: Input should be greater than 0"),
        ({"offset_high": (-1.0, "length_unit^2")}, "offset_high: found -1.0, expected at least offset_low"),
        ({"length_unit_nm": (0.0, "nm")}, "length_unit_nm: Input should be greater than 0"),
    ],
)
def test_ranges_of_the_net_that_are_empty_are_refused(changes, message):
    with pytest.raises(BundleError, match=message):
        validated(net_content(layers(60, 4), **changes), "net")


class TestParticles:
    def test_built_in_bundle_says_what_is_published(self):
        bundle = load_bundle(PARTICLES)
        p = bundle.parameters
        assert p.shell_location_nm == pytest.approx(-29.83 * 128)
        assert p.shell_minimum_volume_nm3 == 10 * 128.0**3
        assert p.grain_intensity_per_nm3 * 50**3 == pytest.approx(0.0018)
        assert len(p.shell_nu) == len(p.shell_harmonic_scale_nm) == 9
        published = {name for name, record in bundle.values.items() if record.provenance == "published"}
        assert published == {"shell_location_nm", "shell_sigma", "shell_minimum_volume_nm3"}
        assert all(record.source for record in bundle.values.values())

    def test_several_numbers_travel_as_a_list(self, tmp_path):
        bundle = load_bundle(PARTICLES).with_parameters(shell_nu=(3.0,) * 9)
        read = load_bundle(save_bundle(bundle, tmp_path / "b"))
        assert read == bundle
        assert read.parameters.shell_nu == (3.0,) * 9
        assert read.content_hash != load_bundle(PARTICLES).content_hash

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"shell_nu": 4.0}, r"bundle 'nmc811-radial': parameter 'shell_nu' takes 9 numbers, found 4.0$"),
            ({"shell_nu": (4.0,) * 8}, "shell_nu: Tuple should have at least 9 items"),
            ({"shell_nu": (*(4.0,) * 8, 0.0)}, r"shell_nu\.8: Input should be greater than 0"),
            ({"shell_sigma": (0.4, 0.5)}, "shell_sigma: Input should be a valid number"),
            ({"grain_intensity_per_nm3": -1.0}, "grain_intensity_per_nm3: Input should be greater than 0"),
            ({"radial_scale_outer": 0.0}, "radial_scale_outer: Input should be greater than 0"),
            ({"scale_noise": -0.1}, "scale_noise: Input should be greater than or equal to 0"),
        ],
    )
    def test_impossible_values_are_refused_with_one_line(self, changes, message):
        with pytest.raises(BundleError, match=message) as caught:
            load_bundle(PARTICLES).with_parameters(**changes)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema_version=2), "found schema_version 2, expected 1"),
        (lambda c: c.update(extra=1), "extra"),
        (lambda c: c["parameters"].pop("mu"), "mu: Field required"),
        (lambda c: c["parameters"]["mu"].update(unit="nm"), "parameters.mu.unit: found 'nm', expected '1'"),
        (lambda c: c["parameters"]["eta_per_nm"].update(value=-1), "eta_per_nm"),
        (lambda c: c["parameters"]["mu"].update(value=0.5), "content_hash"),
        (lambda c: c["parameters"]["mu"].update(provenance="guessed"), "provenance"),
        (lambda c: c.update(model="shell"), "model"),
    ],
)
def test_a_faulty_description_is_refused_with_one_line(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(BundleError, match=message) as caught:
        load_bundle(folder)
    assert "\n" not in str(caught.value)


def test_truncated_json_is_refused(folder):
    path = folder / "bundle.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(BundleError, match="not valid JSON"):
        load_bundle(folder)


def test_unknown_names_say_what_there_is(tmp_path):
    with pytest.raises(BundleError, match=NAME):
        load_bundle("cba-cathode-1999")
    with pytest.raises(BundleError, match=r"unknown parameter 'lambda'.*lambda_X_per_nm3"):
        load_bundle(NAME).with_parameters(**{"lambda": 1.0})
    with pytest.raises(BundleError, match="already exists"):
        save_bundle(load_bundle(NAME), tmp_path)


def test_a_bundle_of_another_model_is_refused_by_the_generator():
    with pytest.raises(BundleError, match="bundle 'nmc811-radial': found model 'particle-radial', expected 'cba'"):
        nmcdist.generate_cba(load_bundle(PARTICLES), (8, 8, 8), 20.0, seed=1)
    with pytest.raises(BundleError, match=f"bundle '{NAME}': has no marker law"):
        nmcdist.generate_particle(load_bundle(NAME), seed=1)


def test_the_folder_of_a_training_says_where_its_bundle_is(tmp_path):
    save_bundle(load_bundle(NAME), tmp_path / "trained/bundle")
    with pytest.raises(BundleError, match=r"trained: is no bundle, but holds one; expected .*trained/bundle$"):
        load_bundle(tmp_path / "trained")


def test_generators_take_a_bundle_its_name_and_its_path_alike(tmp_path):
    volumes = [
        nmcdist.generate_cba(given, (8, 8, 8), 40.0, seed=3)
        for given in (load_bundle(NAME), NAME, save_bundle(load_bundle(NAME), tmp_path / "additive"))
    ]
    for other in volumes[1:]:
        np.testing.assert_array_equal(other, volumes[0])
    small = load_bundle(PARTICLES).with_parameters(shell_scale_nm=2 * np.sqrt(np.pi) * 1500 + 3818.24)
    path = save_bundle(small, tmp_path / "particles")
    assert nmcdist.generate_particle(str(path), seed=3).bundle_hash == small.content_hash
    for generate in (lambda b: nmcdist.generate_cba(b, (8, 8, 8), 40.0, 3), lambda b: nmcdist.generate_particle(b, 3)):
        with pytest.raises(BundleError, match="bundle 'nothing': found neither a built-in bundle nor a folder"):
            generate("nothing")


class TestTypedParameters:
    def test_are_those_of_the_model(self):
        additive, particle = load_bundle(NAME), load_bundle(PARTICLES)
        assert additive.cba() == additive.parameters
        assert particle.particle() == particle.parameters == particle.parameters_as(RadialParameters)
        assert isinstance(load_bundle("nmc811-stereological").particle(), NetParameters)

    @pytest.mark.parametrize(
        ("name", "of", "expected"),
        [
            (PARTICLES, lambda b: b.cba(), "found model 'particle-radial', expected 'cba'$"),
            (NAME, lambda b: b.particle(), "found model 'cba', expected 'particle-radial' or 'particle-net'$"),
            (
                PARTICLES,
                lambda b: b.parameters_as(NetParameters),
                "found model 'particle-radial', expected 'particle-net'$",
            ),
        ],
    )
    def test_of_another_model_are_refused(self, name, of, expected):
        with pytest.raises(BundleError, match=f"^bundle '{name}': {expected}"):
            of(load_bundle(name))
