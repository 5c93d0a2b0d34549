"""The command line."""

from nmcdist.cli.entry import cli, main

__all__ = ["cli", "main"]
