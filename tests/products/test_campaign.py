"""Campaigns: the same proposals however they run, answers that hold, targets that are out of reach."""

import json
import shutil

import numpy as np
import pytest

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.datasets.integrity import manifest_hash, verify
from nmcdist.datasets.store import open_store
from nmcdist.design.fidelity import at_fine, corrections
from nmcdist.errors import InputError, RecipeError
from nmcdist.execution.journal import Journal, Receipt, packed
from nmcdist.models import theory
from nmcdist.models.cba import generate_cba
from nmcdist.products.campaigns.laboratory import Laboratory
from nmcdist.products.registry import parsed_recipe
from nmcdist.products.stores import build_report
from nmcdist.products.volumes.additive import Additive
from nmcdist.runs.progress import Silent
from nmcdist.runs.public import plan, run

RECIPE = {
    "kind": "campaign", "name": "campaign-test", "version": "1.0.0", "title": "A campaign",
    "bundle": "cba-cathode-2025", "seed": 7,
    "volume": {"shape": [32, 32, 32], "voxel_size_nm": 160.0},
    "space": {"parameters": {"graphite_fraction": [0.02, 0.2], "mu": [0.0, 1.2]}},
    "goal": {"targets": {"volume_fraction_solid": {"value": 0.4, "tolerance": 0.02},
                         "volume_fraction_graphite": {"value": 0.1, "tolerance": 0.02}}},
    "proposer": {"kind": "thompson", "initial": 12, "lag": 4},
    "evaluations": 24, "confirm": {"answers": 1, "realisations": 6},
    "descriptors": {"transport": False, "axes": ["z"]},
}  # fmt: skip


def parsed(**changes):
    return parsed_recipe({**RECIPE, **changes}, "recipe")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("campaign")
    return run(parsed(), out, workers=0).store


class Interrupting(Silent):
    """Interrupts a run after some tasks."""

    def __init__(self, after):
        self.after = after

    def advance(self, done):
        if done >= self.after:
            raise KeyboardInterrupt


def test_a_campaign_that_was_interrupted_proposes_the_same_points(made, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(parsed(), tmp_path, workers=0, progress=Interrupting(17))
    again = run(parsed(), tmp_path, workers=0, resume=True)
    assert again.kept == 17
    assert manifest_hash(again.store) == manifest_hash(made)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_proposes_the_same_points(made, tmp_path, workers):
    again = run(parsed(), tmp_path, workers=workers, memory="1GiB")
    assert manifest_hash(again.store) == manifest_hash(made)


def test_the_store_records_the_points_and_what_was_measured_there(made):
    assert not verify(made)
    data = open_store(made).load()
    assert data.sizes["sample"] == 30
    assert data["fidelity"].values.tolist() == [0] * 24 + [1] * 6
    for sample in (3, 20, 29):
        point = {name: float(data[name][sample]) for name in ("graphite_fraction", "mu")}
        bundle = load_bundle("cba-cathode-2025")
        intensity = theory.intensity_for_graphite_fraction(bundle.cba(), point["graphite_fraction"])
        labels = generate_cba(
            bundle.with_parameters(lambda_X_per_nm3=intensity, mu=point["mu"]), (32, 32, 32), 160.0, 7, sample
        )
        measured = float(data["volume_fraction"].sel(phase="solid")[sample])
        assert measured == (labels > 0).mean()


def test_the_answer_is_a_bundle_that_meets_the_targets(made, tmp_path):
    build_report(made, tmp_path / "answers")
    facts = json.loads((tmp_path / "answers" / "answer.json").read_text())
    (answer,) = facts["answers"]
    assert all(quantity["is_met"] for quantity in answer["quantities"].values())
    bundle = load_bundle(tmp_path / "answers" / "designed-campaign-test-1")
    fractions = theory.volume_fractions(bundle.cba())
    # The emulator of 24 windows is off by the noise of a few of them; the tolerance is 0.02.
    assert abs(fractions["solid"] - 0.4) < 0.03
    assert abs(fractions["graphite"] - 0.1) < 0.03
    assert len(facts["posterior"]["mu"]) == 1000
    build_report(made, tmp_path / "answers")  # and again, over the same bundles
    path = tmp_path / "answers" / "designed-campaign-test-1"
    shutil.rmtree(path)
    save_bundle(bundle.with_parameters(mu=0.123), path)  # as if of the recipe before a change
    build_report(made, tmp_path / "answers")
    assert load_bundle(path).content_hash == bundle.content_hash


def test_a_laboratory_that_tells_the_same_results_is_asked_for_the_same_points(made, tmp_path):
    data, record = open_store(made).load(), tmp_path / "record.csv"
    asked = 0
    while asked < 24:
        lab = Laboratory.of(parsed(), record)
        lab.ask(4)
        rows = [
            f"{k},{float(data['volume_fraction'].sel(phase='solid')[k])!r},"
            f"{float(data['volume_fraction'].sel(phase='graphite')[k])!r}"
            for k in range(asked, len(lab.places))
        ]
        told = tmp_path / "told.csv"
        told.write_text("point,volume_fraction_solid,volume_fraction_graphite\n" + "\n".join(rows) + "\n")
        assert Laboratory.of(parsed(), record).tell(told) == len(rows)
        asked = len(lab.places)
    lab = Laboratory.of(parsed(), record)
    points = np.array([list(lab.recipe.space.space.point(place).values()) for place in lab.places])
    stored = np.column_stack([data[name].values[:24] for name in ("graphite_fraction", "mu")])
    np.testing.assert_array_equal(points, stored)
    with pytest.raises(InputError, match="all 24 points"):
        lab.ask(1)


def test_a_proposal_waits_for_the_results_it_needs(tmp_path):
    lab = Laboratory.of(parsed(), tmp_path / "record.csv")
    assert len(lab.ask(20)) == 12
    with pytest.raises(InputError, match="point 0 has no result"):
        lab.ask(1)


@pytest.mark.parametrize("text, said", [
    ("point,volume_fraction_solid\n0,0.3\n", "found no column 'volume_fraction_graphite'"),
    ("point,volume_fraction_solid,volume_fraction_graphite\n99,0.3,0.1\n", "found point '99'"),
    ("point,volume_fraction_solid,volume_fraction_graphite\n0,many,0.1\n", "expected numbers, or nan"),
    ("point,volume_fraction_solid,volume_fraction_graphite\n0,0.3,\n", "expected numbers, or nan"),
    ("point,volume_fraction_solid,volume_fraction_graphite\n0,1e300,0.1\n", "solid: found 1e+300, expected a number"),
    ("point,volume_fraction_solid,volume_fraction_graphite\n0,-0.3,0.1\n", "found -0.3, expected a number from 0 to 1"),
    ("point,volume_fraction_solid,volume_fraction_graphite\n0,0,3,0.1\n", "row 2: found 4 fields, expected 3"),
    ("point;volume_fraction_solid;volume_fraction_graphite\n0;0.3;0.1\n", "with commas between"),
    ("point,volume_fraction_solid,volume_fraction_solid,volume_fraction_graphite\n0,0.3,0.4,0.1\n", "several columns"),
    ("point,volume_fraction_solid,volume_fraction_graphite\n0,\"0.3,0.1\n", "expected a table with commas"),
    ("point,volume_fraction_solid,volume_fraction_graphite\n0," + 200_000 * "9" + ",0.1\n", "field larger"),
])  # fmt: skip
def test_impossible_results_are_refused(tmp_path, text, said):
    lab = Laboratory.of(parsed(), tmp_path / "record.csv")
    lab.ask(2)
    (tmp_path / "told.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        lab.tell(tmp_path / "told.csv")
    assert said in str(caught.value)


def test_a_record_of_another_campaign_is_refused(tmp_path):
    Laboratory.of(parsed(), tmp_path / "record.csv").ask(3)
    with pytest.raises(InputError, match="is not point 0"):
        Laboratory.of(parsed(seed=8), tmp_path / "record.csv")


def test_a_target_out_of_reach_is_refused_after_the_first_design(tmp_path):
    goal = {"targets": {"volume_fraction_solid": {"value": 0.95, "tolerance": 0.01}}}
    with pytest.raises(InputError, match=r"out of reach: after 12 evaluations the nearest point is .* instead of 0.95"):
        run(parsed(goal=goal), tmp_path, workers=0)
    done = list((tmp_path / "campaign-test.run" / "receipts").iterdir())
    assert 12 <= len(done) <= 16


def test_a_failed_evaluation_does_not_stop_the_others(tmp_path, monkeypatch):
    drawn = Additive.draw

    def draw(self, bundle, recipe, item, window):
        if item == 5:
            raise InputError("no such material")
        return drawn(self, bundle, recipe, item, window)

    monkeypatch.setattr(Additive, "draw", draw)
    short = parsed(evaluations=14, confirm={"answers": 1, "realisations": 3})
    result = run(short, tmp_path, workers=0)
    assert list(result.failed) == [5]
    monkeypatch.undo()
    assert not run(short, tmp_path, workers=0, resume=True).failed


def test_a_proposal_waits_for_an_evaluation_that_failed_before_and_is_tried_again(tmp_path):
    recipe = parsed()
    made = plan(recipe, tmp_path, workers=0)
    journal = Journal(tmp_path / "campaign-test.run")
    for task in made.tasks[:16]:
        results = packed({"results": np.array([0.4, 0.1])})
        journal.write_receipt(Receipt(task=task.name, fingerprint=made.fingerprint, files={}, partials=results))
    journal.drop_receipt(made.tasks[5].name)
    journal.write_failure(made.tasks[5].name, "no such material")
    ready = made.readied([made.tasks[5], made.tasks[16]], journal)
    assert next(ready).sample == 5
    assert next(ready) is None  # proposal 16 needs evaluations 0 to 11
    journal.write_failure(made.tasks[5].name, "no such material")
    assert next(ready).sample == 16


def fine(**changes):
    """A campaign whose volumes of 160 nm are drawn again with voxels of 80 nm, one of three."""
    return parsed(**{
        "volume": {"shape": [16, 16, 16], "voxel_size_nm": 160.0},
        "goal": {"targets": {"volume_fraction_solid": {"value": 0.4, "tolerance": 0.05},
                             "surface_area_solid": {"value": 0.004, "relative": 0.2}}},
        "proposer": {"kind": "thompson", "initial": 8, "lag": 2}, "evaluations": 18,
        "confirm": {"answers": 1, "realisations": 3},
        "fidelities": [{"voxel_size_nm": 80.0, "every": 3}], **changes,
    })  # fmt: skip


@pytest.fixture(scope="module")
def made_fine(tmp_path_factory):
    return run(fine(), tmp_path_factory.mktemp("fine"), workers=0).store


def quantities(data, samples):
    names = ("volume_fraction", "surface_area")
    return np.column_stack([data[name].sel(phase="solid").values[samples] for name in names])


def test_fine_volumes_are_the_realisations_of_their_partners_and_confirmations_are_fresh(made_fine):
    data = open_store(made_fine).load()
    assert data["fidelity"].values.tolist() == [0] * 18 + [1] * 6 + [2] * 3
    assert data["voxel_size_nm"].values.tolist() == [160.0] * 18 + [80.0] * 9
    bundle = load_bundle("cba-cathode-2025")
    for sample in (4, 18, 23, 26):
        intensity = theory.intensity_for_graphite_fraction(bundle.cba(), float(data["graphite_fraction"][sample]))
        changed = bundle.with_parameters(lambda_X_per_nm3=intensity, mu=float(data["mu"][sample]))
        partner, size = int(data["partner"][sample]), float(data["voxel_size_nm"][sample])
        labels = generate_cba(changed, (round(2560 / size),) * 3, size, 7, partner)
        assert float(data["volume_fraction"].sel(phase="solid")[sample]) == (labels > 0).mean()
        assert float(data["mu"][partner]) == float(data["mu"][sample])


def test_proposals_are_those_of_results_corrected_by_the_pairs_known_by_then(made_fine):
    data, recipe = open_store(made_fine).load(), fine()
    coarse, partner = quantities(data, slice(18)), data["partner"].values[18:24]
    again, space, proposer = quantities(data, slice(18, 24)), recipe.space.space, recipe.proposer_of_points
    places = np.column_stack([(data[name].values[:18] - low) / (high - low) for name, low, high
                              in zip(space.names, space.low, space.high, strict=True)]).round(6)  # fmt: skip
    moved = 0
    for number in range(8, 18):
        known = partner < number - 2
        lines = corrections(proposer.quantities, coarse[partner[known]], again[known])
        proposed = proposer.propose(number, places, at_fine(lines, coarse))
        np.testing.assert_array_equal(proposed, places[number])
        lines = corrections(proposer.quantities, coarse[partner], again)
        moved += not np.array_equal(proposer.propose(number, places, at_fine(lines, coarse)), proposed)
    assert moved  # so corrections by pairs of later evaluations are noticed


@pytest.mark.slow
def test_a_campaign_with_fine_volumes_that_was_interrupted_proposes_the_same_points(made_fine, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(fine(), tmp_path, workers=0, progress=Interrupting(15))
    again = run(fine(), tmp_path, workers=0, resume=True)
    assert manifest_hash(again.store) == manifest_hash(made_fine)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_any_number_of_workers_proposes_the_same_points_from_fine_volumes(made_fine, tmp_path, workers):
    again = run(fine(), tmp_path, workers=workers, memory="1GiB")
    assert manifest_hash(again.store) == manifest_hash(made_fine)


def test_the_answer_of_a_campaign_with_fine_volumes_is_at_the_fine_voxels(made_fine, tmp_path):
    page = build_report(made_fine, tmp_path / "answers")
    correction = json.loads((tmp_path / "answers" / "answer.json").read_text())["correction"]
    data = open_store(made_fine).load()
    coarse, again = quantities(data, data["partner"].values[18:24]), quantities(data, slice(18, 24))
    for k, name in enumerate(("volume_fraction_solid", "surface_area_solid")):
        slope, intercept = np.polyfit(coarse[:, k], again[:, k], 1)
        found = correction[name]
        np.testing.assert_allclose([found["a"], found["b"]], [intercept, slope], rtol=1e-6)
        assert found["pairs"] == 6
        assert found["correlation"] == pytest.approx(np.corrcoef(coarse[:, k], again[:, k])[0, 1])
    assert "6 of 18 volumes were drawn again with voxels of 80 nm" in page.read_text()
    assert "differ in voxels or window" not in page.read_text()


class Told:
    """A campaign whose evaluations are told: coarse ones scatter from 0.1 to 0.2, fine ones are larger by a shift."""

    def __init__(self, folder, recipe, shift):
        self.recipe, self.shift, self.plan = recipe, shift, plan(recipe, folder, workers=0)
        self.journal = Journal(folder / "campaign-test.run")

    def tell(self, samples):
        for sample in samples:
            item = self.recipe.item(sample)
            value = 0.1 + 0.1 * (item.partner * 0.618 % 1) + self.shift * item.fidelity
            results = packed({"results": np.array([value])})
            self.journal.write_receipt(
                Receipt(
                    task=self.plan.tasks[sample].name, fingerprint=self.plan.fingerprint, files={}, partials=results
                )
            )

    def place(self, number):
        """Return the point of an evaluation."""
        task = next(iter(self.plan.readied([self.plan.tasks[number]], self.journal)))
        return None if task is None else task.point


SOLID = {"targets": {"volume_fraction_solid": {"value": 0.4, "tolerance": 0.02}}}


def test_targets_are_within_reach_by_corrected_results_of_the_first_design_and_its_pairs_alone(tmp_path):
    recipe = fine(goal=SOLID)
    pairs = recipe.pairs(8)[:, 1].tolist()
    above = Told(tmp_path / "above", recipe, 0.25)
    above.tell([*range(10), *pairs])
    assert above.place(10) is not None
    below = Told(tmp_path / "below", recipe, 0.0)
    below.tell([*range(18), *range(18, 24)])
    with pytest.raises(InputError, match="out of reach: after 8 evaluations"):
        below.place(10)


def test_a_proposal_waits_for_fine_volumes_and_leaves_out_those_that_failed(tmp_path):
    recipe, places = fine(goal=SOLID), []
    pairs = recipe.pairs(8)[:, 1].tolist()
    for name, is_failed in (("failed", True), ("told", False)):
        told = Told(tmp_path / name, recipe, 0.25)
        told.tell([*range(8), *pairs[:-1]])
        assert told.place(10) is None
        if is_failed:
            told.journal.write_failure(told.plan.tasks[pairs[-1]].name, "no such material")
        else:
            told.shift = 0.2
            told.tell(pairs[-1:])
        places.append(told.place(10))
    assert all(place is not None for place in places)
    assert places[0] != places[1]


def test_the_plan_holds_the_memory_of_fine_volumes_and_says_how_many(tmp_path):
    coarse = plan(fine(fidelities=[]), tmp_path, workers=0)
    again = plan(fine(volume={"shape": [160, 160, 160], "voxel_size_nm": 160.0}), tmp_path, workers=0)
    whole = plan(fine(fidelities=[], volume={"shape": [320, 320, 320], "voxel_size_nm": 80.0}), tmp_path, workers=0)
    assert again.task_bytes == whole.task_bytes
    assert "27 = 18 points of graphite_fraction, mu x 1 realisations, 6 of them again with voxels of 80 nm, and 1 " in (
        again.summary()
    )
    assert "21 = 18 points" in coarse.summary()


def test_ask_and_tell_refuse_fine_volumes(tmp_path):
    with pytest.raises(InputError, match="fidelities: found one, expected none with ask and tell"):
        Laboratory.of(fine(), tmp_path / "record.csv")


@pytest.mark.parametrize("change, said", [
    ({"fidelities": [{"voxel_size_nm": 80.0}, {"voxel_size_nm": 40.0}]}, "fidelities: found 2, expected at most one"),
    ({"fidelities": [{"voxel_size_nm": 320.0}]}, "found 320, expected less than volume.voxel_size_nm, 160"),
    ({"goal": {}}, "expected targets or a pareto goal"),
    ({"goal": {"targets": {"colour": {"value": 1.0}}}}, "targets.colour: unknown quantity"),
    ({"goal": {"pareto": {"m_factor_pore": "maximise"}}}, "expected at least two"),
    ({"goal": {"targets": {"m_factor_pore": {"value": 0.3}}}}, "transport: found false, expected true"),
    ({"space": {"parameters": {"mu": [1.0, 0.0]}}}, "expected [lowest, highest]"),
    ({"space": {"parameters": {"graphite_fraction": [0.1, 0.2], "lambda_X_per_nm3": [1e-12, 1e-11]}}},
     "lambda_X_per_nm3: found one beside graphite_fraction"),
    ({"goal": {"targets": {"volume_fraction_solid": {"value": 35.0}}}}, "found 35, expected at most 1"),
    ({"space": {"parameters": {"graphite_fraction": [0.0, 0.5]}}}, "numbers in (0, 1)"),
    ({"sweep": {"mu": [1.0]}}, "sweep: found one, expected none"),
    ({"evaluations": 9}, "proposer.initial: found 12"),
    ({"storage": {"volumes": True}}, "storage.volumes: found true"),
])  # fmt: skip
def test_impossible_campaigns_are_refused(change, said):
    with pytest.raises(RecipeError) as caught:
        parsed(**change)
    assert said in str(caught.value)


def test_a_space_of_unknown_parameters_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"space.parameters.nu"):
        run(parsed(space={"parameters": {"nu": [0.0, 1.0]}}), tmp_path, workers=0)
