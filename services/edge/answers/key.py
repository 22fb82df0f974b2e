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
from operator import itemgetter

import msgspec

from services.contracts.cache.values import KEY_BYTES
from services.contracts.router.values import Gateway, Provider
from services.dialects.shaping import CALLER_HEADERS, SHAPING_HEADERS
from services.edge.turns import in_turns

_KINDS_MAX = 256
_NAMES_MAX = 1024
_NAME_REMEMBERED_BYTES_MAX = 64

Pair = tuple[bytes, bytes]
Role = tuple[bytes, bool, bool]
"""The name in lower case; whether it says whose call it is; whether it shapes the answer."""


class Question(msgspec.Struct, frozen=True):
    """
    A request as it goes to the provider, without its body.

    `own_key` is the client's `cf-aig-cache-key`, empty without one. `stored_key_alias` names the stored key that will
    be injected.
    """

    provider: Provider
    base_url: str
    method: str
    target: bytes
    headers: Sequence[Pair]
    own_key: str = ""
    stored_key_alias: str = ""


class KeySeed:
    """All of a key but the body: what requests with the same head have in common."""

    __slots__ = ("_hashed", "_is_whole")

    def __init__(self, tenancy: object, question: object, shaping: object, *, is_whole: bool) -> None:
        self._hashed = blake2b(msgspec.msgpack.encode((tenancy, question, shaping)), digest_size=KEY_BYTES)
        self._is_whole = is_whole
        """The body is not part of it."""

    def key(self, body: bytes) -> bytes:
        """The key of a request with this body. An array says where it ends, so a body may follow it as it is."""
        if self._is_whole:
            return self._hashed.digest()
        hashed = self._hashed.copy()
        hashed.update(body)
        return hashed.digest()

    async def key_in_turns(self, body: bytes) -> bytes:
        """The same of a large body."""
        if self._is_whole:
            return self._hashed.digest()
        hashed = self._hashed.copy()
        async for piece in in_turns(body):
            hashed.update(piece)
        return hashed.digest()


class AnswerKeys:
    """Makes keys; one per edge, since it remembers what the headers of a gateway's providers are to a key."""

    def __init__(self) -> None:
        self._roles: dict[tuple[tuple[str, ...], str, tuple[str, ...]], _Roles] = {}

    def seed(self, gateway: Gateway, question: Question) -> KeySeed:
        """
        The seed of the question's keys.

        The coding that a client accepts is always part: a stored answer is replayed in the coding it came in.
        """
        provider, own_key = question.provider, question.own_key
        path, _, query = question.target.partition(b"?")
        query_keys, rest = _split_query(query, provider.client_key_query)
        callers, shaping = self._counted(question.headers, gateway, provider)
        is_shared = gateway.cache.is_shared_across_keys
        caller = None if is_shared else (question.stored_key_alias, query_keys, callers)
        tenancy = (gateway.account, gateway.name, gateway.cache.epoch, provider.name, caller)
        if own_key:
            codings = [value for name, value in shaping if name == b"accept-encoding"]
            return KeySeed(tenancy, own_key.encode("utf-8", "surrogateescape"), codings, is_whole=True)
        asked = (question.method, question.base_url, path, rest, provider.headers)
        return KeySeed(tenancy, asked, shaping, is_whole=False)

    def _counted(self, headers: Sequence[Pair], gateway: Gateway, provider: Provider) -> tuple[list[Pair], list[Pair]]:
        """The headers that say whose call this is, and those that shape its answer."""
        kind = gateway.cache.key_headers, provider.key_header, provider.client_key_headers
        roles = self._roles.get(kind)
        if roles is None:
            if len(self._roles) >= _KINDS_MAX:
                self._roles.clear()
            roles = self._roles[kind] = _Roles(*kind)
        callers: list[Pair] = []
        shaping: list[Pair] = []
        for spelled, value in headers:
            name, is_caller, is_shaping = roles[spelled]
            if is_caller:
                callers.append((name, value))
            if is_shaping:
                shaping.append((name, value))
        callers.sort(key=_name_of)
        shaping.sort(key=_name_of)
        return callers, shaping


class _Roles(dict[bytes, Role]):
    """What a header is to a key, by its name as it is spelled. Filled as names come."""

    def __init__(self, added: tuple[str, ...], key_header: str, client_key_headers: tuple[str, ...]) -> None:
        self._callers = CALLER_HEADERS.union(name.encode() for name in (key_header, *client_key_headers))
        self._shaping = SHAPING_HEADERS.union(name.encode() for name in added)

    def __missing__(self, spelled: bytes) -> Role:
        name = spelled.lower()
        role = name, name in self._callers, name in self._shaping
        if len(spelled) <= _NAME_REMEMBERED_BYTES_MAX:
            if len(self) >= _NAMES_MAX:
                self.clear()
            self[spelled] = role
        return role


_name_of = itemgetter(0)
"""Sorts by name alone: the order of different names means nothing, one name's values keep theirs."""


def _split_query(query: bytes, key_name: str) -> Pair:
    """The parameters that carry the caller's key, and the others, each in their order."""
    if not key_name or not query:
        return b"", query
    prefix = key_name.encode() + b"="
    parameters = query.split(b"&")
    keys = [parameter for parameter in parameters if parameter.startswith(prefix)]
    return b"&".join(keys), b"&".join([parameter for parameter in parameters if not parameter.startswith(prefix)])
