"""Campaigns: evaluations that look for the structure with wanted properties, one after another or many at once."""
