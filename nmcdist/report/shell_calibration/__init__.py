"""The report of a calibration of shells."""

from nmcdist.report.shell_calibration.page import headline, report_shell_calibration

__all__ = ["headline", "report_shell_calibration"]
