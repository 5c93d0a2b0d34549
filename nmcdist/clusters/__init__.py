"""Where a run is computed: one module per kind of cluster, and what these share.

A kind is a :class:`nmcdist.clusters.cluster.Cluster`, found by the name that a deployment file gives it.
"""
