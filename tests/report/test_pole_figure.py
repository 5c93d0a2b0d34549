"""The map of crystal orientations: grains have the colours of an independent key."""

import numpy as np
import pytest

from nmcdist.datasets.particles import read_orientations, read_particle
from nmcdist.report import pole_figure
from nmcdist.report.style import figure

PIXELS = 120


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(pole_figure, "_PIXELS", PIXELS)
    monkeypatch.setattr(pole_figure, "_KEY_PIXELS", 100)


def test_grains_have_the_colours_of_damask_s_key(made_particles, tmp_path, monkeypatch):
    import damask

    store, seen, compared = made_particles / "small.zarr", [], 0
    monkeypatch.setattr(pole_figure, "place", lambda panel, picture, *_: seen.append(picture[::-1]))
    items = range(5)
    particles = [read_particle(store, item) for item in items]
    turns = [read_orientations(store, item) for item in items]
    path = pole_figure.orientation_maps("small", particles, turns, tmp_path / "a.png")
    assert path.exists()
    pixel = max(2.05 * particle.reach_nm for particle in particles) / PIXELS
    for picture, particle, known in zip(seen, particles, turns, strict=True):
        labels = particle.section(pixel)
        assert picture.shape == (*labels.shape, 4)
        drawn = {label: [] for label in np.unique(labels[labels > 0]).tolist()}
        for label, colour in zip(labels.ravel().tolist(), picture.reshape(-1, 4), strict=True):
            if label > 0 and not np.allclose(colour[:3], colour[0]):  # lines between grains are grey
                drawn[label].append(colour)
        shown = [label for label, colours in drawn.items() if colours]
        compared += len(shown)
        quaternions = np.array([known[label] for label in shown], dtype=float)
        quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
        expected = damask.Orientation.from_quaternion(quaternions, family="hexagonal").IPF_color([0.0, 0.0, 1.0])
        for label, colour in zip(shown, expected, strict=True):
            assert np.abs(np.array(drawn[label]) - [*colour, 1.0]).max() < 1e-5
        assert (picture[labels <= 0, 3] == 0).any()
    assert compared > 15


def test_the_key_shows_the_triangle_with_its_corners():
    with figure(1, 1, 3, 2) as (_, axes):
        pole_figure.draw_key(axes[0, 0])
        picture = np.asarray(axes[0, 0].images[0].get_array())
        texts = [text.get_text() for text in axes[0, 0].texts]
    inside = picture[..., 3] > 0
    # the stereographic projection of the triangle: a sector of 30 degrees of the unit disk, in a box of 1 by 0.5
    assert inside.mean() == pytest.approx(np.pi / 12 / 0.5, rel=0.02)
    assert picture[0, 0, :3] == pytest.approx([1, 0, 0])
    assert picture[0, -1, :3] == pytest.approx([0, 1, 0])
    blue = picture[inside][:, 2] - picture[inside][:, :2].max(axis=1)
    row, column = np.argwhere(inside)[blue.argmax()]
    assert (column / (picture.shape[1] - 1), row / (picture.shape[0] - 1) / 2) == pytest.approx((0.866, 0.5), abs=0.02)
    assert texts == ["$[0001]$", r"$[2\bar{1}\bar{1}0]$", r"$[10\bar{1}0]$"]
