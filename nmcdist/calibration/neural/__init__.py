"""Training of the neural generator on sections."""
