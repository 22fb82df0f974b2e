"""
Scenes for secrets: an edge that everybody listens to, and requests that carry a canary wherever a secret may stand.

Each place has another canary, so what is found tells where it came from. `Scene.leaks` searches everything that the
edge has said: answers, log rows, payloads, the process' log, spans, metrics, what went to other services, and files.
"""

from __future__ import annotations

import json
from itertools import count

import pytest

from services.contracts.router.values import StoredKeys
from services.kit.telemetry.logs import JsonLines, TextLines
from tests.fakes.tracer import NotedSpan, NotingTracer
from tests.protocol.port.edges import RunningEdge
from tests.protocol.port.overhearing import Overhearing
from tests.protocol.port.provider import Provider
from tests.protocol.port.raw import RawAnswer, RawClient, post

TOKEN = "canary-token-71c9e2"
STORED = "canary-stored-40d7b1"
SEAL = "canary-seal-d98a33"
PROXY = "canary-proxy-5b6f0e"
STANDING = {"token": TOKEN, "stored": STORED, "seal": SEAL, "proxy": PROXY}
"""Secrets of the operator, the same in every scene."""

HEADERS = {
    "authorization": "Authorization: Bearer {}",
    "x-api-key": "x-api-key: {}",
    "api-key": "api-key: {}",
    "x-goog-api-key": "X-Goog-Api-Key: {}",
    "xi-api-key": "xi-api-key: {}",
    "proxy-authorization": "Proxy-Authorization: Basic {}",
    "cookie": "Cookie: session={}; other=1",
    "amazon": "X-Amz-Security-Token: {}",
    "referer": "Referer: https://user:{}@app.test/",
}
"""Where a client may put a secret of its own."""

PROVIDERS = """\
  providers:
    openai: {{baseURL: "{url}/v1"}}
    anthropic: {{baseURL: "{url}", keys: [{{valueFrom: {{env: STORED}}}}]}}
    google-ai-studio: {{baseURL: "{url}"}}
    parallel: {{baseURL: "http://203.0.113.7:81"}}
    groq: {{baseURL: "http://127.0.0.1:1"}}
  authentication: {{tokens: [{{name: ci, valueFrom: {{env: TOKEN}}}}]}}
"""
GATEWAYS = {
    "main": "  timeouts: {{idleMs: 100}}",
    "cached": "  cache: {{ttlS: 300}}",
    "limited": "  limits: [{{name: one, unit: requests, limit: 1, windowS: 3600, technique: fixed}}]",
    "keyed": (
        "  limits:"
        " [{{name: keyed, unit: requests, limit: 1000, windowS: 3600, technique: fixed, key: [header.authorization,"
        " header.x-api-key, header.api-key, header.x-goog-api-key, header.xi-api-key, header.cookie,"
        " header.x-amz-security-token, header.cf-aig-authorization]}}]"
    ),
    "discreet": "  logs: {{payloads: false}}",
}
_numbers = count(1)


class Faulty(NotingTracer):
    """A tracer that breaks when a span of that name begins or ends, with words that nobody may read."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks_at = ""
        self.words = ""

    def start(self, name: str, **rest: object) -> NotedSpan | None:
        if name == self.breaks_at:
            raise RuntimeError(self.words)
        span = super().start(name, **rest)  # type: ignore[arg-type]
        if span is not None and self.breaks_at == f"end of {name}":
            span.end = self._break  # type: ignore[method-assign]
        return span

    def _break(self, **_: object) -> None:
        raise RuntimeError(self.words)


class Stage:
    """The edge that all scenes share, with everybody who listens."""

    def __init__(self, edge: RunningEdge, provider: Provider, tracer: Faulty, overhearing: Overhearing) -> None:
        self.edge = edge
        self.provider = provider
        self.tracer = tracer
        self.overhearing = overhearing


class Scene:
    """One test's secrets, what it asked, and what was said of it."""

    def __init__(self, stage: Stage, client: RawClient) -> None:
        self.stage = stage
        self.client = client
        self.number = next(_numbers)
        self.answers: list[RawAnswer] = []
        self.heard = b""
        self._canaries = dict(STANDING)

    def canary(self, place: str) -> str:
        """The secret that stands in that place."""
        return self._canaries.setdefault(place, f"canary-{place}-{self.number:04x}")

    @property
    def headers(self) -> list[bytes]:
        """Every header that may hold a secret, and the gateway's token."""
        own = [text.format(self.canary(place)).encode() for place, text in HEADERS.items()]
        return [*own, b"cf-aig-authorization: Bearer " + TOKEN.encode()]

    def target(self, path: str = "openai/chat/completions", gateway: str = "main") -> str:
        """An address whose query holds secrets."""
        return f"/v1/local/{gateway}/{path}?key={self.canary('query')}&X-Amz-Signature={self.canary('signature')}"

    @property
    def body(self) -> bytes:
        """What a person said."""
        return json.dumps({"model": "m", "messages": [{"content": self.canary("prompt")}]}).encode()

    def post(self, path: str = "openai/chat/completions", *more: bytes, gateway: str = "main") -> bytes:
        """A request with all of it."""
        return post(self.target(path, gateway), self.body, *self.headers, *more)

    async def ask(self, octets: bytes) -> RawAnswer:
        """Ask, and keep the answer for the search."""
        answer = await self.client.ask(octets)
        self.answers.append(answer)
        return answer

    async def said(self, caplog: pytest.LogCaptureFixture) -> dict[str, bytes]:
        """Everything that the edge has said since the stage was set, by where it said it."""
        edge, overhearing = self.stage.edge, self.stage.overhearing
        await edge.quiet()
        await edge.edge.spool.drain(1)
        batches = edge.shelf.batches
        lines = [TextLines().format(record) + JsonLines().format(record) for record in caplog.records]
        answers = [b"%b%b%b" % (each.line, repr(each.headers).encode(), each.body) for each in self.answers]
        spans = [repr(vars(span)) for span in self.stage.tracer.spans]
        return {
            "answers": b"\n".join(answers) + self.heard,
            "rows": b"\n".join(batch.rows for batch in batches),
            "payloads": b"\n".join(batch.bodies for batch in batches),
            "log": "\n".join([*lines, caplog.text]).encode(),
            "spans": "\n".join(spans).encode(),
            "metrics": edge.metrics.render(),
            "files": b"\n".join(path.read_bytes() for path in (edge.folder / "edge").rglob("*") if path.is_file()),
            **{purpose: overhearing.octets(purpose, without=(StoredKeys,)) for purpose in overhearing.items},
        }

    async def leaks(self, caplog: pytest.LogCaptureFixture) -> set[tuple[str, str]]:
        """Where a secret was found, and which."""
        said = await self.said(caplog)
        return {
            (where, place)
            for where, octets in said.items()
            for place, canary in self._canaries.items()
            if canary.encode() in octets.lower()
        }
