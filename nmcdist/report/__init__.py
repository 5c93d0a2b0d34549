"""Figures, tables and pages of the reports on stores and calibrations."""
