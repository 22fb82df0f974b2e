"""
Answer keys: 32 bytes that say which requests may be given the same answer.

A key is a hash over everything that shapes the answer and everything that parts those who may see it. The tenant
(account and gateway) and its `cacheEpoch` stand first in every key, so no request header can reach another tenant's
answers, and a purge is one number. Then come the provider, the caller (unless the gateway shares answers across keys),
the request as it goes to the provider, and those of its headers that change what a provider says.
`cf-aig-cache-key` replaces the request, never the tenant, the provider or the caller.

Fields are hashed with their lengths. Without those, `("ab", "c")` and `("a", "bc")` would be one key, and a client
could choose a path that reads like the next field.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from services.contracts.router.values import Gateway, Provider
from services.dialects.shaping import CALLER_HEADERS, SHAPING_HEADERS

KEY_BYTES = 32

Pairs = Sequence[tuple[bytes, bytes]]


def answer_key(
    *,
    gateway: Gateway,
    provider: Provider,
    base_url: str,
    method: str,
    target: bytes,
    headers: Pairs,
    body: bytes,
    own_key: str = "",
    stored_key_alias: str = "",
) -> bytes:
    """
    The key of a request as it goes to the provider.

    `own_key` is the client's `cf-aig-cache-key`, empty without one. `stored_key_alias` names the stored key that will
    be injected. The coding that a client accepts is always part: a stored answer is replayed in the coding it came in.
    """
    path, _, query = target.partition(b"?")
    keys, rest = _split_query(query, provider.client_key_query)
    fields = [
        gateway.account.encode(),
        gateway.name.encode(),
        b"%d" % gateway.cache.epoch,
        provider.name.encode(),
        *_caller(gateway, provider, headers, stored_key_alias, keys),
    ]
    if own_key:
        shaping = frozenset((b"accept-encoding",))
        fields += [b"chosen", own_key.encode("utf-8", "surrogateescape"), *_named(headers, shaping)]
    else:
        shaping = SHAPING_HEADERS.union(name.encode() for name in gateway.cache.key_headers)
        fields += [b"request", method.encode(), base_url.encode(), path, rest, body, *_added(provider)]
        fields += _named(headers, shaping)
    return _digest(fields)


def _caller(
    gateway: Gateway, provider: Provider, headers: Pairs, stored_key_alias: str, query_keys: bytes
) -> tuple[bytes, ...]:
    """Whose call this is at the provider: a digest of all that says so, so that the number of fields stays fixed."""
    if gateway.cache.is_shared_across_keys:
        return (b"shared",)
    names = CALLER_HEADERS.union(name.encode() for name in (provider.key_header, *provider.client_key_headers))
    return b"own", _digest([stored_key_alias.encode(), query_keys, *_named(headers, names)])


def _added(provider: Provider) -> tuple[bytes, ...]:
    """What the operator adds to every request of this gateway."""
    return (_digest([part.encode() for pair in provider.headers for part in pair]),)


def _named(headers: Pairs, names: frozenset[bytes]) -> list[bytes]:
    """Names and values of those that count. Sorted by name, whose order means nothing; a name's values keep theirs."""
    counted = [(lower, value) for name, value in headers if (lower := name.lower()) in names]
    counted.sort(key=_name_of)
    return [part for pair in counted for part in pair]


def _name_of(pair: tuple[bytes, bytes]) -> bytes:
    return pair[0]


def _split_query(query: bytes, key_name: str) -> tuple[bytes, bytes]:
    """The parameters that carry the caller's key, and the others, each in their order."""
    if not key_name or not query:
        return b"", query
    prefix = key_name.encode() + b"="
    parameters = query.split(b"&")
    keys = [parameter for parameter in parameters if parameter.startswith(prefix)]
    return b"&".join(keys), b"&".join([parameter for parameter in parameters if not parameter.startswith(prefix)])


def _digest(fields: Iterable[bytes]) -> bytes:
    hashed = blake2b(digest_size=KEY_BYTES)
    for field in fields:
        hashed.update(len(field).to_bytes(8, "big"))
        hashed.update(field)
    return hashed.digest()
