"""
Faults: requests that go wrong in every way a long-lived edge meets, some dozens a second, beside the bulk.

Providers that fail, cut, stall and write nonsense; clients that leave at each stage, send half a request or nothing
that is HTTP; names that nobody has seen before. Each fault checks that the edge answered as it must.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from tests.harness.crowd import Outcome, ask

SIMULATOR = "/v1/local/faults/simulator/chat/completions"
AT_ONCE = 8
NOBODY_ANSWERED = "TimeoutError"
CHAT = {"model": "simulator-small", "messages": [{"role": "user", "content": "x"}]}
STREAM = {**CHAT, "stream": True}
SLOW = {"x-simulator-chunks": "50", "x-simulator-chunk-delay-ms": "20"}

Fault = Callable[[int], Awaitable[bool]]


class Faults:
    """Runs its faults in turn until told to stop. `wrong`: how often the edge did not answer as it must, by fault."""

    def __init__(self, edge: str) -> None:
        self._edge = edge
        parts = urlsplit(edge)
        self._address = parts.hostname or "", parts.port or 80
        self._numbers = itertools.count()
        self.sent = 0
        self.wrong: Counter[str] = Counter()

    async def run(self, is_enough: Callable[[], bool]) -> None:
        """Several at a time."""
        faults = itertools.cycle(self._all())

        async def work() -> None:
            while not is_enough():
                name, fault = next(faults)
                self.sent += 1
                if not await fault(next(self._numbers)):
                    self.wrong[name] += 1

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    def _all(self) -> tuple[tuple[str, Fault], ...]:
        return (
            ("provider fails", lambda _: self._answers(502, 503, header=("x-simulator-status", "503"))),
            ("provider cuts", lambda _: self._breaks({"x-simulator-cut-after": "3"})),
            ("provider writes nonsense", lambda _: self._breaks({"x-simulator-malformed-after": "3"})),
            ("client leaves a stalled stream", lambda _: self._leaves({"x-simulator-stall-after": "2"}, after_s=0.1)),
            ("client leaves a stream", lambda _: self._leaves(SLOW, after_s=0.05)),
            ("client leaves before the head", lambda _: self._leaves({"x-simulator-latency-ms": "500"}, after_s=0.05)),
            ("client sends half a request", lambda _: self._sends(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Le", b"")),
            ("client sends no HTTP", lambda _: self._sends(b"\x16\x03\x01\x00\xa5 %b\r\n\r\n", b"400")),
            ("fallback", self._falls_back),
            ("no such gateway", self._finds_no_gateway),
            ("new key and model", self._has_new_names),
        )

    async def _answers(self, *statuses: int, header: tuple[str, str]) -> bool:
        outcome = await self._ask(SIMULATOR, STREAM, dict([header]))
        return outcome.status in statuses

    async def _breaks(self, headers: dict[str, str]) -> bool:
        """A stream that began and whose end never comes, as its reader sees it; and he need not wait for that."""
        outcome = await self._ask(SIMULATOR, STREAM, headers)
        is_broken = outcome.status == 0 or b"[DONE]" not in outcome.body
        return is_broken and bool(outcome.headers) and not outcome.error.startswith(NOBODY_ANSWERED)

    async def _falls_back(self, number: int) -> bool:
        step = {"provider": "simulator", "endpoint": "chat/completions", "query": CHAT}
        failing = {**step, "headers": {"x-simulator-status": "500"}, "config": {"maxAttempts": 2, "retryDelay": 1}}
        outcome = await self._ask("/v1/local/faults", [failing, step], {})
        return outcome.status == 200 and outcome.headers.get("cf-aig-step") == "1"

    async def _finds_no_gateway(self, number: int) -> bool:
        outcome = await self._ask(f"/v1/local/unknown-{number}/openai/chat/completions", CHAT, {})
        return outcome.status in (400, 404)

    async def _has_new_names(self, number: int) -> bool:
        headers = {"cf-aig-metadata": json.dumps({"user": f"user-{number}", "team": number % 7})}
        named = {**CHAT, "model": f"model-{number}"}
        outcome = await self._ask("/v1/local/keyed/simulator/chat/completions", named, headers)
        return outcome.status in (200, 404)

    async def _leaves(self, headers: dict[str, str], *, after_s: float) -> bool:
        """Its own patience ends the exchange, and nothing else."""
        outcome = await ask(self._edge + SIMULATOR, STREAM, headers, timeout_s=after_s)
        return outcome.error.startswith(NOBODY_ANSWERED)

    async def _sends(self, octets: bytes, answer: bytes) -> bool:
        """Bare octets; what comes back has `answer` in its first line."""
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(octets % SIMULATOR.encode())
            return answer in await asyncio.wait_for(reader.readline(), 5) if answer else True
        finally:
            writer.close()

    async def _ask(self, path: str, document: object, headers: dict[str, str]) -> Outcome:
        return await ask(self._edge + path, document, headers, timeout_s=10)
