"""The command line: one clear line and exit status 2 for what is refused, 1 for failed items, 0 for done."""

import json
import os
import re
import subprocess
import sys
import time

import click
import numpy as np
import pytest
import yaml

from nmcdist import cli
from nmcdist.bundle import Bundle, load_bundle, save_bundle
from nmcdist.calibration.grains.recipe import GrainRecipe
from nmcdist.errors import RecipeError, StoreError
from nmcdist.faults import load_checked
from tests.conftest import BUNDLE, SMALL, TINY, flip_a_byte, store_sha256


@pytest.fixture
def nmcdist(monkeypatch, capsys):
    """Call the command line in this process; returns exit status, standard output and error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nmcdist", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return call


@pytest.fixture
def recipe(tmp_path):
    def write(**changes):
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump({**TINY, **changes}))
        return path

    return write


def refused(result, complaint):
    code, _, errors = result
    lines = [line for line in errors.splitlines() if not line.startswith("{")]
    assert code == 2
    assert len(lines) == 1, errors
    assert lines[0].startswith("nmcdist: error: ")
    assert complaint in lines[0]
    return True


def test_help_answers_in_half_a_second():
    def seconds():
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "nmcdist.cli", "--help"], check=True, capture_output=True)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 0.5


def test_help_imports_nothing_heavy():
    code = (
        "import sys, nmcdist.cli;"
        "print([m for m in ('numpy', 'zarr', 'dask', 'xarray', 'numba', 'yaml') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_plan_prints_the_run_and_writes_nothing(nmcdist, recipe, tmp_path):
    code, said, _ = nmcdist("plan", recipe(), "--out", tmp_path / "out", "--memory", "4GiB", "--workers", 1)
    assert code == 0
    for fact in ("4 = 2 values of graphite_fraction x 2 realisations", "24 x 20 x 28 voxels of 80 nm, made whole",
                 "tasks", "memory per task", "volume_fraction"):  # fmt: skip
        assert fact in said
    assert not (tmp_path / "out").exists()


def test_what_cannot_run_is_not_measured(nmcdist, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("nmcdist.runs.estimate.measure", lambda *args: pytest.fail("tasks were made"))
    assert refused(nmcdist("plan", recipe(), "--out", tmp_path, "--memory", "100MiB", "--measure"), "memory: a task")


def test_run_makes_the_dataset_and_says_what_it_did(nmcdist, recipe, made_once, tmp_path):
    code, said, errors = nmcdist("run", recipe(), "--out", tmp_path / "out", "--workers", 0)
    assert code == 0
    assert "whole, 4 tasks done, 0 kept, manifest sha256" in said
    events = [json.loads(line) for line in errors.splitlines()]
    assert [e["done"] for e in events if e["event"] == "progress"] == [1, 2, 3, 4]
    assert store_sha256(tmp_path / "out/tiny.zarr") == store_sha256(made_once / "tiny.zarr")


def test_every_fault_of_a_recipe_has_its_line(nmcdist, recipe, tmp_path):
    code, _, errors = nmcdist("run", recipe(seed=-1, colour="red"), "--out", tmp_path / "out")
    assert code == 2
    assert [line.split(": ")[3] for line in errors.splitlines()] == ["seed", "colour"]
    assert not (tmp_path / "out").exists()


def test_what_cannot_run_is_refused_in_one_line_before_anything_is_written(nmcdist, recipe, tmp_path):
    out = tmp_path / "out"
    assert refused(nmcdist("run", tmp_path / "no.yaml", "--out", out), "no such file")
    assert refused(nmcdist("run", recipe(bundle="ghost"), "--out", out), "'ghost'")
    assert refused(nmcdist("run", recipe(sweep={"nu": [1.0]}), "--out", out), ".yaml: sweep.nu: ")
    assert refused(nmcdist("plan", recipe(sweep={"graphite_fracton": [0.1]})), ".yaml: sweep.graphite_fracton: ")
    assert refused(nmcdist("run", recipe(), "--out", out, "--memory", "100MiB"), "memory: a task")
    assert refused(nmcdist("run", recipe(), "--out", out, "--memory", "much"), "memory_per_worker: found 'much'")
    assert refused(nmcdist("run", recipe(), "--out", out, "--workers", -1), "workers: found -1")
    assert refused(nmcdist("run", recipe(), "--out", out, "--cluster", "no.yaml"), "no such file")
    assert refused(nmcdist("run", recipe(), "--out", recipe() / "out"), "is a file, expected a folder")
    for part in ("", "0/2", "3/2", "1"):
        assert refused(nmcdist("run", recipe(), "--out", out, "--partition", part), f"partition: found '{part}'")
    assert not out.exists()


def test_a_damaged_bundle_is_refused(nmcdist, recipe, tmp_path):
    folder = save_bundle(load_bundle(BUNDLE), tmp_path / "mine")
    path = folder / "bundle.json"
    path.write_text(path.read_text().replace("0.4988", "0.4989").replace('"value": 0.', '"value": 1.', 1))
    assert refused(nmcdist("run", recipe(bundle="mine"), "--out", tmp_path / "out"), "content_hash")
    assert refused(nmcdist("bundle", "verify", folder), "content_hash")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused(nmcdist, recipe):
    # Not even the superuser makes folders here.
    code, _, errors = nmcdist("run", recipe(), "--out", "/proc/nmcdist", "--workers", 0)
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert errors.startswith("nmcdist: error: ")
    assert "/proc/nmcdist" in errors


def test_an_existing_dataset_is_refused_and_resume_finds_nothing_to_do(nmcdist, recipe, out, store):
    before = store_sha256(store)
    assert refused(nmcdist("run", recipe(), "--out", out), "--resume")
    code, said, _ = nmcdist("run", recipe(), "--out", out, "--resume", "--workers", 0)
    assert code == 0
    assert "whole, 0 tasks done, 4 kept" in said
    assert store_sha256(store) == before


def test_failed_items_are_named_with_status_1(nmcdist, recipe, tmp_path, monkeypatch):
    def fail(*args):
        raise ArithmeticError("did not converge")

    monkeypatch.setattr("nmcdist.products.volumes.additive.Additive.describe", fail)
    code, _, errors = nmcdist("run", recipe(), "--out", tmp_path / "out", "--workers", 0)
    last = errors.splitlines()[-1]
    assert code == 1
    assert last.startswith("nmcdist: error: items not made: 0: ArithmeticError: did not converge, 1: ")
    assert last.endswith("--resume")


def test_verify_is_silent_about_what_is_whole_and_names_the_damaged_item(nmcdist, store):
    assert nmcdist("verify", store) == (0, f"{store}: whole\n", "")
    flip_a_byte(store / "volume/c/2/0/0/0")
    code, said, errors = nmcdist("verify", store)
    assert code == 2
    assert said == f"{store}: item 2: volume/c/2/0/0/0: does not match its checksum in the manifest\n"
    assert errors.startswith(f"nmcdist: error: {store}: damaged items: 2;")


def test_verify_heal_verify(nmcdist, recipe, out, store):
    whole = store_sha256(store)
    (store / "volume/c/1/0/0/0").write_bytes(b"")
    assert nmcdist("verify", store)[0] == 2
    assert nmcdist("run", recipe(), "--out", out, "--resume", "--workers", 0)[0] == 0
    assert nmcdist("verify", store)[0] == 0
    assert store_sha256(store) == whole


def test_a_store_of_another_format_is_refused_by_every_command(nmcdist, recipe, out, store, monkeypatch):
    monkeypatch.setattr("nmcdist.datasets.store.FORMATS_READ", (7,))
    before = store_sha256(store)
    for arguments in (("verify", store), ("describe", store), ("export", store, "--item", 0),
                      ("run", recipe(), "--out", out), ("run", recipe(), "--out", out, "--resume"),
                      ("catalog", "add", store, "--catalog", out / "other.yaml")):  # fmt: skip
        assert refused(nmcdist(*arguments), "found store format 2, expected 7")
    assert store_sha256(store) == before


def test_describe_renews_the_descriptors(nmcdist, store):
    code, said, _ = nmcdist("describe", store, "--max-lag-nm", 160, "--no-transport", "--workers", 0)
    assert (code, "4 tasks done" in said) == (0, True)
    assert nmcdist("verify", store)[0] == 0
    assert refused(nmcdist("describe", store, "--max-lag-nm", -1), "descriptors.max_lag_nm: found -1.0")


def test_catalog_lists_shows_and_adds(nmcdist, out, store, tmp_path, monkeypatch):
    monkeypatch.setenv("NMCDIST_CATALOG", str(out / "catalog.yaml"))
    assert nmcdist("catalog", "list") == (0, "tiny  1.0.0  Tiny sweep\n", "")
    assert f"store: {store}\n" in nmcdist("catalog", "show", "tiny")[1]
    assert refused(nmcdist("catalog", "show", "huge"), "no dataset 'huge', expected one of tiny")
    other = tmp_path / "mine" / "catalog.yaml"
    assert nmcdist("catalog", "add", store, "--catalog", other)[0] == 0
    assert nmcdist("catalog", "list", "--catalog", other)[1] == "tiny  1.0.0  Tiny sweep\n"
    assert refused(nmcdist("catalog", "list", "--catalog", tmp_path / "no.yaml"), "no such catalog")


def test_export_writes_a_file_and_names_it(nmcdist, store, tmp_path):
    target = tmp_path / "a.npy"
    assert nmcdist("export", store, "--item", 1, "--format", "npy", "--out", target) == (0, f"{target}\n", "")
    assert np.load(target).shape == (24, 20, 28)
    assert refused(nmcdist("export", store, "--item", 9), "item: found 9, expected items from 0 to 3")
    assert refused(nmcdist("export", store, "--item", "0-99999999999"), "expected items from 0 to 3")
    for text in ("3-1", "9" * 5000, "0-" + "9" * 5000, "1-", "\u0663"):
        assert refused(nmcdist("export", store, "--item", text), "expected a number from 0 or a range such as 0-9")
    assert refused(nmcdist("export", store, "--item", 1, "--format", "gif"), "found 'gif'")


def test_a_bundle_is_made_from_wishes_once(nmcdist, tmp_path):
    folder = tmp_path / "mine"
    wishes = ("--graphite-fraction", "0.2", "--set", "mu=0.4")
    code, out, _ = nmcdist("bundle", "new", "mine", "--from", BUNDLE, *wishes, "--out", folder)
    assert code == 0
    assert "asked for: mu = 0.4, graphite_fraction = 0.2. Check: 8 fresh windows" in out
    made = load_bundle(folder)
    assert (made.name, made.cba().mu, made.values["mu"].provenance) == ("mine", 0.4, "chosen")
    assert made.values["eta_per_nm"] == load_bundle(BUNDLE).values["eta_per_nm"]
    again = nmcdist("bundle", "new", "mine", "--from", BUNDLE, *wishes, "--out", folder)
    assert refused(again, "already exists, expected a new folder")
    strange = nmcdist("bundle", "new", "mine", "--from", BUNDLE, "--set", "mu")
    assert refused(strange, "--set: found 'mu', expected NAME=VALUE")


def test_bundle_new_makes_electrodes_of_shells_and_an_additive(nmcdist, tmp_path):
    folder, words = tmp_path / "mine", ("--from", "nmc-ct-2018", "--additive", BUNDLE)
    code, out, _ = nmcdist("bundle", "new", "mine", *words, "--nmc-fraction", "0.45", "--out", folder)
    assert code == 0
    assert "fill a box of about" in out
    made = load_bundle(folder)
    assert (made.model, made.parameters.nmc_fraction) == ("electrode-packed", 0.45)
    assert made.values["mu"].value == load_bundle(BUNDLE).cba().mu
    assert refused(nmcdist("bundle", "new", "other", *words, "--out", tmp_path / "other"), "no nmc_fraction")


def test_bundle_lists_shows_and_verifies(nmcdist, tmp_path):
    assert BUNDLE in nmcdist("bundle", "list")[1]
    shown = json.loads(nmcdist("bundle", "show", BUNDLE)[1])
    assert shown["content_hash"] == load_bundle(BUNDLE).content_hash
    assert shown["parameters"]["mu"]["provenance"] == "published"
    assert "whole, model cba" in nmcdist("bundle", "verify", BUNDLE)[1]
    assert refused(nmcdist("bundle", "show", "ghost"), "ghost")


def test_report_goes_to_the_builder_of_reports(nmcdist, store, tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr("nmcdist.products.stores.build_report", lambda *args: called.append(args) or tmp_path / "page")
    assert nmcdist("report", store, "--out", tmp_path) == (0, f"{tmp_path / 'page'}\n", "")
    assert nmcdist("report", store, "--resolution-study")[0] == 0
    assert [args[:3] for args in called] == [(store, tmp_path, ()), (store, None, (80.0, 40.0, 20.0))]


def test_report_tells_what_it_solves_on_standard_error(nmcdist, store, tmp_path, monkeypatch):
    def build(store, out, sizes, progress):
        progress(f"solving {sizes}")
        return tmp_path / "page"

    monkeypatch.setattr("nmcdist.products.stores.build_report", build)
    assert nmcdist("report", store) == (0, f"{tmp_path / 'page'}\n", "solving ()\n")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (StoreError("a.zarr: damaged"), 2, "nmcdist: error: a.zarr: damaged\n"),
        (OSError(28, "No space left on device", "/data/a"), 2, "nmcdist: error: /data/a: No space left on device\n"),
        (OSError(30, "Read-only file system"), 2, "nmcdist: error: [Errno 30] Read-only file system\n"),
        (
            MemoryError(),
            2,
            "nmcdist: error: out of memory: process fewer or smaller items at a time, or raise the limit "
            "(see `ulimit -v`)\n",
        ),
        (KeyboardInterrupt(), 130, "nmcdist: error: interrupted\n"),
    ],
)
def test_errors_become_one_line_and_an_exit_status(nmcdist, monkeypatch, error, code, line):
    def fail():
        raise error

    monkeypatch.setattr("nmcdist.bundle.list_bundles", fail)
    found, said, errors = nmcdist("bundle", "list")
    assert (found, said, errors.lstrip()) == (code, "", line)


def test_a_full_disk_is_named_by_the_folder_of_a_phantom(nmcdist, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nmcdist.calibration.grains.phantom.phantom_sections", lambda *args, **how: [None])
    monkeypatch.setattr("nmcdist.calibration.grains.phantom.write_scan", full)
    out = tmp_path / "maps"
    assert refused(nmcdist("calibrate", "phantom", "stout", "--out", out), f"{out}: No space left on device")


def test_an_unknown_option_is_a_usage_error(nmcdist):
    code, _, errors = nmcdist("run", "x.yaml", "--colour", "red")
    assert code == 2
    assert "No such option" in errors


@pytest.fixture
def particle_recipe(tmp_path, small_bundle):
    """Write a recipe of particles beside its bundle."""
    save_bundle(small_bundle, tmp_path / "small-radial")

    def write(**changes):
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump({**SMALL, **changes}))
        return path

    return write


def test_particles_are_made_verified_described_and_exported(nmcdist, particle_recipe, tmp_path):
    recipe, out = particle_recipe(labels={}), tmp_path / "out"
    assert "5 particles in batches of 2" in nmcdist("plan", recipe, "--out", out)[1]
    assert not out.exists()
    assert nmcdist("run", recipe, "--out", out, "--workers", 0)[0] == 0
    store = out / "small.zarr"
    assert nmcdist("verify", store)[0] == 0
    assert nmcdist("describe", store, "--voxel-size-nm", 150, "--workers", 0)[0] == 0
    code, said, _ = nmcdist("export", store, "--item", "0-2", "--item", "4", "--format", "csv", "--out", tmp_path / "t")
    assert code == 0
    assert [line.rsplit("/", 1)[1] for line in said.splitlines()] == [f"small-{k:05d}-grains.csv" for k in (0, 1, 2, 4)]
    assert "small" in nmcdist("catalog", "list", "--catalog", out / "catalog.yaml")[1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--item", "7", "--format", "stl"), "item: found 7, expected items from 0 to 4"),
        (("--item", "x", "--format", "stl"), "item: found 'x', expected a number from 0 or a range"),
        (("--item", "0", "--format", "dxf"), "format: found 'dxf', expected one of"),
        (("--item", "0", "--format", "stl", "--voxel-size-nm", "1e6"), "expected at most the particle's"),
        (("--item", "0", "--format", "stl", "--voxel-size-nm", "1e-300"), "expected at least 0.001 nm"),
        (("--item", "0", "--format", "tiff", "--voxel-size-nm", "0.1"), "of memory"),
        (("--item", "0", "--format", "inp", "--grains", "5-x"), "grains: found '5-x', expected labels from 1 such as"),
        (("--item", "0", "--format", "inp", "--radius-below", "1"), "radius_below_nm: found 1, expected more than"),
        (("--item", "0", "--format", "inp", "--unit", "inch"), "unit: found 'inch', expected one of nm, um, m"),
    ],
)
def test_exports_of_particles_that_cannot_be_are_refused(nmcdist, made_particles, tmp_path, arguments, complaint):
    where = tmp_path / "file"
    assert refused(nmcdist("export", made_particles / "small.zarr", *arguments, "--out", where), complaint)
    assert not where.exists()


def test_an_export_to_a_read_only_place_is_refused(nmcdist, made_particles, tmp_path):
    (tmp_path / "file").write_text("mine")
    target = tmp_path / "file" / "a.stl"
    assert refused(
        nmcdist("export", made_particles / "small.zarr", "--item", 0, "--format", "stl", "--out", target),
        "cannot be written",
    )


def test_recipes_of_particles_that_cannot_be_are_refused(nmcdist, particle_recipe, small_bundle, tmp_path):
    run = ("--out", tmp_path / "out", "--workers", 0)
    assert refused(nmcdist("run", particle_recipe(bundle=BUNDLE), *run), "has no marker law")
    assert refused(nmcdist("run", particle_recipe(particles={"count": -1}), *run), "particles.count: found -1")
    assert refused(
        nmcdist("run", particle_recipe(descriptors={"voxel_size_nm": 1e5}), *run), "expected at most the smallest"
    )
    folder = tmp_path / "small-radial"
    content = json.loads((folder / "bundle.json").read_text())
    content["parameters"]["grain_intensity_per_nm3"]["value"] = -1e-8
    (folder / "bundle.json").write_text(json.dumps(content))
    assert refused(nmcdist("run", particle_recipe(), *run), "grain_intensity_per_nm3")
    assert not (tmp_path / "out").exists()


def test_a_phantom_is_written_as_maps_beside_its_bundle(nmcdist, tmp_path):
    from nmcdist.calibration.grains.phantom import phantom_bundles
    from nmcdist.calibration.grains.sections import read_sections

    code, said, _ = nmcdist("calibrate", "phantom", "stout", "--out", tmp_path / "maps", "--sections", 2, "--start", 5)
    assert code == 0
    assert "2 maps" in said
    sections = read_sections(tmp_path / "maps")
    assert [section.name for section in sections] == ["section-0005.ang", "section-0006.ang"]
    assert all(section.labels.max() > 200 for section in sections)
    assert load_bundle(tmp_path / "maps/truth").content_hash == phantom_bundles()["stout"].content_hash


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [(["missing", "--out", "o"], "missing"),
     ([".", "--out", "o", "--recipe", "none.yaml"], "none.yaml: no such file"),
     ([".", "--out", "o", "--base", "cba-cathode"], "bundle 'cba-cathode': found neither"),
     ([".", "--out", "o"], "found no"), ([".", "--out", "o", "--centres", "none.csv"], "none.csv: no such")],
)  # fmt: skip
def test_a_calibration_that_cannot_begin_is_refused_in_one_line(nmcdist, tmp_path, monkeypatch, arguments, fault):
    monkeypatch.chdir(tmp_path)
    assert refused(nmcdist("calibrate", "grains", *arguments), fault)
    assert list(tmp_path.iterdir()) == []


def test_built_in_bundles_say_what_they_were_trained_on(nmcdist):
    _, said, _ = nmcdist("bundle", "list")
    (line,) = (line for line in said.splitlines() if line.startswith("nmc811-stereological "))
    assert "phantom whose law was chosen by eye, not on a material" in line


def test_a_gpu_is_said_not_to_help(nmcdist):
    _, said, _ = nmcdist("calibrate", "grains", "--help")
    assert "A GPU does not help" in " ".join(said.split())


def test_centres_of_sections_are_taken_and_the_others_are_named(nmcdist, tmp_path, monkeypatch):
    import nmcdist.calibration.grains.calibrate as module

    seen = []
    monkeypatch.setattr(module, "calibrate_grains", lambda sections, *rest, **options: seen.append((sections, options)))
    monkeypatch.setattr("nmcdist.report.grain_calibration.report_grain_calibration", lambda *folders: "report.md")
    monkeypatch.setattr("nmcdist.report.grain_calibration.headline", lambda folder: "The verdict.")
    (tmp_path / "maps").mkdir()
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / "maps" / name, np.arange(1, 401, dtype=np.int32).reshape(20, 20))
    (tmp_path / "c.csv").write_text("name,y_nm,x_nm\nb.npy,250,300\n")
    code, said, logged = nmcdist(
        "calibrate", "grains", tmp_path / "maps", "--out", tmp_path / "out", "--pixel-size-nm", 50, "--centres",
        tmp_path / "c.csv", "--repeats", 2,
    )  # fmt: skip
    assert code == 0
    assert said.splitlines()[-1] == "The verdict."
    ((sections, options),) = seen
    assert [section.centre_px for section in sections] == [(9.5, 9.5), (5.0, 6.0)]
    assert options["repeats"] == 2
    assert '{"event": "centres", "given": 1, "centroid": ["a.npy"]}' in logged


@pytest.mark.parametrize(("number", "option", "expected"), [
    ("1e3", "--workers", "a whole number"), ("2.0", "--threads", "a whole number"), ("", "--workers", "a whole number"),
    ("9" * 5000, "--workers", "a whole number"), ("1,5", "--max-lag-nm", "a number"),
])  # fmt: skip
def test_what_is_no_number_is_refused_in_words(nmcdist, recipe, number, option, expected):
    code, _, errors = nmcdist(*(["describe", "x"] if "lag" in option else ["plan", recipe()]), option, number)
    assert code == 2
    assert re.search(
        rf"'{option}': found '{number[:20]}.*, expected {expected} \(see nmcdist \w+ --help\)$", errors.strip()
    )


class TestDigits:
    """Numbers are written in digits from 0 to 9; Python reads others, and 1_000, as numbers too."""

    @pytest.mark.parametrize("number", ["\u0663", "1\u06f0", "\uff11", "1_0", "\u0967.5", "1_0.5"])
    @pytest.mark.parametrize(
        "command",
        [
            "plan tiny.yaml --workers", "plan tiny.yaml --threads", "plan tiny.yaml --memory",
            "run tiny.yaml --retries",
            "run tiny.yaml --max-failures", "run tiny.yaml --partition", "describe x --max-lag-nm",
            "describe x --voxel-size-nm", "export x --label", "export x --item", "calibrate grains x --out y --repeats",
            "calibrate grains x --out y --pixel-size-nm", "calibrate phantom radial --out y --seed",
            "calibrate phantom radial --out y --orientation-noise-deg", "calibrate grains x --out y --min-pixels",
        ],
    )  # fmt: skip
    def test_others_are_refused_by_name(self, nmcdist, recipe, store, monkeypatch, command, number):
        monkeypatch.chdir(recipe().parent)
        store.rename("x")
        number = {"--partition": f"{number}/{number}", "--memory": f"{number}GiB"}.get(command.split()[-1], number)
        code, _, errors = nmcdist(*command.split(), number)
        assert code == 2
        option = command.split()[-1].strip("-")
        assert re.search(rf"(?i){option}.*found '?{re.escape(number)}", errors.replace("memory_per_worker", "memory"))


def test_more_parts_than_tasks_are_refused(nmcdist, recipe, tmp_path):
    for part in ("1/5", "5/5", "9999/100000"):
        said = f"partition: found {part}, expected at most 4 parts, one for each task"
        assert refused(nmcdist("run", recipe(), "--out", tmp_path / "new", "--partition", part), said)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["con", "nul", "prn", "aux", "com1", "lpt9"])
def test_names_that_windows_reserves_are_refused(nmcdist, recipe, tmp_path, name):
    said = f"name: found '{name}', which Windows reserves for a device"
    assert refused(nmcdist("plan", recipe(name=name), "--out", tmp_path), said)
    (tmp_path / "c.yaml").write_text(f"name: {name}\n")
    with pytest.raises(RecipeError, match=said):
        load_checked(tmp_path / "c.yaml", GrainRecipe)
    content = load_bundle("cba-cathode-2025").model_dump(by_alias=True)
    with pytest.raises(ValueError, match=f"'{name}.v1', which Windows reserves"):
        Bundle.model_validate({**content, "name": f"{name}.v1"})
    assert Bundle.model_validate({**content, "name": f"{name}a"}).name == f"{name}a"


def test_a_reader_that_has_gone_is_no_failed_item(store):
    command = [sys.executable, "-m", "nmcdist.cli", "verify", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        process.stderr.read()
        assert process.wait(timeout=120) == 2


@pytest.mark.parametrize("count", ["0", "-3", "many", ""])
def test_threads_that_cannot_be_are_ignored_with_a_line(count):
    done = subprocess.run(
        [sys.executable, "-m", "nmcdist.cli", "bundle", "list"], capture_output=True, text=True, timeout=120,
        env={**os.environ, "NUMBA_NUM_THREADS": count}, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"nmcdist: NUMBA_NUM_THREADS: found {count!r}, expected a positive whole number: ignored"
    ]


@pytest.mark.parametrize(
    "command",
    [
        "segment", "calibrate segment", "calibrate shell", "calibrate cba", "calibrate baseline", "measure", "export",
        "refine",
    ],
)  # fmt: skip
def test_every_command_takes_three_edges_alike(command):
    found = cli.cli
    for name in command.split():
        found = found.commands[name]
    option = next(each for each in found.params if each.name == "voxel_size_nm")
    context = click.Context(found)
    assert option.process_value(context, ["20, 10,10"] if option.multiple else "20, 10,10") == [20.0, 10.0, 10.0]
    assert option.process_value(context, ["20"] if option.multiple else "20") == 20.0
    assert option.process_value(context, None) is None
    if option.multiple:  # the way of earlier versions
        assert option.process_value(context, ["20", "10", "10"]) == [20.0, 10.0, 10.0]
