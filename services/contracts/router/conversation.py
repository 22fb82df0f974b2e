"""
The router's two RPCs, as data for `kit/rpc`.

Watch: an edge says what it holds and what it took, the router says what there is. Report: an edge says how attempts
ended, the router says who is ejected. Nothing on either is a question with one answer, so no keys are
outstanding; what got lost with a stream is said anew on the next.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from services.contracts.router.codec import ACKS, HEALTH, OUTCOMES, SNAPSHOTS
from services.contracts.router.values import Ack, Outcome, ReportItem, TargetHealth, WatchItem
from services.kit.rpc.link import Conversation


def _settles_nothing(item: WatchItem | TargetHealth) -> Hashable | None:
    return None


def _no_traceparents(acks: Sequence[Ack]) -> Sequence[str]:
    return ()


def outcome_traceparents(items: Sequence[ReportItem]) -> Sequence[str]:
    """The sampled requests that outcomes are of."""
    return [item.traceparent for item in items if isinstance(item, Outcome) and item.traceparent]


WATCH: Conversation[Ack, WatchItem] = Conversation(
    dependency="router",
    method="/narrows.router.v1.Router/Watch",
    outgoing=ACKS,
    incoming=SNAPSHOTS,
    answers=_settles_nothing,
    traceparents=_no_traceparents,
)
REPORT: Conversation[ReportItem, TargetHealth] = Conversation(
    dependency="router",
    method="/narrows.router.v1.Router/Report",
    outgoing=OUTCOMES,
    incoming=HEALTH,
    answers=_settles_nothing,
    traceparents=outcome_traceparents,
)
