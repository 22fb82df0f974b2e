"""How much: leases over counters, shared by every edge. Start at module.py; the rules are docs/leases.md."""
