"""What people copy: the files in deploy/resources, and the examples of docs/configuration.md's models."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.router.check import check_resources
from services.router.resources.documents import read_documents
from services.router.resources.gateway import GatewaySpec
from services.router.resources.provider import ProviderSpec
from services.router.resources.reference import reference_lines, unbuilt_lines
from services.router.resources.route import RouteSpec
from services.router.resources.strict import parse
from services.router.sources import BUILT_IN

EXAMPLES = Path(__file__).parents[3] / "deploy" / "resources"
ENVIRONMENT = {"WEBSITE_TOKEN": "a", "OPENAI_API_KEY": "b", "OPENAI_EVALUATION_KEY": "c"}

EVERYTHING = """\
kind: Gateway
metadata: {namespace: local, name: main}
spec:
  hosts: [ai.example.com]
  authentication: {required: true, tokens: [{name: ci, valueFrom: {env: CI_TOKEN}}]}
  allowedProviders: []
  providers:
    openai:
      baseURL: http://127.0.0.1:4020/v1
      keys: [{alias: default, valueFrom: {env: OPENAI_API_KEY}}]
      headers: {x-team: search}
  cache: {ttlS: 300, include: {models: ["gpt-*"], paths: ["chat/completions"]}, keyHeaders: [x-a],
          shareAcrossKeys: false, maxEntryBytes: 1048576}
  limits:
    - {name: user-tokens, unit: tokens, limit: 200000, windowS: 3600, technique: fixed, key: [metadata.user]}
    - {name: budget, unit: usd, limit: 50.5, windowS: 86400, technique: fixed, match: {provider: [openai]},
       failMode: closed}
  retries: {maxAttempts: 2, delayMs: 200, backoff: exponential}
  timeouts: {firstByteMs: 60000, idleMs: 30000}
  logs: {collect: true, payloads: true, retentionDays: 30, maxPayloadBytes: 65536}
  dlp:
    - {name: pii, detectors: [email, credit_card, iban, us_ssn, phone], check: [request], action: flag}
    - {name: codenames, patterns: ["project-(aurora|borealis)"], check: [request], action: block}
  guardrails:
    - {name: jailbreak, kind: prompt_injection, threshold: 0.8, action: block}
    - {name: moderation, kind: webhook, url: "http://moderator.ai.svc/check", timeoutMs: 300, failMode: open,
       action: block}
  alerts:
    - {name: spend, when: {metric: cost_usd, over: 3600, above: 20}, notify: [{webhook: "https://a.example.com"}]}
---
kind: Provider
metadata: {namespace: local, name: internal-vllm}
spec: {baseURL: "http://vllm.ai.svc:8000/v1", dialect: openai, keyHeader: authorization, allowPlainHTTP: true,
       prices: {"llama-*": {inputPerMillion: 0.1, outputPerMillion: 0.3}}}
---
kind: Route
metadata: {namespace: local, name: support}
spec:
  gateway: main
  elements:
    - {id: start, type: start, next: plan}
    - {id: plan, type: conditional, condition: {"metadata.plan": {"$eq": "free"}}, "true": cheap, "false": split}
    - {id: split, type: percentage, shares: {"10": challenger, else: champion}}
    - {id: challenger, type: model, provider: anthropic, model: claude-sonnet-5, success: end, fallback: champion}
    - {id: champion, type: model, provider: openai, model: gpt-5-mini, timeoutMs: 8000, retries: 1, success: end,
       fallback: room}
    - {id: room, type: rate_limit, unit: requests, limit: 5, windowS: 60, success: cheap, fallback: end}
    - {id: cheap, type: model, provider: groq, model: llama-3.1-8b-instant, success: end, fallback: end}
    - {id: end, type: end}
"""


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_accepted(path: Path) -> None:
    assert check_resources(path, environment=ENVIRONMENT) == ()


def test_the_local_example_is_what_holds_without_a_file() -> None:
    example = read_documents((EXAMPLES / "local.yaml").read_text(), title="example")

    assert example == read_documents(BUILT_IN, title="example")


def test_everything_that_can_be_written_has_the_right_shape() -> None:
    models = {"Gateway": GatewaySpec, "Provider": ProviderSpec, "Route": RouteSpec}
    reading = read_documents(EVERYTHING, title="example")

    assert reading.refusals == ()
    for document in reading.documents:
        assert not isinstance(parse(document.spec, models[document.kind], path=("spec",)), list)


def test_what_is_not_built_yet_is_refused_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "resources.yaml"
    path.write_text(EVERYTHING)

    refusals = check_resources(path, environment={"CI_TOKEN": "a", "OPENAI_API_KEY": "b"})

    assert [f"{refusal.resource}: {refusal.reason}" for refusal in refusals] == [
        "Gateway local/main: spec.limits[0].unit: tokens is not built yet; spec.limits[1].unit: usd is not built yet; "
        "spec.guardrails: not built yet; spec.dlp: not built yet; spec.alerts: not built yet",
        "Route local/support: spec: not built yet",
    ]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (refusal,) = check_resources(tmp_path / "missing.yaml", environment={})

    assert refusal.reason == "cannot be read: No such file or directory"


def test_every_field_of_every_model_has_a_meaning_in_the_reference() -> None:
    rows = [line for line in reference_lines() if line.startswith("| `") and not line.startswith("| `id`")]

    assert len(rows) > 80
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_reference_says_what_is_not_built() -> None:
    assert "- Gateway: `spec.limits[].unit` of tokens or usd" in list(unbuilt_lines())
