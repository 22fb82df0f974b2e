"""
The simulator: a provider that comes with Narrows, needs no key and misbehaves on demand.

A real HTTP server that the edge reaches through its ordinary upstream client. Read `server.py` for the life of
a call, `knobs.py` for what a request may ask of it, `answers/` for what it says.
"""
