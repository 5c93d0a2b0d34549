"""Export of one item of a dataset as a file (or a folder of files) for other programs."""
