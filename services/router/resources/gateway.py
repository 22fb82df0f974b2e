"""
Gateway: one set of rules under one URL, `/v1/{namespace}/{name}`.

The keys are those of the YAML; the compiler (compile.py) turns them into `contracts.router.values`. Rules on content
stand in rules.py, scalars with their bounds in scalars.py. Each field says its unit, what its absence means and why
its default is what it is: docs/configuration.md is made from exactly that.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from services.router.resources.references import KeyReference, TokenReference
from services.router.resources.rules import Alert, DataLossRule, Guardrail
from services.router.resources.scalars import (
    COUNT_MAX,
    FailMode,
    HeaderName,
    HeaderValue,
    HostName,
    KeyItem,
    Milliseconds,
    Name,
    ShellPattern,
    Technique,
    Url,
)


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """One gateway token. Applications send it as `cf-aig-authorization: Bearer <token>`."""

    name: Annotated[Name, Meta(description="Which token it is, in logs and as the key item `token` of a limit.")]
    value_from: Annotated[TokenReference, Meta(description="Where the token is.")] = field(name="valueFrom")


class Authentication(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may use the gateway."""

    required: Annotated[
        bool | None,
        Meta(
            description="Refuse requests without a known token. Absent: required when there are tokens, so that "
            "naming a token is enough to close the gateway."
        ),
    ] = None
    tokens: Annotated[tuple[Token, ...], Meta(max_length=1024, description="The tokens that are let in.")] = ()


class ProviderKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A stored provider key: used when the client brings none of its own."""

    value_from: Annotated[KeyReference, Meta(description="Where the key is.")] = field(name="valueFrom")
    alias: Annotated[Name, Meta(description="What `cf-aig-byok-alias` calls it.")] = "default"


class ProviderOverride(Struct, frozen=True, forbid_unknown_fields=True):
    """What differs from the catalogue for one provider of this gateway."""

    base_url: Annotated[
        Url | None,
        Meta(
            description="Where the provider is. Prefixes that the catalogue drops from paths are dropped all the "
            "same. Parts that the catalogue takes from the path may be named in braces, as `{region}`. Absent: the "
            "catalogue's."
        ),
    ] = field(name="baseURL", default=None)
    keys: Annotated[tuple[ProviderKey, ...], Meta(max_length=64, description="Stored keys, by alias.")] = ()
    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Meta(
            max_length=64,
            description="Added to every request; a header of that name from the client is replaced. "
            "Not for keys: this is not kept secret.",
        ),
    ] = {}


class CacheInclude(Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests are cached at all."""

    models: Annotated[tuple[ShellPattern, ...], Meta(max_length=256, description="Model names. Empty: all.")] = ()
    paths: Annotated[
        tuple[ShellPattern, ...], Meta(max_length=256, description="Paths after the provider. Empty: all.")
    ] = ()


class Cache(Struct, frozen=True, forbid_unknown_fields=True):
    """Answers kept for the next caller who asks the same."""

    ttl_s: Annotated[
        int,
        Meta(
            ge=0,
            le=2_592_000,
            description="Seconds an answer is kept. 0: nothing is, unless a request asks with "
            "`cf-aig-cache-ttl`; the default, because a cached answer must be somebody's decision.",
        ),
    ] = field(name="ttlS", default=0)
    include: Annotated[CacheInclude, Meta(description="Which requests are cached at all.")] = CacheInclude()
    key_headers: Annotated[
        tuple[HeaderName, ...], Meta(max_length=32, description="Request headers that also belong to the key.")
    ] = field(name="keyHeaders", default=())
    share_across_keys: Annotated[
        bool,
        Meta(
            description="Callers with different provider keys share answers. Off, because an answer may show what "
            "another account may see."
        ),
    ] = field(name="shareAcrossKeys", default=False)
    max_entry_bytes: Annotated[
        int, Meta(gt=0, le=67_108_864, description="Bytes; a larger answer is relayed and not kept.")
    ] = field(name="maxEntryBytes", default=1_048_576)


class LimitMatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests a limit counts."""

    provider: Annotated[tuple[str, ...], Meta(max_length=64, description="Provider names. Empty: all.")] = ()
    model: Annotated[tuple[ShellPattern, ...], Meta(max_length=256, description="Model names. Empty: all.")] = ()


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """How much may be spent in a window of time."""

    name: Annotated[
        Name, Meta(description="Unique in the gateway; shown in `RateLimit-Policy`. Changing it starts a new count.")
    ]
    unit: Annotated[Literal["requests", "tokens", "usd"], Meta(description="What is counted.")]
    limit: Annotated[
        float,
        Meta(
            gt=0, le=COUNT_MAX, description="How much of the unit fits into one window. Whole for requests and tokens."
        ),
    ]
    window_s: Annotated[int, Meta(gt=0, le=31_622_400, description="Seconds.")] = field(name="windowS")
    technique: Annotated[
        Technique,
        Meta(
            description="`fixed`: windows begin at multiples of `windowS` since 1970. `sliding`: any interval of that "
            "length. Fixed by default: it is what callers expect of a limit a minute."
        ),
    ] = "fixed"
    key: Annotated[
        tuple[KeyItem, ...],
        Meta(
            max_length=8,
            description="One count per value of these: `metadata.<name>`, `header.<name>`, `token`, "
            "`provider`, `model`. A request that lacks one is counted under the empty value. Of a header only the hash "
            "of its value is kept. Empty: one count for all.",
        ),
    ] = ()
    match: Annotated[LimitMatch, Meta(description="Which requests are counted.")] = LimitMatch()
    fail_mode: Annotated[
        FailMode,
        Meta(
            description="What happens while the limiter is out of reach: `open` lets a bounded share through, "
            "`closed` answers 503. Open by default: an outage of the counter should not become an outage of the "
            "application."
        ),
    ] = field(name="failMode", default="open")


class Retries(Struct, frozen=True, forbid_unknown_fields=True):
    """Attempts per step, and the pause between them."""

    max_attempts: Annotated[
        int,
        Meta(
            ge=1,
            le=5,
            description="Attempts at one provider, the first included. 1: no retry, because a retry "
            "costs money and many clients retry by themselves.",
        ),
    ] = field(name="maxAttempts", default=1)
    delay_ms: Annotated[int, Meta(ge=0, le=5_000, description="Milliseconds before the second attempt.")] = field(
        name="delayMs", default=200
    )
    backoff: Annotated[
        Literal["constant", "linear", "exponential"], Meta(description="How the pause grows from attempt to attempt.")
    ] = "exponential"


class Timeouts(Struct, frozen=True, forbid_unknown_fields=True):
    """How long the gateway waits for a provider."""

    connect_ms: Annotated[Milliseconds, Meta(description="Milliseconds until the connection stands.")] = field(
        name="connectMs", default=5_000
    )
    first_byte_ms: Annotated[
        Milliseconds | None,
        Meta(
            description="Milliseconds until the first byte of the answer's body. Absent: no limit of its own, because "
            "a model may think for minutes."
        ),
    ] = field(name="firstByteMs", default=None)
    idle_ms: Annotated[
        Milliseconds,
        Meta(description="Milliseconds between two bytes of an answer, and for a client that does not read."),
    ] = field(name="idleMs", default=300_000)


class Logs(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of each request."""

    collect: Annotated[bool, Meta(description="Keep a row for each request.")] = True
    payloads: Annotated[
        bool, Meta(description="Keep request and answer bodies with it. Binary bodies are never kept.")
    ] = True
    retention_days: Annotated[int, Meta(ge=1, le=3_650, description="Days until rows and bodies are deleted.")] = field(
        name="retentionDays", default=30
    )
    max_payload_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=1_048_576,
            description="Bytes kept of each body; the rest is cut off. At most 1 MiB, so that a "
            "row with both its bodies fits one message.",
        ),
    ] = field(name="maxPayloadBytes", default=65_536)


class GatewaySpec(Struct, frozen=True, forbid_unknown_fields=True):
    """
    `metadata.namespace` is the `{account}` of the URL and `metadata.name` the `{gateway}`.

    An empty spec relays to every provider of the catalogue, keeps logs and limits nothing.
    """

    hosts: Annotated[
        tuple[HostName, ...],
        Meta(
            max_length=64,
            description="Host names that imply this gateway. One that an older gateway claims stays with that one.",
        ),
    ] = ()
    authentication: Annotated[Authentication, Meta(description="Who may use the gateway.")] = Authentication()
    allowed_providers: Annotated[
        tuple[str, ...],
        Meta(
            max_length=256,
            description="Names of the catalogue, and `custom-<name>` of the namespace. Empty: all of them.",
        ),
    ] = field(name="allowedProviders", default=())
    providers: Annotated[
        dict[str, ProviderOverride],
        Meta(
            max_length=256,
            description="What differs from the catalogue, by provider name. The others stay available "
            "with the client's own keys.",
        ),
    ] = {}
    cache: Annotated[Cache, Meta(description="Answers kept for the next caller.")] = Cache()
    cache_epoch: Annotated[
        int,
        Meta(
            ge=0,
            le=9_007_199_254_740_991,
            description="Part of every answer's key, so another number is a purge: what was kept or was being fetched "
            "before is not found any more, and leaves by its ttl.",
        ),
    ] = field(name="cacheEpoch", default=0)
    limits: Annotated[
        tuple[Limit, ...], Meta(max_length=64, description="Every limit that matches must have room.")
    ] = ()
    retries: Annotated[Retries, Meta(description="Attempts per step.")] = Retries()
    timeouts: Annotated[Timeouts, Meta(description="How long the gateway waits for a provider.")] = Timeouts()
    logs: Annotated[Logs, Meta(description="What is kept of each request.")] = Logs()
    forward_cookies: Annotated[
        bool,
        Meta(
            description="Pass `Cookie` to providers. Off, because cookies of an application's own host are not meant "
            "for them."
        ),
    ] = field(name="forwardCookies", default=False)
    guardrails: Annotated[tuple[Guardrail, ...], Meta(max_length=32, description="Checks on what is said.")] = ()
    dlp: Annotated[tuple[DataLossRule, ...], Meta(max_length=32, description="Rules on data that must not leave.")] = ()
    alerts: Annotated[
        tuple[Alert, ...], Meta(max_length=32, description="Who is told when a measure is too high.")
    ] = ()
