"""Numbers printed in the CBA paper, set beside ours and never used to tune anything.

Gräfensteiner et al., Journal of Mathematics in Industry (2025), doi:10.1186/s13362-025-00174-z.
"""

from nmcdist.report.fits import LinearFit, PowerLaw

# Table 3: intensity of the graphite germs in nm^-3 -> volume fraction of graphite.
TABLE_3 = {
    2.21e-11: 0.0381,
    3.55e-11: 0.0605,
    4.93e-11: 0.0830,
    6.36e-11: 0.1057,
    7.81e-11: 0.1283,
    9.33e-11: 0.1512,
    1.09e-10: 0.1744,
}

# Table 1: volume fraction, surface area, integral of mean curvature and Euler number of graphite, per volume.
GRAPHITE_MEASURED = (0.10550, 0.0014526, 4.2043e-7, 1.6344e-9)
GRAPHITE_MODEL = (0.10569, 0.0014377, 4.5445e-7, -1.3038e-9)

CALIBRATED_GRAPHITE = 0.1057  # the level at which the paper quotes single M-factors
M_FACTOR_MODEL = {"solid": 0.0357, "pore": 0.2429}
M_FACTOR_MEASURED = {"solid": 0.0112, "pore": 0.3165}
POROSITY_MEASURED = 0.6686

LINEAR = {"solid": LinearFit(0.5588, -0.02061), "pore": LinearFit(-1.874, 0.4556)}  # Eq. (29)
POWER_LAW = PowerLaw(2.1939, 0.0, 5.0152)  # Eq. (28)
