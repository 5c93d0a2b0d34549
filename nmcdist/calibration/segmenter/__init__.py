"""Segmentation of grey images by nets that were trained on drawn images alone, without any label by hand."""
