"""Figures and tables from a finished sweep, with the published values beside ours."""

from nmcdist.report.build import build_report

__all__ = ["build_report"]
