"""A model of one's own: registered, its bundles are saved, loaded, checked and shown like the others."""

import json
import sys
from typing import Annotated

import pytest
from pydantic import Field

from nmcdist import cli
from nmcdist.bundle import (
    Bundle,
    CbaParameters,
    Parameters,
    load_bundle,
    parameters,
    quantity,
    register_model,
    save_bundle,
)
from nmcdist.errors import BundleError

Positive = Annotated[float, Field(gt=0)]


class FibreParameters(Parameters):
    """A Boolean model of fibres."""

    intensity_per_nm3: Positive = quantity("nm^-3", "intensity of the fibres")
    radius_nm: Positive = quantity("nm", "radius of the fibres")
    lengths_nm: tuple[Positive, Positive] = quantity("nm", "least and largest length", default=(1000.0, 2000.0))


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(parameters, "_MODELS", dict(parameters._MODELS))


@pytest.fixture
def fibres():
    register_model("rods", FibreParameters)
    values = FibreParameters(intensity_per_nm3=2e-11, radius_nm=75.0)
    return Bundle.of("thin-fibres", "Thin fibres", values, licence="CC0-1.0", source="chosen for a test")


def test_its_bundle_holds_values_units_and_provenance(fibres):
    assert fibres.model == "rods"
    assert {name: (r.value, r.unit, r.provenance, r.source) for name, r in fibres.values.items()} == {
        "intensity_per_nm3": (2e-11, "nm^-3", "assumed", "chosen for a test"),
        "radius_nm": (75.0, "nm", "assumed", "chosen for a test"),
    }
    assert fibres.parameters == FibreParameters(intensity_per_nm3=2e-11, radius_nm=75.0)
    assert fibres.parameters_as(FibreParameters).lengths_nm == (1000.0, 2000.0)


def test_its_bundle_is_saved_and_loaded_as_the_same(fibres, tmp_path):
    longer = fibres.with_parameters(lengths_nm=(3000.0, 4000.0))
    for bundle in (fibres, longer):
        read = load_bundle(save_bundle(bundle, tmp_path / bundle.content_hash[:8]))
        assert read == bundle
        assert read.content_hash == bundle.content_hash
    assert read.parameters_as(FibreParameters).lengths_nm == (3000.0, 4000.0)
    assert longer.content_hash != fibres.content_hash


def test_its_bundle_is_checked_like_others(fibres, tmp_path):
    with pytest.raises(BundleError, match="bundle 'thin-fibres': radius_nm: Input should be greater than 0"):
        fibres.with_parameters(radius_nm=-1.0)
    with pytest.raises(BundleError, match="unknown parameter 'radius'; did you mean radius_nm"):
        fibres.with_parameters(radius=1.0)
    folder = save_bundle(fibres, tmp_path / "b")
    content = json.loads((folder / "bundle.json").read_text())
    content["parameters"]["radius_nm"]["unit"] = "um"
    (folder / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match=r"parameters\.radius_nm\.unit: found 'um', expected 'nm'"):
        load_bundle(folder)


def test_its_bundle_is_for_no_other_model(fibres):
    with pytest.raises(BundleError, match="bundle 'thin-fibres': found model 'rods', expected 'cba'"):
        fibres.cba()
    with pytest.raises(BundleError, match="bundle 'cba-cathode-2025': found model 'cba', expected 'rods'"):
        load_bundle("cba-cathode-2025").parameters_as(FibreParameters)


def test_its_bundle_is_shown_and_verified_on_the_command_line(fibres, tmp_path, monkeypatch, capsys):
    folder = save_bundle(fibres, tmp_path / "b")

    def said(*arguments):
        monkeypatch.setattr(sys, "argv", ["nmcdist", "bundle", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    code, shown, _ = said("show", str(folder))
    assert code == 0
    assert json.loads(shown)["parameters"]["radius_nm"] == {
        "value": 75.0, "unit": "nm", "provenance": "assumed", "source": "chosen for a test"
    }  # fmt: skip
    assert said("verify", str(folder))[:2] == (0, f"{folder}: whole, model rods, sha256 {fibres.content_hash}\n")
    # Where nothing registers the model, its name and those that are known are said.
    parameters._MODELS.pop("rods")
    code, _, fault = said("show", str(folder))
    assert code == 2
    assert "model: unknown model, expected one of cba, particle-radial, particle-net" in fault  # and others that are
    assert fault.rstrip().endswith("(found 'rods')")  # registered in this process
    assert len(fault.splitlines()) == 1
    with pytest.raises(BundleError, match="model 'rods': unknown, expected one of cba, particle-radial"):
        fibres.parameters  # noqa: B018


def test_a_name_is_taken_once_but_a_definition_may_be_run_again(fibres):
    register_model("rods", FibreParameters)
    again = type("FibreParameters", (FibreParameters,), {"__module__": __name__})
    register_model("rods", again)
    assert type(fibres.parameters) is again
    with pytest.raises(BundleError, match="model 'cba': is already registered, with CbaParameters, expected another"):
        register_model("cba", FibreParameters)
    assert type(load_bundle("cba-cathode-2025").parameters) is CbaParameters


def test_what_is_no_record_of_parameters_with_units_is_refused():
    class Unitless(Parameters):
        radius_nm: float

    with pytest.raises(BundleError, match="model 'bare': parameter 'radius_nm' has no unit, expected a field made by"):
        register_model("bare", Unitless)
    for found in (dict, FibreParameters(intensity_per_nm3=1.0, radius_nm=1.0)):
        with pytest.raises(BundleError, match=r"model 'bare': found parameters .*, expected a subclass of Parameters"):
            register_model("bare", found)
    with pytest.raises(BundleError, match="parameters FibreParameters: found no model, expected one that is reg"):
        Bundle.of("b", "B", FibreParameters(intensity_per_nm3=1.0, radius_nm=1.0), licence="CC0-1.0")
