"""The report of a calibration of grains."""

from nmcdist.report.grain_calibration.page import headline, report_grain_calibration

__all__ = ["headline", "report_grain_calibration"]
