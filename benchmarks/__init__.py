"""Ours and the peers on the same volumes, each in a process of its own, in one run."""
