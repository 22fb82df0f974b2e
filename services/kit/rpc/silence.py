"""
Silence: when to stop waiting for a replica that says nothing.

Nothing here knows a socket: a `Silence` is told what was heard and how time passes, and answers what to do. Its
breaker opens when something is owed and nothing at all has come on the stream for 250 ms; only a probe that is
answered within 100 ms closes it. The other side echoes a probe at once, however busy its work is: an echo says that the
process lives, and a store behind it that does not is told in items. That is why a quiet stream is asked at half
of the time already: slow work on a living process must not be taken for death.

Hazard: a process that was itself held up has not listened, so it may not complain. Of a tick that comes late only
its own length counts as silence.
"""

from __future__ import annotations

from typing import Literal

from services.kit.rpc.bounds import DEFAULT_BOUNDS
from services.kit.rpc.outstanding import TICK_S

PROBE_EVERY_S = 0.250
PROBE_ANSWER_S_MAX = 0.100

Verdict = Literal["wait", "probe", "open"]


class Silence:
    """The breaker of one stream. Times are of a monotonic clock; `patience_s` infinite: it never opens."""

    def __init__(self, *, patience_s: float = DEFAULT_BOUNDS.patience_s) -> None:
        self.is_open = False
        self.is_owed = False
        """Something is to be answered."""
        self._patience_s = patience_s
        self._quiet_s = 0.0
        self._ticked_at_s = 0.0
        self._probe = 0
        self._probed_at_s = 0.0
        self._is_probing = False

    @property
    def is_watched(self) -> bool:
        """Ticks are wanted."""
        return self.is_open or self.is_owed

    @property
    def probe(self) -> int:
        """The number of the newest probe."""
        return self._probe

    def started(self, now_s: float) -> None:
        """A new stream stands; what was owed on the old one is not owed on this. An open breaker stays open."""
        self.is_owed = False
        self._is_probing = False
        self._quiet_s = 0.0
        self._ticked_at_s = now_s

    def owed(self, now_s: float) -> None:
        """Something is to be answered from now on."""
        if not self.is_owed:
            self.is_owed = True
            self._quiet_s = 0.0
            self._ticked_at_s = now_s

    def heard(self, *, is_still_owed: bool) -> None:
        """Anything has come on the stream."""
        self.is_owed = is_still_owed
        self._quiet_s = 0.0
        if not self.is_open:
            self._is_probing = False

    def echoed(self, probe: int, now_s: float) -> bool:
        """A probe came back; True if that closes the breaker."""
        is_answer = self.is_open and self._is_probing and probe == self._probe
        if not is_answer or now_s - self._probed_at_s > PROBE_ANSWER_S_MAX:
            return False
        self.is_open = False
        self._is_probing = False
        self._ticked_at_s = now_s
        return True

    def tick(self, now_s: float) -> Verdict:
        """Time has passed: wait on, send `probe`, or (having just opened) send it and give up what is owed."""
        passed_s = now_s - self._ticked_at_s
        self._ticked_at_s = now_s
        self._quiet_s += passed_s if passed_s <= 2 * TICK_S else TICK_S
        if self.is_open:
            return self._ask(now_s) if now_s - self._probed_at_s >= PROBE_EVERY_S else "wait"
        if self.is_owed and self._quiet_s >= self._patience_s:
            self.is_open = True
            self.is_owed = False
            self._ask(now_s)
            return "open"
        if self.is_owed and self._quiet_s >= self._patience_s / 2 and not self._is_probing:
            return self._ask(now_s)
        return "wait"

    def ask(self, now_s: float) -> None:
        """A new stream stands and the breaker is open: do not wait for the next tick."""
        self._ask(now_s)

    def _ask(self, now_s: float) -> Literal["probe"]:
        self._probe += 1
        self._probed_at_s = now_s
        self._is_probing = True
        return "probe"
