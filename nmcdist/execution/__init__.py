"""Execution: do the tasks of a plan in this process or on Dask workers; each leaves a receipt in the journal."""
