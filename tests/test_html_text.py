"""What notebooks show of particles, bundles and plans: parsed by other programs, and equal to what is drawn."""

import base64
import io
import re
import subprocess
import sys
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import nmcdist
from nmcdist.bundle import (
    Bundle,
    FibreParameters,
    LevelCutParameters,
    PackingParameters,
    SphereParameters,
    list_bundles,
    load_bundle,
)
from nmcdist.html_text import bars, card, image
from nmcdist.products.memory import USABLE
from tests.conftest import BUNDLE, SMALL, TINY, net_arrays

EVIL = "<script>alert('1')</script> & \"more\" </td>"
VOID = ("img", "rect")
QUICK_S = 0.5


class Shown(HTMLParser):
    """The text and the tags of HTML; tags must be closed in the order in which they were opened."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.tags, self._open = [], [], []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def picture(self):
        (attributes,) = [attributes for tag, attributes in self.tags if tag == "img"]
        with Image.open(
            io.BytesIO(base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,")))
        ) as found:
            assert (found.width, found.height) == (int(attributes["width"]), int(attributes["height"]))
            return np.asarray(found.convert("RGB"))


def test_every_value_is_escaped():
    shown = Shown(
        card(EVIL, [(EVIL, EVIL)], image(np.zeros((3, 4, 3), np.uint8), EVIL) + bars([(EVIL, 0.5)]), [(EVIL, EVIL)])
    )
    assert "script" not in {tag for tag, _ in shown.tags}
    assert shown.texts.count(EVIL) == 7
    assert [attributes["alt"] for tag, attributes in shown.tags if tag == "img"] == [EVIL]


def test_a_row_without_a_value_is_left_out():
    assert Shown(card("a", [("b", ""), ("c", "d")])).texts == ["a", "c", "d"]


def test_a_picture_arrives_pixel_by_pixel():
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Shown(image(pixels, "noise")).picture(), pixels)


@pytest.mark.parametrize(
    ("share", "part", "is_over"), [(0.0, 0, False), (0.25, 0.25, False), (1.0, 1, False), (3.0, 1, True)]
)
def test_a_bar_has_the_length_of_its_share(share, part, is_over):
    whole, bar = [attributes for tag, attributes in Shown(bars([("memory", share)])).tags if tag == "rect"]
    assert float(bar["width"]) == part * float(whole["width"])
    usual = [attributes for tag, attributes in Shown(bars([("memory", 0.5)])).tags if tag == "rect"][1]["fill"]
    assert (bar["fill"] != usual) == is_over


def test_a_particle_is_shown_by_its_section(small_bundle):
    particle = nmcdist.generate_particle(small_bundle, seed=3, index=1)
    start = time.process_time()
    shown = Shown(particle._repr_html_())
    assert time.process_time() - start < QUICK_S
    assert str(int(particle.kept.sum())) in shown.texts
    picture, labels = shown.picture(), particle.section(2 * particle.reach_nm / 200)[::-1]
    rows, columns = (np.flatnonzero(labels.any(axis=axis)) for axis in (1, 0))
    labels = np.pad(labels, 1)[rows[0] : rows[-1] + 3, columns[0] : columns[-1] + 3]
    outside = (picture == 255).all(axis=-1)
    assert picture.shape[:2] == labels.shape
    assert not (outside & (labels > 0)).any()
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5


def test_a_particle_without_grains_is_shown_by_its_numbers(small_bundle):
    import dataclasses

    particle = nmcdist.generate_particle(small_bundle, seed=3)
    none = dataclasses.replace(particle, kept=np.zeros_like(particle.kept))
    assert "img" not in {tag for tag, _ in Shown(none._repr_html_()).tags}


NETS = {"superres-cba-20nm", "fib-sem-unet-2026"}  # which draw nothing
OF_MODELS = {
    "cba-cathode-2025": lambda: load_bundle(BUNDLE),
    **{name: lambda name=name: load_bundle(name) for name in list_bundles() if name not in {BUNDLE, *NETS}},
    "fibres": lambda: Bundle.of(
        "fibres", EVIL, FibreParameters(intensity_per_nm3=2e-9, radius_mean_nm=100.0, length_nm=5000.0), licence="MIT"),
    "balls": lambda: Bundle.of(
        "balls", EVIL, SphereParameters(intensity_per_nm3=1e-7, radius_mean_nm=100.0), licence="MIT"),
    "field": lambda: Bundle.of(
        "field", EVIL, LevelCutParameters(threshold=0.3, scales_nm=(100.0,), weights=(1.0,)), licence="MIT"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_MODELS)
def test_a_bundle_is_shown_by_what_it_draws(name):
    bundle = OF_MODELS[name]()
    first = bundle._repr_html_()  # which compiles or loads kernels
    start = time.process_time()
    assert bundle._repr_html_() == first
    assert time.process_time() - start < QUICK_S
    shown = Shown(first)
    assert bundle.title in shown.texts
    assert set(bundle.values) <= set(shown.texts)
    assert len(first) < 50_000
    picture = shown.picture()
    colours, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    assert len(colours) >= 2
    assert counts.max() < 0.97 * counts.sum()
    assert any(re.fullmatch(r"section(?: of a particle)?, [\d.e+]+ µm wide", text) for text in shown.texts)


def test_the_picture_of_a_field_has_its_volume_fraction():
    bundle = OF_MODELS["balls"]()
    pores = (Shown(bundle._repr_html_()).picture() == (222, 226, 230)).all(axis=-1).mean()
    expected = np.exp(-1e-7 * 4 / 3 * np.pi * 100.0**3)  # of a Boolean model
    assert pores == pytest.approx(expected, abs=0.15)  # a window of a few dozen balls


@pytest.mark.parametrize(
    "bundle",
    [lambda: load_bundle("nmc811-radial").with_parameters(grain_intensity_per_nm3=1e-3),  # billions of seeds
     lambda: load_bundle(BUNDLE).with_parameters(lambda_Y_per_nm3=1e9),
     lambda: Bundle.of("packed", "P", PackingParameters(radius_mean_nm=100.0, ball_fraction=0.5), licence="MIT"),
     lambda: Bundle.model_validate(load_bundle("nmc811-stereological").model_dump(by_alias=True))],
    ids=["too many grains", "too many germs", "a whole box", "no arrays"],
)  # fmt: skip
def test_what_would_take_long_has_no_picture(bundle):
    bundle = bundle()
    start = time.perf_counter()
    shown = Shown(bundle._repr_html_())
    assert time.perf_counter() - start < 4 * QUICK_S
    assert "img" not in {tag for tag, _ in shown.tags}
    assert bundle.title in shown.texts


def test_arrays_are_listed(net_bundle):
    shown = Shown(net_bundle._repr_html_())
    assert set(net_arrays((60, 64, 64, 4))) <= set(shown.texts)


@pytest.mark.parametrize("recipe", [TINY, {**SMALL, "bundle": "nmc811-radial"}], ids=["volumes", "particles"])
def test_a_plan_is_shown_with_what_it_needs(tmp_path, recipe):
    plan = nmcdist.plan({**recipe, "title": EVIL}, tmp_path / "not" / "there", workers=0, memory="1GiB")
    start = time.perf_counter()
    shown = Shown(plan._repr_html_())
    assert time.perf_counter() - start < QUICK_S
    said = plan.summary()
    for text in shown.texts:
        assert text in said or text == "Plan" or text.startswith(("memory: ", "disk: "))
    assert sum(text.startswith(("memory: ", "disk: ")) for text in shown.texts) == 2
    whole, memory = [float(attributes["width"]) for tag, attributes in shown.tags if tag == "rect"][:2]
    assert memory / whole == pytest.approx(plan.task_bytes / (USABLE * 2**30), abs=1e-3)


def test_pictures_need_no_matplotlib():
    code = "import sys; sys.modules['matplotlib'] = None\nimport nmcdist\n"
    code += f"assert 'data:image/png' in nmcdist.load_bundle({BUNDLE!r})._repr_html_()\n"
    code += "assert 'data:image/png' in nmcdist.generate_particle('nmc811-radial', seed=1, index=2)._repr_html_()\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
