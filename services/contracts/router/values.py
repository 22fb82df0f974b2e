"""
Router values: the snapshot every edge works from, and what edges tell about providers.

The router compiles resources (what operators write, docs/configuration.md) into these: nothing is left to look up,
resolve or default. A snapshot is immutable; a changed configuration is a new one with another version.
Hazard: no secret stands in here but hashes of gateway tokens; stored provider keys travel apart, as
`StoredKeys`.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Base(msgspec.Struct, frozen=True):
    """
    Where paths of one shape go. The first base whose `pattern` matches the start of the path is taken.

    `pattern` is empty (matches all) or a regular expression with named groups that fill `url`'s placeholders and
    one named `rest`, the octets appended to the url. `strip`: one leading prefix of these is dropped before.
    """

    url: str
    pattern: str = ""
    strip: tuple[str, ...] = ()


class Provider(msgspec.Struct, frozen=True):
    """One provider as a gateway reaches it."""

    name: str
    dialect: str
    bases: tuple[Base, ...]
    key_header: str
    """Lower case. A stored key is put here when the client sent none of `client_key_headers`."""
    key_prefix: str = ""
    """`Bearer ` where the header wants it; put before a stored key."""
    client_key_headers: tuple[str, ...] = ()
    """Lower case names of headers in which a client may bring its own key."""
    client_key_query: str = ""
    """Name of a query parameter in which a client may bring its own key; its value is stripped from logs."""
    headers: tuple[tuple[str, str], ...] = ()
    """Added to every request; a header of the same name from the client is replaced."""
    key_aliases: tuple[str, ...] = ()
    """Aliases for which a stored key exists."""
    is_private_allowed: bool = False
    """Plain http and private addresses may be used. Link-local and metadata addresses never."""


class Tier(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rates that hold from `from_tokens_in` input tokens on. USD per million tokens; None: not priced apart."""

    from_tokens_in: int
    input: float | None
    output: float | None
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_long: float | None = None
    """What a cache keeps for an hour; None: as `cache_write`."""
    audio_in: float | None = None
    audio_out: float | None = None
    image_in: float | None = None
    image_out: float | None = None
    per_thousand_searches: float | None = None
    """USD; None: not known, so they are left out."""


class Match(msgspec.Struct, frozen=True):
    """Does a model name fit? `any_of` of equals, starts_with, ends_with, contains, regex; all lower case."""

    equals: tuple[str, ...] = ()
    starts_with: tuple[str, ...] = ()
    ends_with: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    all_of: tuple[Match, ...] = ()


class Rate(msgspec.Struct, frozen=True):
    """What a provider's models cost. The first rate of the provider that matches is taken; tiers ascend."""

    provider: str
    model: str
    match: Match
    tiers: tuple[Tier, ...]


class Catalogue(msgspec.Struct, frozen=True):
    """What every gateway has: providers by name, and rates."""

    providers: dict[str, Provider]
    rates: dict[str, tuple[Rate, ...]]


class TokenHash(msgspec.Struct, frozen=True):
    """A gateway token: its name and the SHA-256 of its value, as 64 hex digits."""

    name: str
    sha256: str


class Cache(msgspec.Struct, frozen=True):
    """The gateway's cache rules. `ttl_s` 0: off unless a request asks. `epoch` is in every key: a purge bumps it."""

    ttl_s: int = 0
    include_models: tuple[str, ...] = ()
    """Shell patterns; empty: all."""
    include_paths: tuple[str, ...] = ()
    key_headers: tuple[str, ...] = ()
    """Lower case."""
    is_shared_across_keys: bool = False
    entry_bytes_max: int = 1_048_576
    epoch: int = 0


LimitUnit = Literal["requests", "tokens", "usd"]


class Limit(msgspec.Struct, frozen=True):
    """One limit. `limit` in whole units: requests, tokens, or microdollars. `key` items as `metadata.user`, `token`."""

    name: str
    unit: LimitUnit
    limit: int
    window_s: int
    technique: Literal["fixed", "sliding"]
    key: tuple[str, ...] = ()
    match_providers: tuple[str, ...] = ()
    match_models: tuple[str, ...] = ()
    """Shell patterns; empty: all."""
    fail_mode: Literal["open", "closed"] = "open"


Backoff = Literal["constant", "linear", "exponential"]


class Retries(msgspec.Struct, frozen=True):
    """Attempts per step, and the pause between them."""

    attempts_max: int = 1
    delay_ms: int = 200
    backoff: Backoff = "exponential"


class Timeouts(msgspec.Struct, frozen=True):
    """`first_byte_ms` None: no timeout of its own."""

    connect_ms: int = 5_000
    first_byte_ms: int | None = None
    idle_ms: int = 300_000


class Logs(msgspec.Struct, frozen=True):
    """What is kept of a request. Binary bodies are never kept."""

    is_collected: bool = True
    are_payloads_kept: bool = True
    retention_days: int = 30
    payload_bytes_max: int = 65_536


class Gateway(msgspec.Struct, frozen=True):
    """One gateway, compiled: `account` and `gateway` of the URL and every rule that holds there."""

    account: str
    name: str
    hosts: tuple[str, ...] = ()
    is_authentication_required: bool = False
    tokens: tuple[TokenHash, ...] = ()
    allowed_providers: tuple[str, ...] | None = None
    """None: every provider of the catalogue and of `providers`."""
    providers: dict[str, Provider] = {}
    """What differs from the catalogue, and the namespace's own (`custom-...`); looked up before the catalogue."""
    rates: dict[str, tuple[Rate, ...]] = {}
    cache: Cache = Cache()
    limits: tuple[Limit, ...] = ()
    retries: Retries = Retries()
    timeouts: Timeouts = Timeouts()
    logs: Logs = Logs()
    are_cookies_forwarded: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """A resource that was refused: `Gateway local/main`, and the reason with the path of what was wrong."""

    resource: str
    reason: str


GatewayId = tuple[str, str]


class Snapshot(msgspec.Struct, frozen=True):
    """The whole configuration. `revisions`: source name to the resource version it was made from."""

    version: str
    revisions: dict[str, int]
    catalogue: Catalogue
    gateways: dict[GatewayId, Gateway]
    refusals: tuple[Refusal, ...] = ()


class SnapshotUpdate(msgspec.Struct, frozen=True):
    """
    One message of a Watch: the whole or a delta, as canonical bytes whose hash is the version (see snapshot.py).

    An empty `catalogue` in a delta: unchanged. `has_more`: the next message goes on with the same update.
    """

    version: str
    is_whole: bool
    revisions: dict[str, int]
    catalogue: bytes
    changed: dict[GatewayId, bytes]
    removed: tuple[GatewayId, ...]
    refusals: tuple[Refusal, ...] = ()
    has_more: bool = False


class StoredKey(msgspec.Struct, frozen=True):
    """A stored provider key. Travels only to private peers; never logged (`repr` hides it)."""

    account: str
    gateway: str
    provider: str
    alias: str
    key: str

    def __repr__(self) -> str:
        return f"StoredKey({self.account}/{self.gateway}/{self.provider}/{self.alias}=***)"


class StoredKeys(msgspec.Struct, frozen=True):
    """
    All stored keys of the snapshot of that version; sent before it, so that both take effect together.

    `are_withheld`: this peer is not private, so `keys` is empty. `has_more`: the next message goes on with them.
    """

    version: str
    keys: tuple[StoredKey, ...]
    are_withheld: bool = False
    has_more: bool = False


WatchItem = SnapshotUpdate | StoredKeys


class Ack(msgspec.Struct, frozen=True):
    """
    An edge took or rejected a version.

    The first of a stream names the version the edge holds; accepted with an empty one: none.
    """

    edge: str
    version: str
    is_accepted: bool
    reason: str = ""


class Target(msgspec.Struct, frozen=True, cache_hash=True):
    """What health is kept of."""

    account: str
    gateway: str
    provider: str
    base_url: str


class Outcome(msgspec.Struct, frozen=True):
    """Attempts at one target since the last message. Only connect errors, timeouts, 5xx and 529 are failures."""

    target: Target
    is_success: bool
    count: int
    traceparent: str = ""
    """Set on the single outcome of a sampled request."""


class Running(msgspec.Struct, frozen=True):
    """Which edge this is and which snapshot it runs; sent when it changes and at least every 10 s."""

    edge: str
    version: str


ReportItem = Outcome | Running


class TargetHealth(msgspec.Struct, frozen=True):
    """Ejected for that many milliseconds from now; 0: healthy again."""

    target: Target
    ejected_for_ms: int
