"""Canaries and the places they are sought in, for the acceptance test `no_secret_leaves`."""
