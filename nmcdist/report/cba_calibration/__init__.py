"""The report of a calibration of the additive."""

from nmcdist.report.cba_calibration.page import headline, report_cba_calibration

__all__ = ["headline", "report_cba_calibration"]
