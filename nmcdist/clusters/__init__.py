"""Where a run is computed: one module for each kind of cluster."""
