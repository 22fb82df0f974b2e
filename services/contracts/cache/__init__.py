"""The contract of edge and cache: lookups, fills, joins and run buffers."""
