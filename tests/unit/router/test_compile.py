from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.contracts.router.values import Cache, Limit, Logs, Match, Retries, StoredKey, Tier, Timeouts, TokenHash
from services.router.compile import match_of
from tests.unit.router.judging import Desk, gateway, provider, rules

TOKEN = "a-gateway-token"
TOKEN_HASH = hashlib.sha256(TOKEN.encode()).hexdigest()


def test_an_empty_spec_has_the_documented_defaults() -> None:
    compiled = Desk().take(gateway()).gateway()

    assert compiled.is_authentication_required is False
    assert compiled.allowed_providers is None
    assert (compiled.cache, compiled.limits) == (Cache(ttl_s=0), ())
    assert compiled.retries == Retries(attempts_max=1, delay_ms=200, backoff="exponential")
    assert compiled.timeouts == Timeouts(connect_ms=5_000, first_byte_ms=None, idle_ms=300_000)
    assert compiled.logs == Logs(is_collected=True, are_payloads_kept=True, retention_days=30, payload_bytes_max=65_536)


@pytest.mark.parametrize(
    "reference", ["{env: TOKEN}", "{file: token.txt}", f"{{sha256: {TOKEN_HASH}}}", f"{{sha256: {TOKEN_HASH.upper()}}}"]
)
def test_a_token_is_kept_as_its_hash_wherever_it_comes_from(reference: str, tmp_path: Path) -> None:
    (tmp_path / "token.txt").write_text(TOKEN + "\n")
    desk = Desk(rules(environment={"TOKEN": TOKEN}, folder=tmp_path))

    desk.take(gateway(spec=f"{{authentication: {{tokens: [{{name: ci, valueFrom: {reference}}}]}}}}"))

    assert desk.gateway().tokens == (TokenHash("ci", TOKEN_HASH),)
    assert desk.gateway().is_authentication_required
    assert TOKEN.encode() not in b"".join(desk.release.content.gateways.values())


def test_a_gateway_with_tokens_may_stay_open() -> None:
    desk = Desk().take(
        gateway(
            spec=f"{{authentication: {{required: false, tokens: [{{name: ci, valueFrom: {{sha256: {TOKEN_HASH}}}}}]}}}}"
        )
    )

    assert desk.gateway().is_authentication_required is False


def test_a_stored_key_travels_apart_from_the_snapshot() -> None:
    desk = Desk(rules(environment={"KEY": "sk-canary"}))

    desk.take(gateway(spec="{providers: {openai: {keys: [{alias: team, valueFrom: {env: KEY}}]}}}"))

    assert desk.keys == (StoredKey("local", "main", "openai", "team", "sk-canary"),)
    assert desk.gateway().providers["openai"].key_aliases == ("team",)
    assert b"sk-canary" not in b"".join(desk.release.content.gateways.values())
    assert "sk-canary" not in str(desk.keys)


def test_an_override_of_the_base_url_keeps_what_the_catalogue_says_about_paths() -> None:
    desk = Desk().take(gateway(spec='{providers: {openai: {baseURL: "http://127.0.0.1:4020/v1/"}}}'))

    base = desk.gateway().providers["openai"].bases[0]

    assert base.url == "http://127.0.0.1:4020/v1"
    assert base.strip == ("v1/",)
    assert desk.gateway().providers["openai"].is_private_allowed


def test_an_override_may_use_the_parts_that_the_provider_takes_from_a_path() -> None:
    desk = Desk().take(
        gateway(spec='{providers: {azure-openai: {baseURL: "http://127.0.0.1:1/openai/deployments/{deployment}"}}}')
    )

    assert desk.refusals == []


def test_headers_are_added_in_the_order_they_were_written() -> None:
    desk = Desk().take(gateway(spec="{providers: {openai: {headers: {X-Team: search, a: b}}}}"))

    assert desk.gateway().providers["openai"].headers == (("X-Team", "search"), ("a", "b"))


def test_providers_that_are_not_named_stay_those_of_the_catalogue() -> None:
    desk = Desk().take(gateway(spec="{providers: {openai: {headers: {x-team: search}}}}"))

    assert set(desk.gateway().providers) == {"openai"}


def test_a_purge_is_another_epoch_of_the_cache() -> None:
    desk = Desk().take(gateway(spec="{cacheEpoch: 7, cache: {ttlS: 60}}"))

    assert desk.gateway().cache == Cache(ttl_s=60, epoch=7)


def test_limits_are_in_whole_units() -> None:
    spec = "{limits: [{name: rpm, unit: requests, limit: 600, windowS: 60, technique: sliding, key: [header.X-User]}]}"

    desk = Desk().take(gateway(spec=spec))

    assert desk.gateway().limits == (Limit("rpm", "requests", 600, 60, "sliding", ("header.x-user",)),)
    assert isinstance(desk.gateway().limits[0].limit, int)


def test_a_custom_provider_has_its_prices_and_its_key_header() -> None:
    spec = (
        '{baseURL: "http://127.0.0.1:8000/v1", dialect: anthropic, keyHeader: X-Api-Key, allowPlainHTTP: true, '
        'prices: {"Llama-*": {inputPerMillion: 0.1, outputPerMillion: 0.3}}}'
    )

    compiled = Desk().take(gateway(), provider(spec=spec)).gateway()

    custom = compiled.providers["custom-vllm"]
    assert (custom.dialect, custom.key_header, custom.key_prefix) == ("anthropic", "x-api-key", "")
    (rate,) = compiled.rates["custom-vllm"]
    assert rate.match == Match(starts_with=("llama-",))
    assert rate.tiers == (Tier(0, 0.1, 0.3),)


def test_a_key_in_the_authorization_header_is_a_bearer() -> None:
    compiled = Desk().take(gateway(), provider()).gateway()

    assert compiled.providers["custom-vllm"].key_prefix == "Bearer "


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        ("gpt-5", Match(equals=("gpt-5",))),
        ("gpt-*", Match(starts_with=("gpt-",))),
        ("*-mini", Match(ends_with=("-mini",))),
        ("*mini*", Match(contains=("mini",))),
        ("*", Match(contains=("",))),
        ("gpt-?", Match(regex=(r"(?s:gpt\-.)\Z",))),
    ],
)
def test_a_shell_pattern_becomes_the_cheapest_test(pattern: str, match: Match) -> None:
    assert match_of(pattern) == match
