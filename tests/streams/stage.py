"""
Stage: a whole Narrows before one provider that speaks every form of stream, and breaks as it is told to.

Every request carries a case, which is how the provider knows what to say, and an event id, which is how its log row is
found even if its client never heard of it. Nothing is asked past `Stage.ask` and `Stage.say`, so what was asked can be
compared with what was booked.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.fakes.faults import Telling
from tests.fakes.origin import Call, Origin
from tests.fakes.providers.streams import SPOKEN, Spoken
from tests.harness.deployment import Together
from tests.harness.http import Answer, Connection
from tests.harness.metrics import metrics_page, series
from tests.harness.processes import get_json

GATEWAY = "honest"
IDLE_MS = 1_000
DRAIN_S = 1
RECEIVE_BYTES = 256 * 1024
"""What the kernel keeps for a client, so that one that does not read is noticed."""
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: {gateway}}}
spec:
  providers: {providers}
  cache: {{ttlS: 300, maxEntryBytes: 67108864}}
  timeouts: {{idleMs: {idle_ms}}}
"""
_ROWS_S = 15.0

Row = dict[str, Any]
Listening = Callable[["Asked"], None]
"""Reads the answer, or does not."""


@dataclass
class Asked:
    """One request on a connection of its own, and what its client has heard. `left_at`: monotonic, when it left."""

    stage: Stage
    spoken: Spoken
    case: str
    event_id: str
    connection: Connection
    body: bytes
    headers: dict[str, str]
    listen: Listening
    answer: Answer | None = None
    left_at: float | None = None

    @property
    def heard(self) -> Answer:
        assert self.answer is not None, f"{self.case}: there was no answer"
        return self.answer

    @property
    def path(self) -> str:
        return f"/v1/local/{GATEWAY}/{self.spoken.provider}/{self.spoken.path}"

    def send(self) -> None:
        """The whole request."""
        self.connection.send("POST", self.path, self.headers, self.body)

    def send_half(self) -> None:
        """A request without the end of its body."""
        length = {"Content-Length": str(len(self.body))}
        self.connection.send("POST", self.path, self.headers | length, self.body[: len(self.body) // 2])

    def hear_head(self) -> None:
        self.answer = self.connection.head()

    def hear(self, size: int | None = None) -> None:
        """So much of the body, or all that comes."""
        answer = self.heard
        try:
            for chunk in self.connection.chunks(answer):
                answer.chunks.append(chunk)
                if size is not None and sum(map(len, answer.chunks)) >= size:
                    return
        except ConnectionError:
            return

    def leave(self) -> None:
        self.connection.close()
        self.left_at = time.monotonic()


@dataclass
class Stage:
    """`tellings`: what the provider says to a case."""

    narrows: Together
    origin: Origin
    tellings: dict[str, tuple[Telling, Spoken]] = field(default_factory=dict)
    calls: defaultdict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    asked_count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def provide(self, call: Call) -> None:
        """The provider."""
        case = (call.header(b"x-case") or b"").decode()
        self.calls[case].append(call)
        telling, spoken = self.tellings[case]
        telling(call, spoken)

    def say(self, telling: Telling, spoken: Spoken) -> None:
        """What the provider says to the next one who knows no cases, and asks once."""
        self.asked_count += 1
        self.tellings[""] = telling, spoken

    def wait_for_call(self, case: str, count: int = 1) -> None:
        """Until the provider has so many requests of this case."""
        deadline_s = time.monotonic() + 10
        while len(self.calls[case]) < count:
            assert time.monotonic() < deadline_s, f"{case}: the provider was not called"
            time.sleep(0.002)

    def ask(
        self, case: str, telling: Telling, spoken: Spoken, listen: Listening, headers: dict[str, str] | None = None
    ) -> Asked:
        """Ask once. The same case is the same question."""
        with self._lock:
            self.asked_count += 1
            event_id = f"event-{self.asked_count}"
        self.tellings[case] = telling, spoken
        body = json.dumps({**spoken.request, "user": case}).encode()
        own = {"Content-Type": "application/json", "x-case": case, "cf-aig-event-id": event_id, **(headers or {})}
        with Connection(self.narrows.url, receive_bytes=RECEIVE_BYTES) as connection:
            asked = Asked(self, spoken, case, event_id, connection, body, own, listen)
            listen(asked)
        return asked

    # What was booked.

    def rows_of(self, asked: Asked) -> list[Row]:
        """Every log row of one request."""
        filters = json.dumps([{"key": "event_id", "operator": "eq", "value": [asked.event_id]}])
        return self.narrows.logs(gateway=GATEWAY, query=f"?filters={quote(filters)}")

    def every_row(self) -> list[Row]:
        """All rows, once there are as many as were asked for; more are found, too."""
        deadline_s = time.monotonic() + _ROWS_S
        while self._row_count() < self.asked_count and time.monotonic() < deadline_s:
            time.sleep(0.1)
        rows: list[Row] = []
        while page := self.narrows.logs(
            gateway=GATEWAY, query=f"?per_page=50&page={len(rows) // 50 + 1}&order_by_direction=asc"
        ):
            rows += page
            if len(page) < 50:
                break
        return rows

    def _row_count(self) -> int:
        url = f"{self.narrows.admin}/client/v4/accounts/local/ai-gateway/gateways/{GATEWAY}/logs?per_page=1"
        answer = get_json(url)
        assert isinstance(answer, dict)
        return int(answer["result_info"]["total_count"])

    def counted(self, name: str, *labels: str, **only: str) -> Counter[tuple[str, ...]]:
        """The values of a metric, added up by these labels."""
        found: Counter[tuple[str, ...]] = Counter()
        for values, value in series(metrics_page(self.narrows.processes["narrows"]), name, **only):
            found[tuple(values[label] for label in labels)] += value  # type: ignore[assignment]  # whole
        return found


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Everything started and ready."""
    stage: list[Stage] = []
    with Origin(lambda call: stage[0].provide(call)) as origin:
        providers = json.dumps({name: {"baseURL": origin.url} for name in sorted({each.provider for each in SPOKEN})})
        resources = RESOURCES.format(gateway=GATEWAY, providers=providers, idle_ms=IDLE_MS)
        with Together(folder, resources=resources, environment={"NARROWS_DRAIN_S": str(DRAIN_S)}) as narrows:
            stage.append(Stage(narrows, origin))
            yield stage[0]
