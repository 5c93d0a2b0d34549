"""The version, which stores and fingerprints carry."""

__version__ = "0.1.0"
