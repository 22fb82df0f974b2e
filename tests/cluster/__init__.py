"""Narrows in a real Kubernetes: a cluster, a release of the chart in it, and load on the release."""
