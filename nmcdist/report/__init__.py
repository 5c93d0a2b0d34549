"""Figures and tables from a finished dataset, with the published values beside ours."""

from nmcdist.report.build import build_report

__all__ = ["build_report"]
