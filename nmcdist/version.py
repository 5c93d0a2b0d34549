"""The version, which stores and fingerprints include."""

__version__ = "0.2.0"
