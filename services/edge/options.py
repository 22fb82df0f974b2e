"""
Options: what a client asks of the gateway with `cf-aig-*` headers, read once and strictly.

A malformed number or word is refused by its header's name and never silently ignored; only metadata is lenient, as
Cloudflare's clients expect. The same options come from request headers, from the headers of a universal step and
from a step's `config`; a step's go over the request's, the request's over the gateway's.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.contracts.router.values import Backoff, Rate, Retries, Timeouts
from services.dialects.money import parse_custom_cost
from services.kit.errors import Malformed

_CACHE_TTL_S = (60, 2_592_000)
_METADATA_ENTRIES_MAX = 5
_EVENT_ID_LENGTH_MAX = 256

MetadataValue = str | int | float | bool


class Options(msgspec.Struct, frozen=True):
    """Every option, None (or empty) where the client said nothing."""

    skip_cache: bool | None = None
    cache_ttl_s: int | None = None
    cache_key: str = ""
    first_byte_ms: int | None = None
    attempts_max: int | None = None
    delay_ms: int | None = None
    backoff: Backoff | None = None
    collect_log: bool | None = None
    collect_log_payload: bool | None = None
    metadata: dict[str, MetadataValue] = {}
    custom_cost: Rate | None = None
    key_alias: str = ""
    event_id: str = ""


NOTHING = Options()


def parse_options(given: Mapping[str, str]) -> Options:
    """Options from header names (without `cf-aig-`) and values. Raises Malformed, naming the header."""
    if not given or (len(given) == 1 and "authorization" in given):
        return NOTHING
    get = given.get
    return Options(
        skip_cache=_flag("cf-aig-skip-cache", get("skip-cache")),
        cache_ttl_s=_cache_ttl(get("cache-ttl")),
        cache_key=get("cache-key", ""),
        first_byte_ms=_integer("cf-aig-request-timeout", get("request-timeout"), least=1, most=86_400_000),
        attempts_max=_integer("cf-aig-max-attempts", get("max-attempts"), least=1, most=5),
        delay_ms=_integer("cf-aig-retry-delay", get("retry-delay"), least=0, most=5_000),
        backoff=_backoff(get("backoff")),
        collect_log=_flag("cf-aig-collect-log", get("collect-log")),
        collect_log_payload=_flag("cf-aig-collect-log-payload", get("collect-log-payload")),
        metadata=_metadata(get("metadata")),
        custom_cost=_custom_cost(get("custom-cost")),
        key_alias=get("byok-alias", ""),
        event_id=_event_id(get("event-id")),
    )


_CONFIG_HEADERS = {
    "requestTimeout": "request-timeout",
    "requestTimeoutMs": "request-timeout",
    "maxAttempts": "max-attempts",
    "retryDelay": "retry-delay",
    "retryDelayMs": "retry-delay",
    "backoff": "backoff",
    "cacheTtl": "cache-ttl",
    "cacheKey": "cache-key",
    "skipCache": "skip-cache",
    "collectLog": "collect-log",
    "eventId": "event-id",
}


def options_of_config(config: Mapping[str, object]) -> dict[str, str]:
    """
    A universal step's `config` as header names and values, so that one parser reads both.

    Keys this table does not know are the client library's own business and are left alone.
    """
    given: dict[str, str] = {}
    for key, value in {**config, **_nested_retries(config)}.items():
        name = _CONFIG_HEADERS.get(key)
        if name is not None and value is not None:
            given[name] = ("false", "true")[value] if isinstance(value, bool) else str(value)
    return given


def _nested_retries(config: Mapping[str, object]) -> Mapping[str, object]:
    retries = config.get("retries")
    return retries if isinstance(retries, dict) else {}


def over(upper: Options, lower: Options) -> Options:
    """`upper` where it says something, else `lower`."""
    if upper is NOTHING:
        return lower
    if lower is NOTHING:
        return upper
    changes = {
        field: value
        for field in Options.__struct_fields__
        if (value := getattr(upper, field)) is not None and value != "" and value != {}
    }
    return msgspec.structs.replace(lower, **changes)


def retries_of(options: Options, gateway: Retries) -> Retries:
    """The gateway's retries, where the options say nothing."""
    if options.attempts_max is None and options.delay_ms is None and options.backoff is None:
        return gateway
    return Retries(
        attempts_max=gateway.attempts_max if options.attempts_max is None else options.attempts_max,
        delay_ms=gateway.delay_ms if options.delay_ms is None else options.delay_ms,
        backoff=gateway.backoff if options.backoff is None else options.backoff,
    )


def timeouts_of(options: Options, gateway: Timeouts) -> Timeouts:
    """The gateway's timeouts, where the options say nothing."""
    if options.first_byte_ms is None:
        return gateway
    return msgspec.structs.replace(gateway, first_byte_ms=options.first_byte_ms)


def _integer(header: str, value: str | None, *, least: int, most: int) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 12 and least <= int(value) <= most):
        raise Malformed(f"{header}: must be a whole number from {least} to {most}, is {value[:40]!r}")
    return int(value)


def _cache_ttl(value: str | None) -> int | None:
    if value is None:
        return None
    least, most = _CACHE_TTL_S
    number = int(value) if value.isascii() and value.isdigit() and len(value) <= 12 else -1
    if number != 0 and not least <= number <= most:
        raise Malformed(f"cf-aig-cache-ttl: must be 0 or {least} to {most} seconds, is {value[:40]!r}")
    return number


def _flag(header: str, value: str | None) -> bool | None:
    if value is None:
        return None
    word = value.lower()
    if word not in ("true", "false"):
        raise Malformed(f"{header}: must be true or false, is {value[:40]!r}")
    return word == "true"


def _backoff(value: str | None) -> Backoff | None:
    match value:
        case None:
            return None
        case "constant" | "linear" | "exponential":
            return value
        case _:
            raise Malformed(f"cf-aig-backoff: must be constant, linear or exponential, is {value[:40]!r}")


def _event_id(value: str | None) -> str:
    if value is None:
        return ""
    if len(value) > _EVENT_ID_LENGTH_MAX or not value.isprintable():
        raise Malformed(f"cf-aig-event-id: must be at most {_EVENT_ID_LENGTH_MAX} printable characters")
    return value


def _custom_cost(value: str | None) -> Rate | None:
    return None if value is None else parse_custom_cost(value)


def _metadata(value: str | None) -> dict[str, MetadataValue]:
    """The first five entries of a flat object; a nested or invalid one is ignored as a whole."""
    if value is None:
        return {}
    try:
        decoded = msgspec.json.decode(value.encode("utf-8", "surrogateescape"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    if not isinstance(decoded, dict) or not all(
        isinstance(item, str | int | float | bool) for item in decoded.values()
    ):
        return {}
    return dict(list(decoded.items())[:_METADATA_ENTRIES_MAX])
