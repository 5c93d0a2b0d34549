"""The report of a small calibration: it shows what was measured, generated and found, and says what is missed."""

import csv
import json
import math
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nmcdist.calibration.grains import calibrate
from nmcdist.calibration.grains.phantom import phantom_bundles, phantom_sections
from nmcdist.calibration.grains.recipe import GrainRecipe
from nmcdist.calibration.grains.results import NUMBERS, Epoch, read_results
from nmcdist.calibration.grains.sections import Section
from nmcdist.calibration.grains.shown import SECTIONS
from nmcdist.calibration.grains.training import starting_intensity
from nmcdist.errors import InputError, StoreError
from nmcdist.report.grain_calibration import figures, report_grain_calibration

RECIPE = GrainRecipe(
    method="adversarial", epochs=3, steps=2, assess_every=2, pool=10, batch=2, window=32,
    adversarial={"discriminator_batch": 4, "channels": (4, 8, 8)},
)  # fmt: skip
PIXEL_NM = 50.0
FIGURES = {"sections", "descriptors", "orientations", "intensity", "training"}
SMALL_NM = 2000.0  # mean radius of the particles


@pytest.fixture(scope="module")
def phantom():
    bundle = phantom_bundles()["radial"]
    scale = 2 * math.sqrt(math.pi) * SMALL_NM - bundle.parameters.shell_location_nm
    return bundle.with_parameters(shell_scale_nm=scale, shell_sigma=0.2)


@pytest.fixture(scope="module")
def made(phantom, tmp_path_factory):
    """A calibration of three sections, compared with two others; a fourth is far from the centre."""
    folder = tmp_path_factory.mktemp("made") / "out"
    sections = phantom_sections(phantom, 3, 3) + phantom_sections(phantom, 3, 1, height=0.7, start=9)
    held_out = phantom_sections(phantom, 3, 2, start=5)
    calibrate.calibrate_grains(sections, RECIPE, phantom, folder, held_out=held_out, threads=1)
    return folder


@pytest.fixture(scope="module")
def numbers(made):
    return json.loads((made / NUMBERS).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def drawn(made, tmp_path_factory):
    """The page, and the axes of each of its figures."""
    kept = {}
    original = figures.figure

    @contextmanager
    def keeping(*arguments):
        with original(*arguments) as (drawing, axes):
            save = drawing.savefig

            def named(path):
                kept[path.stem] = axes
                save(path)

            drawing.savefig = named
            yield drawing, axes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "figure", keeping)
        page = report_grain_calibration(made, tmp_path_factory.mktemp("report"))
    return page, kept


@pytest.fixture(scope="module")
def text(drawn):
    return drawn[0].read_text(encoding="utf-8")


def measured(made, group="measured"):
    with np.load(made / SECTIONS) as file:
        count = sum(name.startswith(group) for name in file.files) // 2
        return [
            Section(str(k), file[f"{group}_{k}"], PIXEL_NM, tuple(file[f"{group}_{k}_place"][1:])) for k in range(count)
        ]


def changed(made, tmp_path, **changes):
    """The text of the page of a calibration with other numbers."""
    folder = Path(shutil.copytree(made, tmp_path / "changed"))
    path = folder / NUMBERS
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(content), encoding="utf-8")
    return report_grain_calibration(folder, tmp_path / "report").read_text(encoding="utf-8")


def row(descriptor, dimension="2D", ks=0.01, floor=0.01, w1=0.02, floor_w1=0.01, baseline_w1=1.0):
    """A row of a table of distances with one baseline."""
    of = {"ks": 0.3, "w1": baseline_w1, "profile_ks": 0.3, "profile_w1": baseline_w1, "times": baseline_w1 / w1}
    return {
        "descriptor": descriptor, "dimension": dimension, "unit": "1", "ks": ks, "w1": w1, "w1_own": w1,
        "profile_ks": ks, "profile_w1": w1, "n_found": 9, "n_truth": 9, "floor_ks": floor, "floor_w1": floor_w1,
        "floor_profile_ks": floor, "floor_profile_w1": floor_w1, "floor_ks_largest": floor,
        "floor_w1_largest": floor_w1, "error_ks": 0.004, "error_w1": 0.004, "error_profile_ks": None,
        "error_profile_w1": None, **{f"voronoi_{key}": value for key, value in of.items()},
    }  # fmt: skip


def table_of(text, heading):
    """The first table below a heading, by its first column."""
    lines = iter(text.split(f"{heading}\n", 1)[1].splitlines())
    rows = []
    for line in lines:
        if line.startswith("| "):
            rows.append(line.strip("| ").split(" | "))
        elif rows:
            break
    return {cells[0]: cells[1:] for cells in rows}


def heights(stairs):
    values, edges, _ = stairs.get_data()
    return values, edges


def lines_of(panel, style):
    return [line for line in panel.lines if line.get_linestyle() == style]


def test_page_shows_every_figure_and_each_is_a_picture(drawn, text):
    pictures = sorted(drawn[0].parent.glob("*.png"))
    assert {p.stem for p in pictures} == FIGURES
    for picture in pictures:
        assert f"]({picture.name})" in text
        assert np.asarray(Image.open(picture).convert("L")).std() > 5


def test_table_of_distances_holds_every_number_of_the_calibration(drawn, numbers):
    with (drawn[0].parent / "distances.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(numbers["distances"]) == 4
    for line, expected in zip(found, numbers["distances"], strict=True):
        assert line == {key: "" if value is None else str(value) for key, value in expected.items()}


def test_page_sets_distances_beside_the_noise_floor_and_the_baselines(text, numbers):
    table = table_of(text, "## Distances in sections")
    names = ("area A_cross", "elongation", "angle to the radius", "chord length")
    for name, of in zip(names, numbers["distances"], strict=True):
        keys = ("ks", "floor_ks", "w1", "floor_w1", "voronoi_ks", "voronoi_w1", "voronoi_times", "isotropic_ks",
                "isotropic_w1", "isotropic_times")  # fmt: skip
        assert table[name][1] == table[name][4] == ""  # two sections have no interval
        cells = [float(cell) for cell in table[name] if cell]
        assert cells == pytest.approx([of[key] for key in keys], abs=0.051)
        assert float(table[name][0]) == pytest.approx(of["ks"], abs=5.1e-4)
    radial = table_of(text, "Against the distance from the centre: means of the same distances within five bins of it.")
    assert set(radial) == {"descriptor", "---", "area A_cross", "elongation", "angle to the radius"}
    of = numbers["distances"][2]
    assert float(radial["angle to the radius"][0]) == pytest.approx(of["profile_ks"], abs=5.1e-4)
    times = of["voronoi_profile_w1"] / of["profile_w1"]
    assert float(radial["angle to the radius"][8]) == pytest.approx(times, abs=0.051)


def test_page_tells_how_it_was_made_what_it_cost_and_how_the_fits_are(text, numbers):
    assert numbers["bundle"]["sha256"] in text
    assert "2 held-out sections" in text
    assert "the model, since the truth is unknown" in text
    assert "`particle 9`" in text.split("Dropped for not going through the centre")[1].splitlines()[0]
    assert "## Grains in space" not in text
    cost = table_of(text, "## Cost")
    assert float(cost["steps per second"][0]) == pytest.approx(numbers["cost"]["steps_per_s"], rel=6e-3)
    fits = table_of(text, "## Fits")
    for fit in numbers["fits"]["sections"]:
        assert [int(cell) for cell in fits[fit["name"]][:2]] == [fit["grains"], fit["pixels"]]
        assert float(fits[fit["name"]][2].rstrip("%")) == pytest.approx(100 * fit["matched"], abs=5.1e-3)


def test_pairs_are_at_one_scale_with_the_centre_at_one_place(drawn, made):
    upper, lower = drawn[1]["sections"][:, 0]
    groups = measured(made), measured(made, "generated")
    places = []
    order = np.argsort([section.mask.sum() for section in groups[0]])
    for panel, sections in zip((upper, lower), groups, strict=True):
        assert len(panel.images) == len(order)
        for image, k in zip(panel.images, order, strict=True):
            left, right, bottom, top = image.get_extent()
            rows, columns = sections[k].labels.shape
            assert (right - left) / columns == pytest.approx(PIXEL_NM / 1000)
            assert (top - bottom) / rows == pytest.approx(PIXEL_NM / 1000)
            places.append(left + (sections[k].centre_px[1] + 0.5) * PIXEL_NM / 1000)
            assert bottom == pytest.approx(-(sections[k].centre_px[0] + 0.5) * PIXEL_NM / 1000)
    assert places[: len(order)] == pytest.approx(places[len(order) :])
    assert upper.get_xlim() == lower.get_xlim()
    assert upper.get_ylim() == lower.get_ylim()


def test_grains_along_the_radius_are_dark_and_grains_across_it_light(tmp_path, monkeypatch):
    labels = np.zeros((41, 41), np.int32)
    labels[19:22, 28:40] = 1  # to the right of the centre and along the row: to the centre
    labels[1:13, 19:22] = 2  # below it in the picture, and along the column: to the centre
    labels[14:26, 1:4] = 3  # to the left, along the column: across
    section = Section("bars", labels, PIXEL_NM, (20.0, 20.0))
    seen = []
    monkeypatch.setattr(figures, "scale_bar", lambda panel, *_: seen.append(panel.images[0].get_array()))
    figures.sections([section], [section], tmp_path / "sections.png")
    picture = seen[0][::-1]
    many = picture.shape[0] // 41
    shades = [picture[many * y + 1, many * x + 1, :3].sum() for y, x in ((20, 34), (6, 20), (20, 2))]
    assert max(shades[:2]) < 0.6 < 1.5 < shades[2]
    assert picture[1, 1, 3] == 0  # nothing is drawn outside


def test_at_most_four_pairs_are_shown_from_the_smallest_to_the_largest(tmp_path, monkeypatch):
    sizes = [9, 5, 21, 13, 17, 7, 11]
    sections = [
        Section(f"{n}", np.pad(np.ones((n, n - 1), np.int32), 2), PIXEL_NM, (n / 2 + 1.5, n / 2 + 1.0)) for n in sizes
    ]
    names = []
    monkeypatch.setattr(
        figures, "_place", lambda panel, section, *_, with_name: names.append((section.name, with_name))
    )
    figures.sections(sections, sections, tmp_path / "sections.png")
    assert names == [(n, upper) for upper in (True, False) for n in ("5", "9", "13", "21")]


def test_histograms_hold_all_grains_and_print_the_distances(drawn, made, numbers):
    for panel, of, unit in zip(drawn[1]["descriptors"].flat, numbers["distances"], (1e6, 1, 1, 1e3), strict=True):
        assert f"KS {of['ks']:.3f}, noise floor {of['floor_ks']:.3f}" == panel.get_legend().get_title().get_text()
        for stairs, group in zip(panel.patches, ("measured", "generated"), strict=True):
            sections = measured(made, group)
            name = of["descriptor"]
            values = np.concatenate(
                [s.chord_lengths() if name == "chord_length_nm" else s.describe()[name].values for s in sections]
            )
            values = values[~np.isnan(values)] / unit
            shares, edges = heights(stairs)
            widths = np.diff(np.log10(edges) if name == "area_nm2" else edges)
            if name == "chord_length_nm":  # but for the longest
                assert 0.99 < (shares * widths).sum() <= 1 + 1e-12
            else:
                assert (shares * widths).sum() == pytest.approx(1)
            k = int(np.argmax(shares))
            inside = sum(edges[k] <= value < edges[k + 1] for value in values)
            assert shares[k] * widths[k] * len(values) == pytest.approx(inside)


def test_every_section_has_its_density_of_orientations(drawn, numbers):
    left, right = drawn[1]["orientations"][0]
    assert [len(lines_of(left, style)) for style in ("-", "--")] == [
        len(numbers["sections"][name]) for name in ("kept", "dropped")
    ]
    assert len(lines_of(right, "-")) == 2
    for panel in (left, right):
        for line in (*lines_of(panel, "-"), *lines_of(panel, "--")):
            assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(1, abs=1e-3)
    kept, dropped = (lines_of(left, style)[0].get_ydata() for style in ("-", "--"))
    assert kept[0] > dropped[0]


def test_training_curves_are_those_of_the_history_with_the_chosen_epoch_marked(drawn, numbers):
    panels, history = drawn[1]["training"], numbers["training"]
    pixel_um = PIXEL_NM / 1000
    for panel in panels.flat:
        (chosen,) = lines_of(panel, ":")
        assert set(chosen.get_xdata()) == {numbers["best"]["epoch"]}
    assert [list(line.get_ydata()) for line in lines_of(panels[0, 0], "-")] == [
        [e[name] for e in history] for name in ("loss", "discriminator_loss")
    ]
    (visible,) = lines_of(panels[0, 1], "-")
    assert visible.get_ydata() * pixel_um**2 == pytest.approx([e["visible"] for e in history])
    (intensity,) = lines_of(panels[1, 0], "-")
    assert intensity.get_ydata() * pixel_um**3 == pytest.approx([e["intensity"] for e in history])
    assessed = [e for e in history if "distances" in e]
    assert [list(line.get_xdata()) for line in panels[1, 1].lines[:5]] == [[e["epoch"] for e in assessed]] * 5
    (mean,) = lines_of(panels[1, 1], "--")
    assert mean.get_ydata() == pytest.approx([np.mean(list(e["distances"].values())) for e in assessed])


def test_visible_grains_aimed_at_are_those_that_the_first_epoch_began_with(drawn, numbers):
    (line,) = lines_of(drawn[1]["training"][0, 1], "--")
    target = line.get_ydata()[0] * (PIXEL_NM / 1000) ** 2
    first, weight = numbers["training"][0], RECIPE.intensity_weight
    # The target is found from later epochs; the first began at an intensity that follows from it too.
    moved = starting_intensity(target) * (1 - weight + weight * target / first["visible"])
    assert moved == pytest.approx(first["intensity"])


def test_steep_losses_and_losses_below_zero_are_drawn(tmp_path, numbers):
    last = numbers["training"][-1]
    for k, losses in enumerate(([5.0, 0.1, 0.01], [0.3, -0.2, -7.0])):
        epochs = [Epoch(**{**last, "epoch": i + 1, "loss": loss}) for i, loss in enumerate(losses)]
        assert figures.training(epochs, 3, None, PIXEL_NM, tmp_path / f"{k}.png").exists()


TWO = ("area_nm2", "elongation", "angle_to_radius", "chord_length_nm")
THREE = ("volume_nm3", "elongation", "flatness", "angle_to_radius", "short_axis_angle", "neighbours")


def count(ratio, error=0.02, low=0.0, of="measured"):
    return {"from_nm": low, "to_nm": low + 1000.0, of: 1.0, "generated": ratio, "ratio": ratio, "error": error}


def count_in_space(*arguments, **options):
    return count(*arguments, of="truth", **options)


def verdict_of(text):
    """The headline of the verdict, what is missed, and what is not judged."""
    part = text.split("## Verdict\n", 1)[1].split("\n## ", 1)[0]
    lines = part.splitlines()
    starting = [[line[2:] for line in lines if line.startswith(mark)] for mark in ("- ", "* ")]
    assert "**What sections cannot determine.**" in part
    return next(line for line in lines if line.startswith("**")).strip("*"), *starting


def test_grains_in_space_are_shown_where_the_truth_is_known(made, tmp_path):
    rows = [*(row(name) for name in TWO), *(row(name, "3D") for name in THREE)]
    counts = {"2D": [count(1.04)], "3D": [count_in_space(1.1), count_in_space(0.9, low=1000.0)]}
    text = changed(made, tmp_path, distances=rows, counts=counts, truth="a-phantom")
    assert "`a-phantom`" in text
    assert set(table_of(text, "## Grains in space")) >= {"volume", "flatness", "angle of the short axis", "neighbours"}
    assert verdict_of(text) == ("All aims are reached, in sections and in space.", [], [])
    assert "independent draws of the truth" in text
    assert table_of(text, "Grains per volume by distance from the centre, generated over true ones.")["1 to 2"] == [
        "0.900",
        "0.020",
    ]


def test_without_a_truth_grains_in_space_are_said_not_to_be_judged(made, tmp_path):
    rows, counts = [row(name) for name in TWO], {"2D": [count(1.0)], "3D": []}
    headline, missed, unknown = verdict_of(changed(made, tmp_path, distances=rows, counts=counts))
    assert headline == "No aim is missed in sections. Grains in space were not judged: their truth is unknown."
    assert missed == []
    assert unknown == ["volumes, shapes and numbers of grains in space: the truth in space is unknown"]


def test_rows_that_miss_the_aim_are_named_and_others_are_not(made, tmp_path):
    rows = [
        row("area_nm2", ks=0.035, floor=0.02),  # within two noise floors
        row("elongation", ks=0.041, floor=0.02, w1=0.3, floor_w1=0.1),
        row("angle_to_radius", ks=0.03),
        row("chord_length_nm", ks=0.031),
        row("volume_nm3", "3D", ks=0.05),
        row("elongation", "3D", ks=0.05, w1=0.21),
        row("angle_to_radius", "3D", ks=0.051) | {"profile_ks": 0.02},
        row("neighbours", "3D", ks=0.9, w1=0.9),
    ]
    counts = {"2D": [count(1.0)], "3D": [count_in_space(1.1)]}
    text = changed(made, tmp_path, distances=rows, counts=counts, truth="a-phantom")
    headline, missed, _ = verdict_of(text)
    assert missed == [
        "in sections, elongation: KS is 0.041, the aim is at most 0.040 (noise floor 0.020)",
        "in sections, chord length: KS is 0.031, the aim is at most 0.030 (noise floor 0.010)",
        "in sections, elongation: Poisson-Voronoi is 3.33 times further, the aim is 5 (a model at the noise floor "
        "would have 10.0)",
        "in space, angle to the radius: KS is 0.051, the aim is at most 0.050 (noise floor 0.010)",
        "in space, elongation: Poisson-Voronoi is 4.76 times further, the aim is 5 (a model at the noise floor would "
        "have 100.0)",
    ]
    assert headline == "Not all aims are reached: 5 aims are missed."
    assert "All aims are reached" not in text


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"rows": {("2D", "area_nm2"): {"profile_ks": 0.08}}},
         "in sections, area A_cross by distance: KS is 0.080, the aim is at most 0.050 (noise floor 0.010)"),
        ({"rows": {("3D", "volume_nm3"): {"profile_ks": 0.08, "floor_profile_ks": 0.03}}},
         "in space, volume by distance: KS is 0.080, the aim is at most 0.060 (noise floor 0.030)"),
        ({"rows": {("3D", "volume_nm3"): {"w1": 0.4, "voronoi_w1": 0.39}}},
         "in space, volume: Poisson-Voronoi, which knows only sizes of sections, is as near or nearer (W1 0.390, the "
         "model 0.400)"),
        ({"2D": [count(0.93)]},
         "in sections, grains per area from 0 to 1 µm: 0.93 of the expected number, the aim is within 0.05 (error "
         "0.02)"),
        ({"3D": [count_in_space(1.0), count_in_space(1.18, low=1000.0)]},
         "in space, grains per volume from 1 to 2 µm: 1.18 of the expected number, the aim is within 0.15 (error "
         "0.02)"),
    ],
)  # fmt: skip
def test_profiles_volumes_and_counts_that_are_not_recovered_are_missed(made, tmp_path, changes, line):
    rows = [*(row(name) for name in TWO), *(row(name, "3D") for name in THREE)]
    for r in rows:
        r |= changes.get("rows", {}).get((r["dimension"], r["descriptor"]), {})
    counts = {"2D": [count(1.0)], "3D": [count_in_space(1.0)]} | {k: v for k, v in changes.items() if k != "rows"}
    headline, missed, _ = verdict_of(changed(made, tmp_path, distances=rows, counts=counts, truth="a-phantom"))
    assert missed == [line]
    assert headline == "Not all aims are reached: 1 aim is missed."


def test_counts_within_their_error_are_no_miss_and_counts_without_one_are_not_judged(made, tmp_path):
    rows = [row(name) for name in TWO]
    wide = changed(made, tmp_path / "a", distances=rows, counts={"2D": [count(1.3, 0.35)], "3D": []})
    assert verdict_of(wide)[1] == []
    none = changed(made, tmp_path / "b", distances=rows, counts={"2D": [count(1.3, None)], "3D": []})
    _, missed, unknown = verdict_of(none)
    assert missed == []
    assert "grains per area by distance: 2 sections give no error, three are needed" in unknown


def test_areas_that_a_baseline_has_as_well_are_said_to_say_little(made, tmp_path):
    rows = [row(name, baseline_w1=0.019 if name == "area_nm2" else 1.0) for name in TWO]
    _, _, unknown = verdict_of(changed(made, tmp_path, distances=rows, counts={"2D": [count(1.0)], "3D": []}))
    assert unknown[-1].startswith("sizes: Poisson-Voronoi shows areas as near to the measured ones (W1 0.019")


def test_baseline_as_good_as_the_truth_is_no_miss(made, tmp_path):
    rows = [row("elongation", w1=0.01, baseline_w1=0.02), row("angle_to_radius", baseline_w1=0.019)]
    _, missed, unknown = verdict_of(changed(made, tmp_path, distances=rows))
    assert missed == []
    assert unknown[-1].endswith(
        "Poisson-Voronoi in elongation (in sections), Poisson-Voronoi in angle to the radius (in sections)"
    )


def test_both_laws_of_the_intensity_are_shown_with_their_counts(made, tmp_path, numbers):
    other = numbers["laws"][0] | {
        "law": "by-distance", "knots_nm": [0.0, 4000.0], "per_nm3": [1e-8, 2e-8], "counts": [count(1.02)],
    }  # fmt: skip
    laws = [numbers["laws"][0] | {"counts": [count(1.4)]}, other]
    chosen = {"law": "by-distance", "why": "For a reason.", "criteria": [30.0, 12.0]}
    text = changed(made, tmp_path, laws=laws, chosen=chosen)
    table = table_of(text, "each of which follows the visible grains near it (Eq. 13).")
    assert "For a reason." in text
    assert table["by-distance"][0] == "yes"
    assert table["by-distance"][1] == "10 at 0 µm, 20 at 4 µm"
    assert table["constant"][-1] == "0.40"
    assert "30.0, 12.0" in text


def test_comparison_with_the_sections_of_the_training_is_said_to_flatter(made, tmp_path, numbers):
    names = {**numbers["sections"], "held_out": [], "kept": numbers["sections"]["held_out"], "dropped": []}
    text = changed(made, tmp_path, sections=names)
    assert "so the distances are optimistic" in text
    assert "None was dropped" in text


def test_numbers_that_are_read_and_written_again_are_the_same_file(made, tmp_path):
    read_results(made / NUMBERS).write(tmp_path / NUMBERS)
    assert (tmp_path / NUMBERS).read_bytes() == (made / NUMBERS).read_bytes()


def _without(key):
    def damage(folder):
        path = folder / NUMBERS
        content = json.loads(path.read_text(encoding="utf-8"))
        del content[key]
        path.write_text(json.dumps(content), encoding="utf-8")

    return damage


def _arrays(**changes):
    def damage(folder):
        path = folder / SECTIONS
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        arrays |= changes
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})

    return damage


def _cut(name, share):
    def damage(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return damage


def _overwritten(folder):
    content = bytearray((folder / SECTIONS).read_bytes())
    content[200:600] = b"\xff" * 400
    (folder / SECTIONS).write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "calibration.json").unlink(), r"calibration\.json: No such file"),
        (lambda folder: (folder / "sections.npz").unlink(), r"sections\.npz: no such file"),
        (_cut("calibration.json", 0.5), r"calibration\.json: damaged"),
        (lambda folder: (folder / "calibration.json").write_bytes(b"\xff\xfe{"), r"calibration\.json: damaged"),
        (lambda folder: (folder / "calibration.json").write_text("[]"), r"calibration\.json: "),
        (_without("fits"), r"calibration\.json: fits: Field required"),
        (_without("distances"), r"calibration\.json: distances: Field required"),
        (_cut("sections.npz", 0.5), r"sections\.npz: damaged"),
        (_cut("sections.npz", 0), r"sections\.npz: damaged"),
        (_overwritten, r"sections\.npz: damaged"),
        (_arrays(generated_1=None), r"sections\.npz: lacks 'generated_1', expected it for section 'particle 6'"),
        (_arrays(dropped_0_place=None), r"sections\.npz: lacks 'dropped_0_place'"),
        (_arrays(measured_0=np.zeros((4, 4), np.int32)), r"sections\.npz: measured_0 is int32 of shape \(4, 4\)"),
        (_arrays(measured_0=np.ones((4, 4))), r"sections\.npz: measured_0 is float64"),
        (_arrays(measured_0_place=np.array([0.0, 1, 1])), r"sections\.npz: measured_0_place is \[0\.0, 1\.0, 1\.0\]"),
    ],
)
def test_missing_or_damaged_files_are_named(made, tmp_path, damage, message):
    folder = shutil.copytree(made, tmp_path / "out")
    damage(folder)
    with pytest.raises(StoreError, match=message):
        report_grain_calibration(folder, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_distances_that_lack_a_number_are_refused(made, tmp_path, numbers):
    lacking = [{key: value for key, value in of.items() if key != "voronoi_w1"} for of in numbers["distances"]]
    with pytest.raises(StoreError, match=r"calibration\.json: distances\.0\.baselines\.voronoi\.w1"):
        changed(made, tmp_path, distances=lacking)


def test_training_that_was_never_assessed_is_refused(made, tmp_path, numbers):
    history = [{key: value for key, value in e.items() if key != "distances"} for e in numbers["training"]]
    with pytest.raises(StoreError, match=r"calibration\.json: training: found no epoch with distances"):
        changed(made, tmp_path, training=history)


def test_report_into_a_file_is_refused(made, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="expected a folder for the report"):
        report_grain_calibration(made, tmp_path / "taken")
