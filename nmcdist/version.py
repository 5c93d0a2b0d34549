"""The version, which stores and fingerprints include."""

__version__ = "0.1.0"
