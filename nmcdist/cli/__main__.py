"""``python -m nmcdist.cli``."""

from nmcdist.cli import main

main()
