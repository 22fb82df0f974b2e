"""
Answer keys: 32 bytes that say which requests may be given the same answer.

A key is a hash over everything that shapes the answer and everything that parts those who may see it. The tenant
(account and gateway) and its `cacheEpoch` stand first in every key, so no request header can reach another tenant's
answers, and a purge is one number. Then come the provider, the caller (unless the gateway shares answers across keys),
the request as it goes to the provider, and those of its headers that change what a provider says.
`cf-aig-cache-key` replaces the request, never the tenant, the provider or the caller.

Fields are packed (as one MessagePack array) before they are hashed, so that each keeps its bounds. Without that,
`("ab", "c")` and `("a", "bc")` would be one key, and a client could choose a path that reads like the next field.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from services.contracts.router.values import Gateway, Provider
from services.dialects.shaping import CALLER_HEADERS, SHAPING_HEADERS

KEY_BYTES = 32

Pair = tuple[bytes, bytes]


def answer_key(
    *,
    gateway: Gateway,
    provider: Provider,
    base_url: str,
    method: str,
    target: bytes,
    headers: Sequence[Pair],
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
    query_keys, rest = _split_query(query, provider.client_key_query)
    callers, shaping = _counted(headers, gateway, provider)
    is_shared = gateway.cache.is_shared_across_keys
    caller = None if is_shared else (stored_key_alias, query_keys, callers)
    tenancy = (gateway.account, gateway.name, gateway.cache.epoch, provider.name, caller)
    if own_key:
        codings = [value for name, value in shaping if name == b"accept-encoding"]
        return _hash(tenancy, own_key.encode("utf-8", "surrogateescape"), codings)
    return _hash(tenancy, (method, base_url, path, rest, provider.headers), shaping, body)


def _counted(headers: Sequence[Pair], gateway: Gateway, provider: Provider) -> tuple[list[Pair], list[Pair]]:
    """The headers that say whose call this is, and those that shape its answer."""
    keys = [name.encode() for name in (provider.key_header, *provider.client_key_headers)]
    added = [name.encode() for name in gateway.cache.key_headers]
    callers: list[Pair] = []
    shaping: list[Pair] = []
    for name, value in headers:
        lower = name.lower()
        if lower in CALLER_HEADERS or lower in keys:
            callers.append((lower, value))
        if lower in SHAPING_HEADERS or lower in added:
            shaping.append((lower, value))
    callers.sort(key=_name_of)
    shaping.sort(key=_name_of)
    return callers, shaping


def _name_of(pair: Pair) -> bytes:
    """Sorts by name alone: the order of different names means nothing, one name's values keep theirs."""
    return pair[0]


def _split_query(query: bytes, key_name: str) -> Pair:
    """The parameters that carry the caller's key, and the others, each in their order."""
    if not key_name or not query:
        return b"", query
    prefix = key_name.encode() + b"="
    parameters = query.split(b"&")
    keys = [parameter for parameter in parameters if parameter.startswith(prefix)]
    return b"&".join(keys), b"&".join([parameter for parameter in parameters if not parameter.startswith(prefix)])


def _hash(tenancy: object, question: object, shaping: object, body: bytes = b"") -> bytes:
    """An array says where it ends, so a body may follow it as it is."""
    hashed = blake2b(msgspec.msgpack.encode((tenancy, question, shaping)), digest_size=KEY_BYTES)
    hashed.update(body)
    return hashed.digest()
