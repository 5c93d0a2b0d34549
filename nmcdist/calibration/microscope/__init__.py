"""Virtual microscopes: grey images of known structures, with the faults that real images have."""

from nmcdist.calibration.microscope.packing import Packing, pack
from nmcdist.calibration.microscope.sections import FibSemPhantom, drifts_px, fib_sem, fib_sem_slice
from nmcdist.calibration.microscope.settings import FIB_SEM, NANO_CT, SETTINGS, FibSem, NanoCt
from nmcdist.calibration.microscope.tomogram import nano_ct

__all__ = [
    "FIB_SEM", "NANO_CT", "SETTINGS", "FibSem", "FibSemPhantom", "NanoCt", "Packing", "drifts_px", "fib_sem",
    "fib_sem_slice", "nano_ct", "pack",
]  # fmt: skip
