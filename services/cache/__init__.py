"""The cache: answers shared between edges, one fill for many identical requests, and run buffers."""
