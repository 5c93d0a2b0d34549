"""Bundles: data only, checked whole, refused with one line when anything is off."""

import json

import numpy as np
import pytest

import nmcdist
from nmcdist.bundle import ArrayRecord, list_bundles, load_bundle, save_bundle
from nmcdist.bundle.files import load_arrays
from nmcdist.bundle.schema import array_digest
from nmcdist.errors import BundleError

NAME = "cba-cathode-2025"


@pytest.fixture
def folder(tmp_path):
    return save_bundle(load_bundle(NAME), tmp_path / "copy")


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


def test_arrays_travel_as_safetensors_and_are_checked(tmp_path):
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    record = ArrayRecord(shape=(3, 4), dtype="float32", unit="1", provenance="fitted", sha256=array_digest(weights))
    bundle = load_bundle(NAME).model_copy(update={"arrays": {"weights": record}})
    folder = save_bundle(bundle, tmp_path / "b", {"weights": weights})
    assert np.array_equal(load_arrays(folder)["weights"], weights)
    blob = bytearray((folder / "arrays.safetensors").read_bytes())
    blob[-1] ^= 1
    (folder / "arrays.safetensors").write_bytes(blob)
    with pytest.raises(BundleError, match="'weights' does not match its sha256"):
        load_bundle(folder)
    (folder / "arrays.safetensors").write_bytes(blob[:20])
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(folder)


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
    with pytest.raises(BundleError, match="exists already"):
        save_bundle(load_bundle(NAME), tmp_path)


def test_a_bundle_of_another_model_is_refused_by_the_generator():
    other = load_bundle(NAME).model_copy(update={"model": "particle"})
    with pytest.raises(BundleError, match="found model 'particle', expected 'cba'"):
        nmcdist.generate_cba(other, (8, 8, 8), 20.0, seed=1)
