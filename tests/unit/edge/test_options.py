"""Options are read strictly, and a step's go over the request's, the request's over the gateway's."""

from __future__ import annotations

import pytest

from services.contracts.router.values import Retries, Timeouts
from services.edge.options import Options, options_of_config, over, parse_options, retries_of, timeouts_of
from services.kit.errors import Malformed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max-attempts", "0"),
        ("max-attempts", "6"),
        ("max-attempts", "two"),
        ("max-attempts", ""),
        ("max-attempts", "٣"),
        ("retry-delay", "5001"),
        ("retry-delay", "-1"),
        ("request-timeout", "0"),
        ("request-timeout", "1.5"),
        ("backoff", "random"),
        ("skip-cache", "yes"),
        ("collect-log", "1"),
        ("cache-ttl", "59"),
        ("cache-ttl", "2592001"),
        ("cache-ttl", "soon"),
        ("event-id", "x" * 257),
    ],
)
def test_a_malformed_option_is_refused_by_its_headers_name(name: str, value: str) -> None:
    with pytest.raises(Malformed, match=f"cf-aig-{name}"):
        parse_options({name: value})


def test_the_bounds_themselves_are_allowed() -> None:
    options = parse_options(
        {
            "max-attempts": "5",
            "retry-delay": "5000",
            "request-timeout": "1",
            "cache-ttl": "2592000",
            "skip-cache": "TRUE",
        }
    )

    assert (options.attempts_max, options.delay_ms, options.first_byte_ms) == (5, 5000, 1)
    assert (options.cache_ttl_s, options.skip_cache) == (2_592_000, True)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"a": 1, "b": "x", "c": true}', {"a": 1, "b": "x", "c": True}),
        ('{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}', {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}),
        ('{"a": {"nested": 1}}', {}),
        ('{"a": null}', {}),
        ("[1]", {}),
        ("nonsense", {}),
    ],
)
def test_metadata_is_lenient(text: str, kept: dict[str, object]) -> None:
    assert parse_options({"metadata": text}).metadata == kept


def test_a_step_goes_over_the_request_and_the_request_over_the_gateway() -> None:
    step = parse_options(options_of_config({"maxAttempts": 2, "requestTimeout": 900}))
    request = Options(attempts_max=4, delay_ms=10, event_id="e")

    merged = over(step, request)

    assert retries_of(merged, Retries(attempts_max=1, delay_ms=200, backoff="linear")) == Retries(2, 10, "linear")
    assert timeouts_of(merged, Timeouts()).first_byte_ms == 900
    assert merged.event_id == "e"


def test_a_zero_of_the_step_is_said_and_not_absent() -> None:
    assert over(parse_options({"cache-ttl": "0"}), Options(cache_ttl_s=300)).cache_ttl_s == 0


def test_a_config_of_another_client_library_is_read_too() -> None:
    config = {"retries": {"maxAttempts": 3, "retryDelayMs": 5}, "requestTimeoutMs": 7, "skipCache": True, "other": {}}

    assert options_of_config(config) == {
        "request-timeout": "7",
        "skip-cache": "true",
        "max-attempts": "3",
        "retry-delay": "5",
    }
