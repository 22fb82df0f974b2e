"""
Narrows: the one strait that all traffic between applications and AI providers passes.

Read `app.py` first: it is the composition root, a table of the modules a process can be made of.
Imports go one way: app > services (never each other) > contracts, dialects > kit.
"""
