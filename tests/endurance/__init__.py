"""Endurance: a load of many kinds for a long time, and what the edge holds meanwhile."""
