"""The outer shell model, fitted to CT images of particles."""
