"""Datasets of particles."""
