"""Leases as an edge holds them: spent locally, asked for ahead, reported and given back. Start at ledger.py."""
