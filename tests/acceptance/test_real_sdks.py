"""
The providers' own clients, told nothing but another base URL, do through Narrows what they do without it.

Each call is made twice: straight at a provider and through Narrows. What came of it must be equal, down to the class
and words of an exception, and so must what the provider received, header by header and octet by octet. Providers
are a fake of each dialect, and the simulator where it speaks the dialect. What Narrows itself refuses must arrive as
the exception that the SDK's users catch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.acceptance.measured import Measured
from tests.fakes.providers import anthropic, gemini, huggingface, openai, replicate
from tests.fakes.providers.server import FakeProvider, Recorded, serving
from tests.harness import node_client
from tests.harness.deployment import Together
from tests.harness.http import post
from tests.harness.processes import unused_port
from tests.harness.sdk_calls import Outcome, awaited_outcome, outcome
from tests.harness.sdks import AT_THE_SIMULATOR, SDKS, Sdk

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""What an SDK uses that will go away one day is its makers' business."""

ANSWERING = {
    "openai": openai.answer,
    "anthropic": anthropic.answer,
    "google-ai-studio": gemini.answer,
    "huggingface": huggingface.answer,
    "replicate": replicate.answer,
}
BASE_PATH = {"openai": "/v1", "replicate": "/v1"}
RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: main}}
spec: {{providers: {providers}}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: guarded}}
spec: {{authentication: {{tokens: [{{name: only, valueFrom: {{sha256: "{sha256}"}}}}]}}}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: limited}}
spec: {{limits: [{{name: one, unit: requests, limit: 1, windowS: 86400, technique: fixed}}]}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: unreachable}}
spec: {{providers: {nowhere}}}
"""
OF_THE_HOP = frozenset({"host", "connection"})
NODE_CALLS = 12
UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OPENAI_ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
    501: "InternalServerError",
    502: "InternalServerError",
}
ERRORS = {
    "openai": OPENAI_ERRORS,
    "anthropic": {**OPENAI_ERRORS, 501: "HTTPNotImplementedError"},
    "google-ai-studio": {**dict.fromkeys((400, 401, 404, 429), "ClientError"), 502: "ServerError"},
    "huggingface": {400: "BadRequestError", **dict.fromkeys((401, 404, 429, 502), "HfHubHTTPError")},
    "replicate": dict.fromkeys((400, 401, 404, 429, 502), "ReplicateError"),
}
"""The exception that each provider's SDK raises for a status, whoever answers it."""
BROKEN = {
    "openai": "raised APIError",
    "anthropic": "raised APIStatusError",
    "google-genai": "raised ServerError",
    "huggingface_hub": "raised GenerationError",
    "huggingface_hub chat": "raised UnknownError",
}
"""The exception that each SDK raises when an event of a stream says that the provider failed."""
REFUSED = {
    400: ("main", "unknown provider"),
    401: ("guarded", "token"),
    404: ("nowhere", "unknown gateway"),
    429: ("limited", "limit"),
    502: ("unreachable", "connect"),
}
"""Where Narrows itself answers that status, and a word of what it says."""
Exchange = tuple[str, str, list[str]]


@dataclass
class Stage:
    """A Narrows in front of its simulator and a fake of each dialect."""

    narrows: Together
    fakes: dict[str, FakeProvider]
    simulator: str

    def direct(self, sdk: Sdk) -> str:
        """The base URL without Narrows."""
        url = self.simulator if sdk.provider == "simulator" else self.fakes[sdk.provider].url
        return url + sdk.direct

    def through(self, sdk: Sdk, gateway: str = "main") -> str:
        """The base URL with Narrows."""
        return f"{self.narrows.url}/v1/local/{gateway}/{sdk.provider}{sdk.through}"

    def exchange(self, sdk: Sdk, came: Outcome) -> Exchange:
        """What came of a call, beside what the provider got for it; neither tells the base URL, as some errors do."""
        told = repr(came).replace(self.through(sdk), "BASE").replace(self.direct(sdk), "BASE")
        return came[0], told, self.received(sdk)

    def received(self, sdk: Sdk) -> list[str]:
        """What the provider got since this was asked last; the simulator keeps no record."""
        fake = self.fakes.get(sdk.provider)
        if fake is None:
            return []
        requests, fake.requests = fake.requests, []
        return [seen(request) for request in requests]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with ExitStack() as stack:
        fakes = {name: stack.enter_context(serving(answering)) for name, answering in ANSWERING.items()}
        urls = {name: {"baseURL": fake.url + BASE_PATH.get(name, "")} for name, fake in fakes.items()}
        nowhere = {name: {"baseURL": f"http://127.0.0.1:{unused_port()}"} for name in ANSWERING}
        resources = RESOURCES.format(
            providers=json.dumps(urls), nowhere=json.dumps(nowhere), sha256=hashlib.sha256(b"token").hexdigest()
        )
        simulator = f"127.0.0.1:{unused_port()}"
        narrows = Together(
            tmp_path_factory.mktemp("real_sdks"),
            resources=resources,
            environment={"NARROWS_SIMULATOR_ADDRESS": simulator},
        )
        stack.enter_context(narrows)
        yield Stage(narrows, fakes, f"http://{simulator}")


def seen(request: Recorded) -> str:
    """A request without what differs from call to call: the hop's own headers, ids and the boundary of a form."""
    boundary = re.search("boundary=(.+)", request.header("content-type"))
    headers = [(name, value) for name, value in request.headers if name.decode().lower() not in OF_THE_HOP]
    whole = UUID.sub("UUID", repr((request.method, request.target, headers, request.body)))
    return whole.replace(boundary[1], "BOUNDARY") if boundary else whole


def check(sdk: Sdk, direct: list[Exchange], through: list[Exchange]) -> None:
    """Both are the same, and those calls raised that were meant to."""
    for asked, wanted, came in zip(sdk.calls, direct, through, strict=True):
        assert came == wanted, asked.name
        assert (came[0] == "answered") == (not asked.is_refused), asked.name


def test_openai_for_node(stage: Stage, measured: Measured) -> None:
    node_client.install()
    sdk = SDKS[0]

    direct = node_client.outcomes(stage.direct(sdk))
    sent = stage.received(sdk)
    through = node_client.outcomes(stage.through(sdk))
    received = stage.received(sdk)

    assert through == direct
    assert received == sent
    assert through["chat"]["answered"]["choices"][0]["message"]["content"]
    measured("openai for Node calls the same", len(through), f"== {NODE_CALLS}")


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)
def test_a_client_that_waits(stage: Stage, sdk: Sdk, measured: Measured) -> None:
    with sdk.client(stage.direct(sdk)) as client:
        direct = [stage.exchange(sdk, outcome(client, asked)) for asked in sdk.calls]
    with sdk.client(stage.through(sdk)) as client:
        through = [stage.exchange(sdk, outcome(client, asked)) for asked in sdk.calls]

    check(sdk, direct, through)
    measured(f"{sdk.name} sync calls the same", len(through), f"== {len(sdk.calls)}")


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)
async def test_a_client_that_awaits(stage: Stage, sdk: Sdk, measured: Measured) -> None:
    async with sdk.awaiting(stage.direct(sdk)) as client:
        direct = [stage.exchange(sdk, await awaited_outcome(client, asked)) for asked in sdk.calls]
    async with sdk.awaiting(stage.through(sdk)) as client:
        through = [stage.exchange(sdk, await awaited_outcome(client, asked)) for asked in sdk.calls]

    check(sdk, direct, through)
    measured(f"{sdk.name} async calls the same", len(through), f"== {len(sdk.calls)}")


@pytest.mark.parametrize("sdk", AT_THE_SIMULATOR, ids=lambda sdk: sdk.name)
async def test_the_simulator(stage: Stage, sdk: Sdk, measured: Measured) -> None:
    with sdk.client(stage.direct(sdk)) as client:
        direct = [stage.exchange(sdk, outcome(client, asked)) for asked in sdk.calls]
    with sdk.client(stage.through(sdk)) as client:
        through = [stage.exchange(sdk, outcome(client, asked)) for asked in sdk.calls]
    async with sdk.awaiting(stage.through(sdk)) as client:
        awaited = [stage.exchange(sdk, await awaited_outcome(client, asked)) for asked in sdk.calls]

    check(sdk, direct, through)
    check(sdk, direct, awaited)
    measured(f"{sdk.name} at the simulator calls the same", len(through), f"== {len(sdk.calls)}")


@pytest.mark.parametrize("sdk", [sdk for sdk in SDKS if not sdk.calls[0].is_refused], ids=lambda sdk: sdk.name)
async def test_a_refusal_of_narrows_is_the_usual_exception(stage: Stage, sdk: Sdk, measured: Measured) -> None:
    post(f"{stage.narrows.url}/v1/local/limited/simulator/chat/completions", {})
    usual = 0
    for status, (gateway, word) in REFUSED.items():
        url = stage.through(sdk, gateway)
        if status == 400:
            url = url.replace(f"/{sdk.provider}", "/nobody", 1)
        with sdk.client(url) as client:
            waited = outcome(client, sdk.calls[0])
        async with sdk.awaiting(url) as client:
            awaited = await awaited_outcome(client, sdk.calls[0])

        for kind, (told_status, told) in (waited, awaited):
            assert (kind, told_status) == (f"raised {ERRORS[sdk.provider][status]}", status), told
            assert word in told or sdk.provider == "replicate"
            usual += 1

    measured(f"{sdk.name} refusals as usual exceptions", usual, f"== {2 * len(REFUSED)}")


@pytest.mark.parametrize("sdk", [sdk for sdk in SDKS if sdk.name in ("openai", "anthropic")], ids=lambda sdk: sdk.name)
def test_a_surface_that_is_not_built_is_the_usual_exception(stage: Stage, sdk: Sdk) -> None:
    with sdk.client(f"{stage.narrows.url}/v1/local/main/compat") as client:
        kind, told = outcome(client, sdk.calls[0])

    assert kind == f"raised {ERRORS[sdk.provider][501]}"
    assert told[0] == 501


def test_refusals_of_narrows_are_usual_exceptions_in_node(stage: Stage, measured: Measured) -> None:
    node_client.install()
    post(f"{stage.narrows.url}/v1/local/limited/simulator/chat/completions", {})
    usual = 0
    for status, (gateway, word) in REFUSED.items():
        url = stage.through(SDKS[0], gateway)
        came = node_client.outcomes(url.replace("/openai", "/nobody") if status == 400 else url)

        for call in ("chat", "chat stream"):
            assert (came[call]["raised"], came[call]["status"]) == (OPENAI_ERRORS[status], status)
            assert word in came[call]["message"]
            usual += 1

    measured("openai for Node refusals as usual exceptions", usual, f"== {2 * len(REFUSED)}")


@pytest.mark.parametrize("sdk", [sdk for sdk in SDKS if sdk.name in BROKEN], ids=lambda sdk: sdk.name)
async def test_a_stream_that_breaks_is_an_exception(
    stage: Stage, sdk: Sdk, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [asked for asked in sdk.calls if asked.name.endswith("stream") and not asked.is_refused]
    raised = 0
    monkeypatch.setattr(stage.fakes[sdk.provider], "pieces_max", 2)
    for asked in streams:
        with sdk.client(stage.through(sdk)) as client:
            kind, told = outcome(client, asked)
        async with sdk.awaiting(stage.through(sdk)) as client:
            awaited_kind, awaited_told = await awaited_outcome(client, asked)

        assert (kind, awaited_kind) == (BROKEN[sdk.name], BROKEN[sdk.name]), asked.name
        assert told == awaited_told
        assert "the provider cut its answer" in str(told)
        raised += 2

    measured(f"{sdk.name} broken streams as exceptions", raised, f"== {2 * len(streams)}")
