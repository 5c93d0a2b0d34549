"""Interventions in a store: the same realisation without some of its parts, solved like the full one."""

import pytest

from nmcdist.bundle import load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine
from nmcdist.datasets.store import open_store
from nmcdist.descriptors.transport import solve_conduction
from nmcdist.errors import PlanError, RecipeError
from nmcdist.learning.intervention import intervene
from nmcdist.models.cba import draw_parts
from nmcdist.models.interventions import INTERVENTIONS
from nmcdist.products.registry import make_plan, parsed_recipe
from nmcdist.products.stores import build_report
from nmcdist.runs.redescribe import describe_store
from nmcdist.runs.run import run_recipe
from nmcdist.virtual import freeze
from tests.conftest import BUNDLE, HERE, StopsAfter, explains_itself, store_sha256

ALL = ["without_graphite", "graphite_alone", "without_large_pores"]
RECIPE = {
    "name": "parts", "version": "1.0.0", "title": "Parts", "bundle": BUNDLE, "seed": 5,
    "volume": {"shape": [16, 14, 18], "voxel_size_nm": 80.0},
    "design": {"kind": "sobol", "count": 4, "parameters": {
        "graphite_fraction": [0.05, 0.2], "mu": [0.3, 1.2], "large_pore_fraction": [0.05, 0.3]}},
    "interventions": ALL,
    "descriptors": {"axes": ["x", "z"], "max_lag_nm": 320.0, "max_radius_nm": 320.0},
    "storage": {"chunk": 16},
}  # fmt: skip
BASELINE = {"kind": "level-cut", "design": None, "bundle": "level-cut-example"}


def parsed(**changes):
    return parsed_recipe({**RECIPE, **changes}, "recipe")


def make(out, deployment=HERE, recipe=None, **options):
    recipe = recipe or parsed()
    run_recipe(recipe, load_bundle(BUNDLE), out, deployment, **options)
    return out / f"{recipe.name}.zarr"


def solved(data, sample, shape, voxel_nm, name):
    """M-factors along x and z of a sample's realisation, drawn from the parts that an intervention leaves."""
    point = {p: float(data[p][sample]) for p in ("lambda_X_per_nm3", "lambda_Y_per_nm3", "mu")}
    parameters, stream = load_bundle(BUNDLE).with_parameters(**point).cba(), int(data["stream"][sample])
    volume = draw_parts(parameters, shape, voxel_nm, 5, stream, (0, 0, 0), INTERVENTIONS[name])
    return [solve_conduction(volume, {0: 1.0}, axis).m_factor for axis in (2, 0)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make(tmp_path_factory.mktemp("parts"))


def test_a_store_holds_what_its_parts_give_bit_for_bit(store):
    explains_itself(store)
    data = open_store(store).load()
    found = data["m_factor_pore_intervened"]
    assert found.dims == ("sample", "intervention", "axis")
    assert found.dtype == data["m_factor"].dtype and found.attrs["units"] == "1"
    for sample in range(4):
        for name in ALL:
            expected = solved(data, sample, (16, 14, 18), 80.0, name)
            assert found.sel(intervention=name)[sample].values.tolist() == expected
    full = data["m_factor"].sel(conduction="pore").values
    assert (found.sel(intervention="without_graphite").values >= full).all()  # what is taken out opens paths
    assert (found.sel(intervention="without_large_pores").values <= full).all()


def test_the_function_gives_the_numbers_of_the_store(tmp_path):
    one = parsed(design=None, volume={"shape": [16] * 3, "voxel_size_nm": 80.0}, descriptors={})
    data = open_store(make(tmp_path, recipe=one)).load()
    found = intervene(BUNDLE, (16, 16, 16), 80.0, 5, [0])
    assert found["full"][0] == data["m_factor"].sel(conduction="pore").values[0].mean()
    for name in ALL:
        assert found[name][0] == data["m_factor_pore_intervened"].sel(intervention=name).values[0].mean()


def test_volumes_of_another_voxel_size_are_intervened_in_too(tmp_path):
    recipe = parsed(
        volume={"shape": [16, 16, 16], "voxel_size_nm": 80.0}, interventions=["graphite_alone"],
        fidelities=[{"voxel_size_nm": 40.0, "every": 4}], storage={"volumes": False},
    )  # fmt: skip
    data = open_store(make(tmp_path, recipe=recipe)).load()
    assert data["fidelity"].values.tolist() == [0] * 4 + [1]
    for sample, shape, voxel_nm in ((0, (16,) * 3, 80.0), (4, (32,) * 3, 40.0)):
        found = data["m_factor_pore_intervened"][sample, 0].values.tolist()
        assert found == solved(data, sample, shape, voxel_nm, "graphite_alone")


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same_bytes(store, tmp_path, workers):
    there = Deployment(workers=workers, threads_per_worker=1, memory_per_worker="1GiB", dashboard=False)
    assert store_sha256(make(tmp_path, there)) == store_sha256(store)


def test_a_run_that_was_interrupted_gives_the_same_bytes(store, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, progress=StopsAfter(2))
    assert store_sha256(make(tmp_path, resume=True)) == store_sha256(store)


def test_a_recipe_without_interventions_reads_as_before():
    assert "interventions" not in parsed(interventions=[]).content
    assert parsed().content["interventions"] == ALL


def test_the_report_has_a_row_for_each_intervention_and_the_product_rule(store, tmp_path):
    page = build_report(store, tmp_path / "report").read_text()
    section = page.split("## What each part does to the pores")[1]
    data = open_store(store).load()
    for name in ALL:
        mean = float(data["m_factor_pore_intervened"].sel(intervention=name).mean())
        assert f"| {name.replace('_', ' ')} | 4 | {mean:.4f} |" in section
    assert "against the full M of 4 volumes" in section


@pytest.mark.parametrize("change, said", [
    ({"interventions": ["without_graphite"] * 2}, "found 'without_graphite' twice, expected each value once"),
    ({"interventions": ["without_binder"]}, "interventions"),
    ({"descriptors": {"transport": False}}, "interventions: found some without M-factors"),
    ({"descriptors": None}, "interventions: found some without M-factors"),
    (BASELINE, "interventions"),
    ({"kind": "comparison", "design": None}, "interventions"),
    ({"kind": "campaign", "design": None, "space": {"parameters": {"mu": [0.0, 1.0]}}, "storage": {"volumes": False},
      "goal": {"targets": {"m_factor_pore": {"value": 0.3}}}}, "interventions: found some, expected none: a campaign"),
])  # fmt: skip
def test_impossible_interventions_are_refused(change, said):
    with pytest.raises(RecipeError) as caught:
        parsed(**change)
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_volumes_that_fit_no_worker_are_refused_and_not_made_in_blocks(tmp_path):
    small = Deployment(workers=1, memory_per_worker="8GiB")
    for names, by_blocks in (([], True), (["graphite_alone"], False)):
        recipe = parsed(volume={"shape": [1024] * 3, "voxel_size_nm": 20.0}, interventions=names)
        plan = make_plan(recipe, load_bundle(BUNDLE), tmp_path, small, machine=Machine(cores=8, memory=2**36))
        assert plan.by_blocks == by_blocks
    with pytest.raises(PlanError, match="or neither fidelities nor interventions, which need whole volumes"):
        plan.validate()


def test_a_volume_stays_in_memory_while_it_is_drawn_again(tmp_path):
    whole = {"volume": {"shape": [512] * 3, "voxel_size_nm": 80.0}}
    need = [make_plan(parsed(interventions=names, **whole), load_bundle(BUNDLE), tmp_path).task_bytes
            for names in ([], ALL)]  # fmt: skip
    assert need[1] - need[0] == 512**3


def test_what_cannot_draw_parts_again_refuses_them(store, tmp_path):
    with pytest.raises(RecipeError, match=r"interventions: found without_graphite.* expected none: they are drawn"):
        describe_store(store, HERE, changes={"max_lag_nm": 160.0})
    with pytest.raises(RecipeError, match="descriptors: found options, expected none"):
        freeze(parsed(storage={"shard": None}), load_bundle(BUNDLE), tmp_path / "virtual.zarr")
