"""Segmentation of grey images, above all of FIB-SEM stacks: correction, features, a trained forest, clean-up."""
