"""Export: one item of a dataset as a file (or a folder of files) that other programs read."""
