"""Surfaces: what a client may call. Each one builds a plan; what happens to a plan is the same for all."""
