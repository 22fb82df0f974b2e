"""Providers as they really are, for the acceptance test `upstream_reality`."""
