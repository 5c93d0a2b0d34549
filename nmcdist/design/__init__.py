"""Proposals from results: spaces, goals, emulators, and the next point to try. Arrays in, arrays out; no files."""
