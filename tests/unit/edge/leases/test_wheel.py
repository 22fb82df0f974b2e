"""The wheel: each lease comes out once, never early, and at most a slot late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.edge.leases.lease import Lease
from services.edge.leases.wheel import SLOT_S, Wheel
from tests.unit.edge.leases.desk import BUCKET


@given(times_s=st.lists(st.floats(1000, 1003), max_size=30), step_s=st.floats(0.003, 0.4))
def test_leases_come_out_once_at_or_a_little_after_their_time(times_s: list[float], step_s: float) -> None:
    wheel, out, now_s = Wheel(), [], 1000.0
    wanted = {}
    for number, at_s in enumerate(times_s):
        lease = Lease(BUCKET, number, limit=1, dead_at_s=0.0)
        wanted[number] = at_s
        wheel.put(lease, at_s)
    while wheel:
        now_s += step_s
        for lease in wheel.due(now_s):
            out.append(lease.sequence)
            assert wanted[lease.sequence] <= now_s + 1e-9
            assert now_s - wanted[lease.sequence] <= step_s + SLOT_S + 1e-9

    assert sorted(out) == sorted(wanted)
