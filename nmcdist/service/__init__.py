"""Releases over HTTP: stores for any Zarr client, catalogs, pages, and queries. Read-only, for `nmcdist serve`."""
