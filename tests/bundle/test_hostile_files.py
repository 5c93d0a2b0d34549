"""Bundle files that are not what they should be: refused in one line, soon, and with little memory."""

import json
import os
import struct

import numpy as np
import pytest
from safetensors.numpy import save

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.bundle.files import JSON_LIMIT
from nmcdist.bundle.schema import array_digest, validated
from nmcdist.errors import BundleError
from tests.bundle.test_bundle import layers, net_content

NAME = "cba-cathode-2025"


def refused(folder):
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400
    return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    return save_bundle(load_bundle(NAME), tmp_path / "copy")


@pytest.fixture
def net(tmp_path):
    arrays = layers(60, 8, 4)
    return save_bundle(validated(net_content(arrays), "net").with_arrays(arrays), tmp_path / "net")


def edited(folder, old, new):
    path = folder / "bundle.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"value": 1.971', '"value": true', "gamma_per_nm"),
        ('"schema_version": 1', '"schema_version": true', "found schema_version True, expected 1"),
        ('"schema_version": 1', '"schema_version": 1.0', "found schema_version 1.0, expected 1"),
        ('"schema_version": 1', '"schema_version": "1"', "found schema_version '1', expected 1"),
        ('"schema_version": 1', '"schema_version": 1, "schema_version": 1', "'schema_version' is given twice"),
        ('"licence"', '"license"', "license: unknown field; did you mean licence"),
        ('"mu"', '"mju"', "mju: unknown field; did you mean mu"),
        ('"licence": "', '"licence": "\\u001b[2J', "licence: expected one line of printable text"),
        ('"title": "', '"title": "\\ud800', "title: expected one line of printable text"),
        ('"licence": "', '"licence": "CC-BY-4.0\\n', "licence: expected one line of printable text"),
    ],
)
def test_description_takes_no_value_for_another(folder, old, new, complaint):
    if old.startswith('"value"'):
        content = json.loads((folder / "bundle.json").read_text())
        old = f'"value": {content["parameters"]["gamma_per_nm"]["value"]}'
    assert complaint in refused(edited(folder, old, new))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("NaN", "found NaN, expected a finite number"), ("-Infinity", "found -Infinity, expected a finite number"),
        ("1e999", "too large for a number of 64 bits"), ("9" * 10_000, "an integer beyond 64 bits"),
        ("true", "parameters.mu.value"), ('"0.5"', "parameters.mu.value"), ("null", "parameters.mu.value"),
        ("[0.5]", "mu: Input should be a valid number"), ("1e60", "magnitude from 1e-40 to 1e40"),
    ],
)  # fmt: skip
def test_value_that_is_no_finite_number_is_refused(folder, text, complaint):
    value = json.loads((folder / "bundle.json").read_text())["parameters"]["mu"]["value"]
    assert complaint in refused(edited(folder, f'"value": {value}', f'"value": {text}'))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lambda_X_per_nm3", -1.0), ("lambda_X_per_nm3", 0.0), ("alpha_1", 1e300), ("alpha_2", 1e-6),
        ("gamma_per_nm", 1e-60), ("eta_per_nm", 1e60), ("theta_per_nm", -1e-3), ("mu", 1e60),
        ("lambda_Y_per_nm3", 0.0),
    ],
)  # fmt: skip
def test_parameter_out_of_its_range_is_named(name, value):
    with pytest.raises(BundleError, match=name):
        load_bundle(NAME).with_parameters(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shell_sigma", 1000.0), ("shell_scale_nm", 1e60), ("shell_location_nm", 1e60), ("scale_noise", 300.0),
        ("grain_intensity_per_nm3", 1e60), ("offset_range_nm2", -1.0), ("shell_minimum_volume_nm3", 1e60),
    ],
)  # fmt: skip
def test_parameter_of_particles_out_of_its_range_is_named(name, value):
    with pytest.raises(BundleError, match=name):
        load_bundle("nmc811-radial").with_parameters(**{name: value})


def test_description_is_an_ordinary_bounded_file(folder):
    path = folder / "bundle.json"
    path.write_text("[" * 100_000)
    assert "nested too deeply" in refused(folder)
    path.write_text('{"a": 1,' * 10)
    assert "not valid JSON" in refused(folder)
    path.write_bytes("{}".encode("utf-16"))
    assert "it is UTF-16" in refused(folder)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**30)
    assert f"expected at most {JSON_LIMIT}" in refused(folder)
    path.unlink()
    os.mkfifo(path)
    assert "is a named pipe" in refused(folder)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "is a device" in refused(folder)


def test_bundle_is_no_url_and_a_typo_gets_the_name():
    assert "is a URL" in refused("s3://bucket/bundle")
    assert "; did you mean cba-cathode-2025?" in refused("cba-cathode-2026")
    assert "bundle 'aaaa" in refused("a" * 10_000)


def resealed(folder, arrays):
    """Write arrays and their digests, so that only what they hold can be refused."""
    content = json.loads((folder / "bundle.json").read_text())
    for name, array in arrays.items():
        content["arrays"][name].update(sha256=array_digest(array), shape=list(array.shape))
    del content["content_hash"]
    content["content_hash"] = validated(content, "net").content_hash
    (folder / "bundle.json").write_text(json.dumps(content))
    (folder / "arrays.safetensors").write_bytes(save(arrays))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["weight_0", "bias_1"])
def test_weights_that_are_not_finite_are_refused(net, name, value):
    arrays = layers(60, 8, 4)
    arrays[name].flat[1] = value
    resealed(net, arrays)
    assert f"array '{name}' has entries that are not finite numbers" in refused(net)


def packed(entries, data=None, header=None):
    """Return a file of safetensors by its published layout: length of the header, header, bytes."""
    text = json.dumps(entries).encode() if header is None else header
    return struct.pack("<Q", len(text)) + text + (b"\0" * 2096 if data is None else data)


def entries_with(**changes):
    places = {"weight_0": ([8, 60], 1920), "bias_0": ([8], 32), "weight_1": ([4, 8], 128), "bias_1": ([4], 16)}
    entries, start = {}, 0
    for name, (shape, size) in places.items():
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, start + size]}
        start += size
    for name, change in changes.items():
        entries[name] = {**entries.get(name, {}), **change}
    return entries


def test_a_file_by_the_published_layout_is_read_up_to_its_digest(net):
    (net / "arrays.safetensors").write_bytes(packed(entries_with()))
    assert "does not match its sha256" in refused(net)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (packed(entries_with(weight_0={"dtype": "BF16", "shape": [16, 60]})), "is BF16 (16, 60), expected F32"),
        (packed(entries_with(weight_0={"dtype": "F8_E4M3", "shape": [32, 60]})), "is F8_E4M3"),
        (packed(entries_with(weight_0={"dtype": "F16", "shape": [8, 120]})), "is F16"),
        (packed(entries_with(weight_0={"dtype": "I32"})), "is I32 (8, 60), expected F32 (8, 60)"),
        (packed(entries_with(weight_0={"shape": [60, 8]})), "is F32 (60, 8), expected F32 (8, 60)"),
        (packed(entries_with(more={"dtype": "F32", "shape": [0], "data_offsets": [2096, 2096]})), "found arrays"),
        (
            packed({k: v for k, v in entries_with().items() if k != "bias_1"}, b"\0" * 2080),
            "found arrays ['bias_0', 'weight_0', 'weight_1'], expected",
        ),
        (packed(entries_with(bias_1={"data_offsets": [0, 16]})), "cannot be read"),
        (packed(entries_with(bias_1={"data_offsets": [2080, 2**62]})), "cannot be read"),
        (packed(entries_with(weight_0={"shape": [2**40, 2**40]})), "cannot be read"),
        (struct.pack("<Q", 2**63) + b"{}" + b"\0" * 2096, "cannot be read"),
        (struct.pack("<Q", 2**20) + b"{}" + b"\0" * 2096, "cannot be read"),
        (packed(None, header=b"[" * 100_000), "cannot be read"),
        (packed(None, header=b"\xff" * 100), "cannot be read"),
        (b"", "has 0 bytes, expected 2096 of arrays and a header"),
    ],
)  # fmt: skip
def test_hostile_arrays_are_refused(net, content, complaint):
    (net / "arrays.safetensors").write_bytes(content)
    assert complaint in refused(net)


def test_arrays_are_an_ordinary_bounded_file(net):
    path = net / "arrays.safetensors"
    with path.open("ab") as file:
        file.truncate(2**34)
    assert "has 17179869184 bytes" in refused(net)
    path.unlink()
    os.mkfifo(path)
    assert "is a named pipe" in refused(net)
