"""Traces, metrics and logs: how a process is seen from outside."""
