"""Limits: every bound and pause of the cache service, with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one replica holds, and how long it waits."""

    silent_s: float = 2.0
    """A filler that says nothing for that long is doubted: one that waits for it fills too."""

    abandoned_s: float = 900.0
    """A filler that says nothing for that long is gone; longer than any provider thinks before its first byte."""

    failures_max: int = 5
    """Fillers of one key that may fail one after the other; then those who wait go on alone, rather than in a row."""

    fills_max: int = 65_536
    """Keys under way at once."""

    calls_max: int = 65_536
    """Calls of one stream at once."""

    held_bytes_max: int = 256 * 1024 * 1024
    """Answers being filled, all together. Beyond it an answer is relayed and not kept."""

    replay_bytes_max: int = 4 * 1024 * 1024
    """An answer can be joined until it has grown to this; a stream takes no more than a few of these at once."""

    lease_ms: int = 3_000
    """A fill lease outlives its replica by that much at most."""

    lease_renewal_s: float = 1.0

    foreign_wait_s: float = 0.06
    """For the fill of another replica, which edges give 100 ms in all; then this replica fills as well."""

    foreign_poll_s: float = 0.02

    keeps_max: int = 256
    """Answers that wait to be written to the store; beyond it they are not stored."""

    tick_s: float = 0.1
    """Between two looks at who is silent."""

    part_bytes_max: int = 1024 * 1024
    """A hit that is larger travels in parts."""

    hit_bytes_max: int = 2 * 1024 * 1024
    """Hits put on one stream within `hit_pause_s` (200 MB/s); what is more waits, or it would flood the stream."""

    hit_pause_s: float = 0.01

    run_bytes_max: int = 32 * 1024 * 1024
    """Events of runs on their way to the store; beyond it they are dropped, and their runs forgotten for the hole."""

    stored_answers_bytes_max: int = 256 * 1024 * 1024
    """In a store in memory; in Redis its own `maxmemory` and the ttl decide."""

    stored_runs_bytes_max: int = 64 * 1024 * 1024
    """Likewise."""
