"""Figures and tables from a finished dataset, with the published values beside ours."""

from nmcdist.report.build import RESOLUTIONS_NM, build_report

__all__ = ["RESOLUTIONS_NM", "build_report"]
