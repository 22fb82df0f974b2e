"""Hostile input: what attacks the data port, the provider behind it, and the good client beside it."""
