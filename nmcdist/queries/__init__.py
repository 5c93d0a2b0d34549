"""Queries on the descriptors of a store: a small safe grammar, masks over memory-mapped columns, histograms."""
