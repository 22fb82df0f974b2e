"""
Steps: from what a client asked to one complete step of a plan.

All surfaces build their steps here, so the rules hold on each of them: where a path goes, that no dot segment
passes, that a stored key is injected only where the client sent none, and that a gateway's own headers replace the
client's. Origins are parsed once per base URL and remembered.
"""

from __future__ import annotations

import re

import msgspec

from services.contracts.router.values import Gateway, Provider
from services.dialects.request import RequestReader
from services.dialects.target import has_dot_segment, resolve_target
from services.edge.headers import HeaderSorter, Pairs, value_of
from services.edge.options import Options, retries_of, timeouts_of
from services.edge.plan import Step, StreamedBody
from services.edge.upstream.origin import Origin
from services.kit.errors import Malformed

_ORIGINS_MAX = 1024
_NOT_IN_TARGET = re.compile(rb"[\x00-\x20\x7f]")
"""Octets that end a request line or a header: what follows them would be a header or a request of the client's own."""


class StepDraft(msgspec.Struct, frozen=True):
    """What a surface knows of a step. `options` are complete: the step's over the request's."""

    index: int
    provider: Provider
    method: str
    path: str
    query: str
    headers: Pairs
    body: bytes | StreamedBody
    options: Options


class StepBuilder:
    """Builds steps; one per edge, since it remembers origins."""

    def __init__(self, *, sorter: HeaderSorter, reader: RequestReader) -> None:
        self.sorter = sorter
        self._reader = reader
        self._origins: dict[tuple[str, bool], tuple[Origin, str]] = {}

    def build(self, draft: StepDraft, gateway: Gateway) -> Step:
        """The complete step. Raises Malformed, UpstreamAddressRefused."""
        provider = draft.provider
        if has_dot_segment(draft.path):
            raise Malformed("the path has a dot segment; write it without `.` and `..`")
        base_url, rest = resolve_target(provider, draft.path, account=gateway.account)
        origin, base_path = self._origin(base_url, is_private_allowed=provider.is_private_allowed)
        text = f"{base_path}/{rest}{draft.query}" if rest else f"{base_path or '/'}{draft.query}"
        target = text.encode("utf-8", "surrogateescape")
        if _NOT_IN_TARGET.search(target):
            raise Malformed("the path and query must be percent-encoded: they have a space or a control character")
        body = draft.body
        key_alias = _key_alias(draft)
        return Step(
            index=draft.index,
            provider=provider,
            base_url=base_url,
            origin=origin,
            method=draft.method,
            target=target,
            path=draft.path,
            headers=_headers(draft, is_key_stored=key_alias != ""),
            body=body,
            facts=self._reader.read(
                provider.dialect,
                draft.path,
                body if isinstance(body, bytes) else body.beginning,
                value_of(draft.headers, b"content-type").decode("latin-1"),
                is_prefix=isinstance(body, StreamedBody),
            ),
            options=draft.options,
            retries=retries_of(draft.options, gateway.retries),
            timeouts=timeouts_of(draft.options, gateway.timeouts),
            key_alias=key_alias,
        )

    def _origin(self, base_url: str, *, is_private_allowed: bool) -> tuple[Origin, str]:
        known = self._origins.get((base_url, is_private_allowed))
        if known is not None:
            return known
        if len(self._origins) >= _ORIGINS_MAX:
            self._origins.clear()
        origin = Origin.parse(base_url, is_private_allowed=is_private_allowed)
        after_scheme = base_url.split("://", 1)[1]
        slash = after_scheme.find("/")
        base_path = after_scheme[slash:].rstrip("/") if slash >= 0 else ""
        self._origins[base_url, is_private_allowed] = origin, base_path
        return origin, base_path


def _headers(draft: StepDraft, *, is_key_stored: bool) -> list[tuple[bytes, bytes]]:
    """The client's, without those that the operator's own or a stored key take the place of."""
    own = draft.provider.headers
    if not own and not is_key_stored:
        return list(draft.headers)
    replaced = {name.lower().encode() for name, _ in own}
    if is_key_stored:
        replaced.update([name.encode() for name in draft.provider.client_key_headers])
    passing = [pair for pair in draft.headers if pair[0].lower() not in replaced]
    return passing + [(name.encode(), value.encode()) for name, value in own]


def has_own_key(draft: StepDraft) -> bool:
    """The client brought the provider's key itself, in a header or in the query. `Bearer` alone is none."""
    provider = draft.provider
    for name, value in draft.headers:
        if name.lower().decode("latin-1") in provider.client_key_headers and value.lower() not in (b"", b"bearer"):
            return True
    query_name = provider.client_key_query
    return bool(query_name) and (f"?{query_name}=" in draft.query or f"&{query_name}=" in draft.query)


def _key_alias(draft: StepDraft) -> str:
    provider = draft.provider
    if not provider.key_aliases and not draft.options.key_alias:
        return ""
    if has_own_key(draft):
        return ""
    alias = draft.options.key_alias or "default"
    if alias not in provider.key_aliases:
        if draft.options.key_alias:
            raise Malformed(f"cf-aig-byok-alias: no stored key {alias[:64]!r} for provider {provider.name}")
        return ""
    return alias
