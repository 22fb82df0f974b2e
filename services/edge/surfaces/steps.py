"""
Steps: from what a client asked to one complete step of a plan.

All surfaces build their steps here, so the rules hold on each of them: where a path goes, that no dot segment
passes, that a stored key is injected only where the client sent none, and that a gateway's own headers replace the
client's. Where a path goes is worked out once and remembered, because clients call the same few paths; and what a
head decides of a step is a `StepForm`, made once for all requests with that head.
"""

from __future__ import annotations

import re

import msgspec
from msgspec.structs import replace

from services.contracts.router.values import Gateway, Provider, Target
from services.dialects.request import RequestFacts, RequestReader, request_form
from services.dialects.target import has_dot_segment, resolve_target
from services.dialects.text_size import TextSize
from services.edge.headers import HeaderSorter, Noted, noted_of
from services.edge.options import Options, retries_of, timeouts_of
from services.edge.plan import Step, StepForm, StreamedBody
from services.edge.record import are_payloads_kept
from services.edge.turns import another_turn, in_turns
from services.edge.upstream.origin import Origin
from services.kit.errors import Malformed

_DESTINATIONS_MAX = 1024
_PATH_REMEMBERED_LENGTH_MAX = 512
_NOT_IN_TARGET = re.compile(rb"[\x00-\x20\x7f]")
"""Octets that end a request line or a header: what follows them would be a header or a request of the client's own."""


class StepDraft(msgspec.Struct, frozen=True):
    """What a surface knows of a step before its body. `options` are complete: the step's over the request's."""

    index: int
    provider: Provider
    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    noted: Noted
    options: Options


class Destination(msgspec.Struct, frozen=True):
    """Where a path of a provider goes. `target` is that of the request line, without a query."""

    provider: Provider
    base_url: str
    origin: Origin
    watched: Target
    target: bytes


class StepBuilder:
    """Builds steps; one per edge, since it remembers destinations."""

    def __init__(self, *, sorter: HeaderSorter, reader: RequestReader) -> None:
        self.sorter = sorter
        self._reader = reader
        self._destinations: dict[tuple[str, str, str, str], Destination] = {}

    def form(self, draft: StepDraft, gateway: Gateway) -> StepForm:
        """All of the step but its body. Raises Malformed, UpstreamAddressRefused."""
        destination = self._destination(draft, gateway)
        key_alias, logs = _key_alias(draft), gateway.logs
        headers, noted = _headers(draft, is_key_stored=key_alias != "")
        request = request_form(
            draft.provider.dialect, draft.path, draft.noted.get("content-type", b"").decode("latin-1")
        )
        step = Step(
            index=draft.index,
            provider=draft.provider,
            base_url=destination.base_url,
            origin=destination.origin,
            watched=destination.watched,
            method=draft.method,
            target=destination.target + _plain(draft.query) if draft.query else destination.target,
            path=draft.path,
            headers=headers,
            noted=noted,
            body=b"",
            facts=RequestFacts(request.format),
            options=draft.options,
            retries=retries_of(draft.options, gateway.retries),
            timeouts=timeouts_of(draft.options, gateway.timeouts),
            key_alias=key_alias,
            payload_bytes_max=logs.payload_bytes_max if are_payloads_kept(logs, draft.options) else None,
        )
        return StepForm(step, request)

    def build(self, form: StepForm, body: bytes) -> Step:
        """The complete step."""
        return replace(form.step, body=body, facts=self._reader.read(form.request, body), form=form)

    async def build_in_turns(self, form: StepForm, body: bytes) -> Step:
        """The same for a large body."""
        counted = TextSize()
        async for piece in in_turns(body):
            counted.feed(piece)
        facts = self._reader.read(form.request, body, size_bytes=counted.size_bytes)
        await another_turn()
        return replace(form.step, body=body, facts=facts, form=form)

    def build_streamed(self, form: StepForm, body: StreamedBody) -> Step:
        """The same for a body that passes through."""
        facts = self._reader.read(form.request, body.beginning, is_prefix=True)
        return replace(form.step, body=body, facts=facts, form=form)

    def _destination(self, draft: StepDraft, gateway: Gateway) -> Destination:
        provider, path = draft.provider, draft.path
        key = gateway.account, gateway.name, provider.name, path
        known = self._destinations.get(key)
        if known is not None and known.provider is provider:
            return known
        found = _find(provider, path, gateway)
        if len(path) <= _PATH_REMEMBERED_LENGTH_MAX:
            if len(self._destinations) >= _DESTINATIONS_MAX:
                self._destinations.clear()
            self._destinations[key] = found
        return found


def _find(provider: Provider, path: str, gateway: Gateway) -> Destination:
    if has_dot_segment(path):
        raise Malformed("the path has a dot segment; write it without `.` and `..`")
    base_url, rest = resolve_target(provider, path, account=gateway.account)
    origin = Origin.parse(base_url, is_private_allowed=provider.is_private_allowed)
    after_scheme = base_url.split("://", 1)[1]
    slash = after_scheme.find("/")
    base_path = after_scheme[slash:].rstrip("/") if slash >= 0 else ""
    target = _plain(f"{base_path}/{rest}" if rest else base_path or "/")
    watched = Target(gateway.account, gateway.name, provider.name, base_url)
    return Destination(provider, base_url, origin, watched, target)


def _plain(text: str) -> bytes:
    """A part of the request line, as octets."""
    octets = text.encode("utf-8", "surrogateescape")
    if _NOT_IN_TARGET.search(octets):
        raise Malformed("the path and query must be percent-encoded: they have a space or a control character")
    return octets


def _headers(draft: StepDraft, *, is_key_stored: bool) -> tuple[list[tuple[bytes, bytes]], Noted]:
    """The client's, without those that the operator's own or a stored key take the place of."""
    own = draft.provider.headers
    if not own and not is_key_stored:
        return draft.headers, draft.noted
    replaced = {name.lower().encode() for name, _ in own}
    if is_key_stored:
        replaced.update([name.encode() for name in draft.provider.client_key_headers])
    headers = [pair for pair in draft.headers if pair[0].lower() not in replaced]
    headers += [(name.encode(), value.encode()) for name, value in own]
    return headers, noted_of(headers)


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
