"""Tables that look like stores of volumes, whose properties are known functions of the descriptors."""

import numpy as np
import pytest
import xarray as xr

PHASES = ("pore", "carbon_binder", "graphite", "solid")


def table_of_volumes(points, realisations, seed=1, noise=0.0):
    """Return a dataset in which M of the pores is eps^2 / tau^3, and the solid conducts if V1 is above 0.05."""
    random = np.random.default_rng(seed)
    count = points * realisations
    mu = np.repeat(random.uniform(0, 1.2, points), realisations)
    design = np.repeat(random.uniform(0.02, 0.2, points), realisations)
    graphite = design + 0.02 * random.standard_normal(count).clip(-0.9, 3)
    graphite = np.maximum(graphite, 0.005)
    binder = 0.4 - 0.25 * mu + 0.01 * random.standard_normal(count)
    pore = 1 - graphite - binder
    tortuosity = (1.05 + 1.2 * graphite)[:, None] + 0.02 * random.uniform(0, 1, (count, 3))
    m = pore[:, None] ** 2 / tortuosity**3 * (1 + noise * random.standard_normal((count, 1)))
    solid = np.where(graphite > 0.05, 10.0 ** (-3 + 10 * graphite), 0.0)[:, None] * np.ones(3)
    fractions = np.column_stack([pore, binder, graphite, graphite + binder])
    lags = np.array([0.0, 150.0, 400.0, 700.0])
    coverage = fractions[:, :, None] ** 2 + (fractions * (1 - fractions))[:, :, None] * np.exp(-lags / 300)
    paths = np.stack([tortuosity, tortuosity, np.full((count, 3), np.nan), tortuosity], axis=1)
    return xr.Dataset(
        {
            "volume_fraction": (("sample", "phase"), fractions),
            "surface_area": (("sample", "phase"), 0.01 * fractions * (1 - fractions)),
            "two_point_coverage": (("sample", "phase", "lag_nm"), coverage),
            "geodesic_tortuosity": (("sample", "phase", "axis"), paths),
            "m_factor": (("sample", "conduction", "axis"), np.stack([m, solid], axis=1)),
            "effective_conductivity": (("sample", "conduction", "axis"), np.stack([m, solid], axis=1)),
        },
        {
            "phase": list(PHASES),
            "lag_nm": lags,
            "axis": ["z", "y", "x"],
            "conduction": ["pore", "solid"],
            "mu": ("sample", mu),
            "graphite_fraction": ("sample", design),
            "realisation": ("sample", np.tile(np.arange(realisations), points)),
        },
        {"recipe": '{"volume": {"voxel_size_nm": 80.0}}', "bundle_hash": "f00"},
    )


@pytest.fixture(scope="session")
def volumes():
    return table_of_volumes(points=40, realisations=2, noise=0.01)


@pytest.fixture(scope="session")
def make_volumes():
    return table_of_volumes
