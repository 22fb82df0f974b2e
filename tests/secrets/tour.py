"""
Tour: every way in which a secret enters a Narrows, gone once, with requests that are answered and ones that fail.

What comes back to whoever asked is one of the places that secrets are sought in: a refusal must not repeat a key, not
even to its owner, because answers are logged by clients and by what stands between.
"""

from __future__ import annotations

import contextlib
import json
import time
import urllib.parse
from collections.abc import Callable, Mapping
from functools import partial

from tests.fakes.origin import Call, Origin, answer
from tests.harness.deployment import Deployment
from tests.harness.http import Connection
from tests.harness.processes import status_of
from tests.secrets.canaries import Canary
from tests.secrets.search import Search

ANSWERED = "marker-answered"
ASKED = "marker-asked"
MODEL = "marker-model"
METADATA = "marker-metadata"
REFUSED = "marker-refused"

RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: vault}}
spec:
  authentication: {{required: true, tokens: [{{name: ci, valueFrom: {{env: GATEWAY_TOKEN}}}}]}}
  providers:
    openai: {{baseURL: "{url}/v1"}}
    anthropic: {{baseURL: "{url}", keys: [{{alias: default, valueFrom: {{env: STORED_KEY}}}}]}}
    google-ai-studio: {{baseURL: "{url}"}}
    groq: {{baseURL: "http://127.0.0.1:1"}}
    mistral: {{baseURL: "https://provider.test"}}
  cache: {{ttlS: 300}}
  limits:
    - {{name: caller, unit: requests, limit: 100000, windowS: 60, technique: fixed, key: [header.authorization]}}
    - {{name: key, unit: requests, limit: 100000, windowS: 60, technique: sliding, key: [header.x-api-key]}}
    - {{name: token, unit: requests, limit: 100000, windowS: 60, technique: fixed, key: [header.cf-aig-authorization]}}
    - {{name: cookie, unit: requests, limit: 100000, windowS: 60, technique: fixed, key: [header.cookie, token]}}
  logs: {{payloads: false}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: open}}
spec:
  providers:
    openai: {{baseURL: "{url}/v1"}}
    google-ai-studio: {{baseURL: "{url}"}}
    anthropic: {{baseURL: "{url}"}}
"""
MISTAKES = (
    "authentication: {{tokens: [{{name: a, value: {it}}}]}}",
    "authentication: {{tokens: [{{name: a, valueFrom: {it}}}]}}",
    "authentication: {{tokens: [{{name: a, valueFrom: {{{it}}}}}]}}",
    "authentication: {{tokens: [{{name: a, valueFrom: {{env: {it}}}}}]}}",
    "authentication: {{tokens: [{{name: a, valueFrom: {{env: '{it}-'}}}}]}}",
    "authentication: {{tokens: [{{name: a, valueFrom: {{file: {it}}}}}]}}",
    "authentication: {{tokens: [{{name: a, valueFrom: {{sha256: {it}}}}}]}}",
    "providers: {{openai: {{keys: [{it}]}}}}",
    "providers: {{openai: {{keys: {{default: {it}}}}}}}",
    "providers: {{openai: {{keys: [{{alias: default, {it}: x}}]}}}}",
    "providers: {{openai: {{baseURL: 'https://user:{it}@provider.test/'}}}}",
    "providers: {{openai: {{baseURL: 'https://provider.test/?key={it}'}}}}",
    'providers: {{openai: {{headers: {{x-team: "{it}\\n"}}}}}}',
    "authentication: {{tokens: [{{name: a, valueFrom: {{env: {it}",
)
"""Specs in which somebody wrote a secret where none belongs."""


def mistaken(secret: str) -> str:
    """A document for each mistake."""
    heads = (f"\n---\nkind: Gateway\nmetadata: {{namespace: local, name: {REFUSED}-{n}}}\nspec:\n  " for n in range(99))
    return "".join(head + spec.format(it=secret) for head, spec in zip(heads, MISTAKES, strict=False)) + "\n"


def provide(call: Call) -> None:
    """A provider that answers, fails and breaks off as the path wants; it never repeats what it was sent."""
    target = call.target
    if b"cut" in target:
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
        call.close()
    elif b"garbage" in target:
        call.send(b"what?\r\n\r\n")
        call.close()
    elif b"denied" in target:
        call.send(answer(b'{"error":{"message":"no"}}', status=401))
    elif b'"stream": true' in call.body:
        event = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % ANSWERED.encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        call.send(b"%b%x\r\n%b\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n" % (head, len(event), event))
    else:
        document = {"object": "chat.completion", "choices": [{"message": {"content": ANSWERED}}]}
        call.send(answer(json.dumps(document).encode()))


def _unreadable(secret: str) -> list[str]:
    """Requests with that secret that no parser takes."""
    target, host = f"/v1/local/vault/openai/v1/x?key={secret}", "Host: a\r\n"
    return [
        f"POST {target} HTTP/1.1\r\n{host}Authorization: {secret}\0\r\n\r\n",
        f"POST {target} HTTP/1.1\r\n{host}Authorization : {secret}\r\n\r\n",
        f"POST {target} HTTP/1.1\r\n{host}Authorization: {secret}\n {secret}\r\n\r\n",
        f"POST {target} {secret} HTTP/1.1\r\n{host}\r\n",
        f"POST {target} HTTP/9.9\r\n{host}\r\n",
        f"{secret} / HTTP/1.1\r\n{host}\r\n",
        f"GET {target} HTTP/1.1\r\n{host}Authorization: {secret}{'x' * 40_000}\r\n\r\n",
        f"POST {target} HTTP/1.1\r\n{host}Transfer-Encoding: {secret}\r\n\r\n0\r\n\r\n",
        f"POST {target} HTTP/1.1\r\n{host}Content-Length: {secret}\r\n\r\n",
        f"POST {target} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n{secret}\r\n",
    ]


class Tour:
    """Asks, and looks into every answer."""

    def __init__(self, narrows: Deployment, origin: Origin, canaries: Mapping[str, Canary], search: Search) -> None:
        self._narrows = narrows
        self._origin = origin
        self._secret = {name: canary.value for name, canary in canaries.items()}
        self._search = search

    def go(self) -> None:
        """All of it."""
        self._answered()
        self._refused()
        self._not_http()
        self._broken()
        self._administered()
        self._written_into_resources()

    @property
    def arrived(self) -> list[str]:
        """Canaries that a provider received; what was never sent cannot leak, and would make the search idle."""
        received = b"".join(
            call.line + b"".join(b"%b: %b\n" % pair for pair in call.headers) + call.body for call in self._origin.calls
        )
        return sorted(name for name, value in self._secret.items() if value.encode() in received)

    def _answered(self) -> None:
        secret = self._secret
        metadata = json.dumps({"team": METADATA})
        for name in ("authorization", "authorization of 9 KB"):
            own = {"Authorization": f"Bearer {secret[name]}", "cf-aig-metadata": metadata}
            for stream in (False, True, False):
                self._chat("vault/openai/v1/chat/completions", own, stream=stream)
                self._chat("open/openai/v1/chat/completions", own, text=ASKED, stream=stream)
        for gateway in ("vault", "open"):
            text = "" if gateway == "vault" else ASKED
            key = secret["query key"]
            self._chat(f"{gateway}/anthropic/v1/messages", {"x-api-key": secret["x-api-key"]}, text=text)
            self._chat(f"{gateway}/google-ai-studio/v1beta/models/m:generateContent?key={key}", {}, text=text)
            self._chat(f"{gateway}/openai/v1/chat/completions", {"Cookie": f"s={secret['cookie']}"}, text=text)
        self._chat("vault/anthropic/v1/messages", {})
        self._universal("chat/completions")

    def _refused(self) -> None:
        secret = self._secret
        key, wrong = secret["query key"], secret["wrong gateway token"]
        own = {"Authorization": f"Bearer {secret['authorization']}", "x-api-key": secret["x-api-key"]}
        self._chat("vault/openai/v1/chat/completions", {**own, "cf-aig-authorization": f"Bearer {wrong}"})
        self._chat("vault/openai/v1/chat/completions", {**own, "cf-aig-authorization": wrong})
        for place in (
            "vault/nobody/v1",
            "nowhere/openai/v1",
            "vault/openai/a/../b",
            "vault/run/1/resume",
            "vault/compat/x",
        ):
            self._chat(f"{place}?key={key}", own)
        self._chat(f"../../x?key={key}", own)
        self._chat("vault/openai/v1/chat/completions", {**own, "cf-aig-max-attempts": "many"})
        self._chat("vault/openai/v1/chat/completions", {**own, "cf-aig-byok-alias": "other"})
        self._ask("POST", "/v1/local/vault/openai/v1/x", {**own, "Content-Length": "99999999"}, b"")
        step = secret["key of a step"]
        for body in (
            [{"provider": "openai", "headers": {f"Authorization: Bearer {step}": ""}, "query": {}}],
            [{"provider": "openai", "headers": {"Authorization": f"Bearer\r\n{step}"}, "query": {}}],
            [{"provider": "openai", "headers": f"Bearer {step}", "query": {}}],
            [{"provider": "openai", "headers": [step], "config": step, "query": secret["body"]}],
            {"headers": {"authorization": step}},
        ):
            self._ask("POST", "/v1/local/vault", self._token(own), json.dumps(body).encode())
        self._ask("POST", "/v1/local/vault", self._token(own), f'[{{"headers": {{"a": "{step}'.encode())
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        protocol = {"Sec-WebSocket-Protocol": f"x, cf-aig-authorization.{secret['gateway token']}"}
        self._ask("GET", "/v1/local/vault/openai/v1/realtime", {**own, **upgrade, **protocol}, None)
        self._ask("GET", "/v1/local/vault", {**own, **upgrade, **protocol}, None)

    def _not_http(self) -> None:
        """Heads that no parser takes."""
        for secret in (self._secret["authorization"], self._secret["query key"]):
            for head in _unreadable(secret):
                self._talk(self._narrows.url, partial(Connection.write, content=head.encode()))

    def _broken(self) -> None:
        """Providers that refuse, break off, are not there, or are behind a proxy that refuses."""
        secret = self._secret
        own = {"Authorization": f"Bearer {secret['authorization']}", "x-api-key": secret["x-api-key"]}
        for path in ("openai/denied", "openai/cut", "openai/garbage", "groq/chat", "mistral/v1/chat/completions"):
            self._chat(f"vault/{path}?key={secret['query key']}", own)
            self._universal(path.partition("/")[2], provider=path.partition("/")[0])

    def _administered(self) -> None:
        right, wrong = self._secret["admin token"], self._secret["wrong admin token"]
        logs = "/client/v4/accounts/local/ai-gateway/gateways/vault/logs"
        for headers in ({}, {"Authorization": wrong}, {"Authorization": f"Bearer {wrong}"}):
            self._admin(logs, headers)
        told = {"Authorization": f"Bearer {right}"}
        for path in (f"{logs}?filters=[", f"{logs}?order_by=x", f"{logs}/x", "/nothing", "/status", "/metrics"):
            self._admin(path, told)
        for gateway in ("vault", "open"):
            self._look_into_logs(f"/client/v4/accounts/local/ai-gateway/gateways/{gateway}/logs", told)

    def _look_into_logs(self, logs: str, told: Mapping[str, str]) -> None:
        """Every row, each alone, and what was said."""
        deadline_s = time.monotonic() + 20
        rows: list[dict[str, object]] = []
        while not any(METADATA in json.dumps(row) for row in rows) and time.monotonic() < deadline_s:
            time.sleep(0.5)
            rows = json.loads(self._admin(f"{logs}?per_page=50", told))["result"]
        for row in rows:
            for more in ("", "/request", "/response"):
                self._admin(f"{logs}/{row['id']}{more}", told)

    def _written_into_resources(self) -> None:
        """Mistakes of an operator are refused and shown, on `/status` of the router and of the admin port."""
        right = {"Authorization": f"Bearer {self._secret['admin token']}"}
        file = self._narrows.resources_file
        self._narrows.write_resources(file.read_text() + mistaken(self._secret["written into a resource"]))
        deadline_s = time.monotonic() + 20
        while f"{REFUSED}-{len(MISTAKES) - 2}" not in self._admin("/status", right):
            assert time.monotonic() < deadline_s, "the refused resources were not shown"
            time.sleep(0.2)

    def look_at_processes(self) -> None:
        """What each process shows of itself, also to its neighbours on the machine."""
        for process in self._narrows.processes.values():
            assert status_of(f"http://{process.health}/readyz") == 200
            for path, place in (("/status", "status"), ("/metrics", "metrics")):
                with Connection(f"http://{process.health}") as connection:
                    connection.send("GET", path)
                    self._search.look(place, connection.answer().body, at=process.name)
            with open(f"/proc/{process.pid}/cmdline", "rb") as arguments:
                self._search.look("process arguments", arguments.read(), at=process.name)

    def _universal(self, endpoint: str, *, provider: str = "openai") -> None:
        secret = self._secret
        step = {
            "provider": provider,
            "endpoint": f"{endpoint}?key={secret['query key']}",
            "headers": {
                "Authorization": f"Bearer {secret['key of a step']}",
                "cf-aig-authorization": f"Bearer {secret['gateway token']}",
            },
            "query": {"model": MODEL, "messages": [{"role": "user", "content": secret["body"]}]},
        }
        self._ask("POST", "/v1/local/vault", self._token({}), json.dumps([step, {**step, "provider": "groq"}]).encode())

    def _chat(self, place: str, headers: Mapping[str, str], *, text: str = "", stream: bool = False) -> None:
        """One chat below the account; `text` instead of the canary where payloads are logged."""
        said = [{"role": "user", "content": text or self._secret["body"]}]
        body = json.dumps({"model": MODEL, "stream": stream, "messages": said})
        self._ask("POST", f"/v1/local/{place}", self._token(headers), body.encode())

    def _token(self, headers: Mapping[str, str]) -> dict[str, str]:
        token = f"Bearer {self._secret['gateway token']}"
        return {"Content-Type": "application/json", "cf-aig-authorization": token, **headers}

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> None:
        self._talk(self._narrows.url, lambda connection: connection.send(method, path, headers, body))

    def _admin(self, path: str, headers: Mapping[str, str]) -> str:
        target = urllib.parse.quote(path, safe="/?=&")
        return self._talk(
            self._narrows.admin, lambda connection: connection.send("GET", target, headers), place="admin answers"
        )

    def _talk(self, url: str, say: Callable[[Connection], None], *, place: str = "answers and errors") -> str:
        """One exchange on a connection of its own; the answer's body. A connection that only closes says nothing."""
        with contextlib.suppress(ConnectionError), Connection(url, timeout_s=15) as connection:
            say(connection)
            came = connection.answer()
            self._search.look(place, f"{came.status}\n{came.headers}\n".encode() + came.body)
            return came.body.decode("utf-8", "replace")
        return ""
