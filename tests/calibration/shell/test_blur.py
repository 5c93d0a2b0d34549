"""Blur and noise of grey images: balls in closed form, measured edges, and shapes with the blur taken out."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.ndimage import gaussian_filter
from scipy.special import eval_legendre

from nmcdist.calibration.shell.blur import Edges, blurred_ball, left_by_blur, measured_edges, sharpened, true_radii
from nmcdist.calibration.shell.imaging import imaged, measured_noise
from nmcdist.calibration.shell.packing import packed
from nmcdist.calibration.shell.phase import phase_by_threshold

A00 = np.sqrt(4 * np.pi)
CUBIC = (1.0, 1.0, 1.0)


def test_a_blurred_ball_is_the_integral_over_its_shells():
    """A thin shell of radius s gives s / (r sigma sqrt(2 pi)) (exp(-(r - s)^2 / 2 sigma^2) - exp(-(r + s)^2 / ...))."""
    radius, at, sigma = 7.0, 6.2, 1.9

    def shell(s):
        rise = np.exp(-((at - s) ** 2) / (2 * sigma**2)) - np.exp(-((at + s) ** 2) / (2 * sigma**2))
        return s / (at * sigma * np.sqrt(2 * np.pi)) * rise

    assert blurred_ball(np.array([radius]), np.array([at]), sigma)[0] == pytest.approx(quad(shell, 0, radius)[0])


def test_true_radii_undo_the_blur():
    edges = Edges(2.0, 0.45)
    true = np.array([3.0, 6.0, 10.0, 50.0])
    seen = np.array([9.0, 6.0, 10.0, 50.0])
    for k, radius in enumerate(true):
        at = np.linspace(0.2, radius + 8, 20001)
        seen[k] = at[np.abs(blurred_ball(radius, at, 2.0) - 0.45).argmin()]
    assert true_radii(seen, edges) == pytest.approx(true, abs=2e-3)
    # For large balls, the middle level lies sigma^2 / R inside, as curvature moves it.
    assert true_radii(np.array([100.0]), Edges(2.0, 0.5))[0] - 100 == pytest.approx(0.04, rel=0.01)


@pytest.mark.parametrize("degree", [2, 5, 9])
def test_forms_fade_as_the_gaussian_kernel_on_a_sphere(degree):
    """Brute force: a layer c Y_l0 on a sphere adds the integral of the kernel times P_l; degree 1 is a shift."""
    seen, edges = 8.0, Edges(2.0, 0.4)
    radius = true_radii(np.array([seen]), edges)[0]

    def added(n):
        return quad(lambda t: np.exp((t - 1) * seen * radius / 4) * eval_legendre(n, t), -1, 1, epsabs=1e-12)[0]

    left = left_by_blur(np.array([seen]), edges, 9)[0]
    assert left[degree] == pytest.approx(max(added(degree) / added(1), 0.2), rel=1e-6)
    assert left[1] == 1.0


@pytest.fixture(scope="module")
def balls():
    """Balls apart, and their grey image: blur 1.2, noise of 6 % of the contrast, background 0.3, contrast -0.2."""
    stream = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    rows = np.zeros((27, 100))
    rows[:, 0] = A00 * stream.uniform(7, 11, 27)
    labels = packed((100,) * 3, rows, 17.0 + 33 * grid + stream.uniform(-0.5, 0.5, (27, 3)), CUBIC)
    grey = 0.3 - 0.2 * gaussian_filter((labels > 0).astype(np.float32), 1.2)
    return labels, rows, grey + 0.012 * stream.standard_normal(grey.shape).astype(np.float32)


def test_edges_and_noise_are_measured(balls):
    """Sigma 2 % and level 0.01: the modes are those of bins of 1/256, and balls are no planes."""
    grey = phase_by_threshold(balls[2], 1.6, "dark")
    edges = measured_edges(grey, CUBIC, "dark")
    assert edges.sigma == pytest.approx(np.hypot(1.2, 1.6), rel=0.02)
    assert edges.contrast == pytest.approx(-0.2, rel=0.02)
    assert edges.level == pytest.approx((0.3 - grey.threshold) / 0.2, abs=0.01)
    noise = measured_noise(grey, edges)
    # White noise after a Gaussian of 1.6 keeps the variance 1 / (4 pi 1.6^2)^(3/2); 4 standard errors are 3 %.
    assert noise.deviation == pytest.approx(0.06 * (4 * np.pi * 1.6**2) ** -0.75, rel=0.05)
    assert noise.sigma == pytest.approx(1.6, rel=0.05)


def test_edges_do_not_depend_on_blocks(balls):
    whole, parts = (phase_by_threshold(balls[2], 1.6, "dark", edge=edge) for edge in (100, 33))
    assert whole.threshold == parts.threshold
    for one, two in ((whole.phase, parts.phase), (whole.smooth, parts.smooth), (whole.counts, parts.counts)):
        assert np.array_equal(one, two)
    edges = [measured_edges(grey, CUBIC, "dark", edge=edge) for grey, edge in ((whole, 100), (parts, 33))]
    assert edges[0] == pytest.approx(edges[1], rel=1e-6)
    noise = [measured_noise(grey, edges[0], edge=edge) for grey, edge in ((whole, 100), (parts, 33))]
    assert noise[0] == pytest.approx(noise[1], rel=1e-9)


def test_a_packing_is_seen_as_the_image_was(balls):
    """The same particles through the measured blur and other noise: as many voxels, and as many changed by noise.

    27,500 voxel^2 of surface have 860 patches of 4 pi sigma^2, whose mean shift |d| scatters by 0.755 / sqrt(860) =
    2.6 %, and some 700 changed voxels by 3.8 %: the counts of two images differ by 26 % in 4 standard errors.
    """
    labels, _, image = balls
    grey = phase_by_threshold(image, 1.6, "dark")
    edges = measured_edges(grey, CUBIC, "dark")
    clear = imaged(labels, edges, None, 1).phase
    again = imaged(labels, edges, measured_noise(grey, edges), 1).phase
    assert again.sum() == pytest.approx(grey.phase.sum(), rel=0.005)
    assert (again != clear).sum() == pytest.approx((grey.phase != clear).sum(), rel=0.26)
    assert np.array_equal(imaged(labels, edges, None, 1, edge=41).phase, clear)


def test_sharpened_balls_have_their_own_radii():
    edges, radii = Edges(2.0, 0.45), np.array([6.0, 10.0])
    seen = np.zeros((2, 100))
    for row, radius in zip(seen, radii, strict=True):
        at = np.linspace(0.2, radius + 8, 20001)
        row[0] = A00 * at[np.abs(blurred_ball(radius, at, 2.0) - 0.45).argmin()]
    seen[:, 4] = 0.1
    found = sharpened(seen, edges)
    assert found[:, 0] / A00 == pytest.approx(radii, abs=2e-3)
    assert (found[:, 4] > 0.1).all()
    assert found[0, 4] > found[1, 4]
