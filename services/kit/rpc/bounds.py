"""
Bounds: how much may wait on one stream, and how big a message gets.

Every queue of a stream is bounded in items and in bytes, because either alone is no bound: a thousand chunks
of an answer are a gigabyte, a gigabyte of lease reports is ten million. The numbers of the wire are constants,
since both ends must agree on them; what waits is a `Bounds`, since each end may choose.
"""

from __future__ import annotations

from dataclasses import dataclass

MESSAGE_BYTES_MAX = 8 * 1024 * 1024
"""What gRPC refuses to send or take; both ends set it."""

MESSAGE_BYTES_CUT = 1024 * 1024
"""A batch is cut here: a bigger message would hold up everything behind it on the connection."""

ITEM_BYTES_MAX = MESSAGE_BYTES_MAX - 64 * 1024
"""An item alone in its message, with room for what the codec adds around it."""


CROWD_ITEMS = 3
PAUSE_S = 0.002
"""
When a message had this many urgent items, the next one leaves this much later. A message costs as much CPU as a dozen
items, so in a crowd they share; alone, nobody ever waits.
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may wait in one direction of one stream, and how long. Beyond it nothing is taken."""

    items_max: int = 16_384
    bytes_max: int = 32 * 1024 * 1024
    keys_max: int = 65_536
    """Keys outstanding at once; only asked where keys are kept."""
    leisure_s: float = 0.005
    """How long an item that nobody waits for may wait for company; 0: not at all."""
    patience_s: float = 0.250
    """How long nothing may come while something is owed, before the breaker opens; infinite: it never does."""


DEFAULT_BOUNDS = Bounds()
