"""Figures, tables and pages: what the reports of stores and of calibrations are made of."""
