"""
Native surface: one provider, called by its own path; everything is the provider's own, byte for byte.

The plan has one step. Hazard: a body that streams exists once, so whatever needs it twice or whole (attempts, the
cache, a limit that looks at the model) must say so in `needs_whole_body` before it is read.
"""

from __future__ import annotations

from services.contracts.router.values import Gateway
from services.edge.exchange import Exchange
from services.edge.options import Options, retries_of
from services.edge.plan import Step, StepForm, StreamedBody
from services.edge.surfaces.steps import StepBuilder, StepDraft
from services.edge.turns import LARGE_BYTES


def needs_whole_body(exchange: Exchange) -> bool:
    """Whether the plan may need the body again or whole."""
    resolved = exchange.resolved
    gateway, options = resolved.gateway, resolved.options
    return (
        retries_of(options, gateway.retries).attempts_max > 1
        or _may_be_cached(options, gateway)
        or any(limit.match_models or "model" in limit.key for limit in gateway.limits)
    )


def _may_be_cached(options: Options, gateway: Gateway) -> bool:
    if options.skip_cache:
        return False
    if options.cache_ttl_s is not None:
        return options.cache_ttl_s > 0
    return gateway.cache.ttl_s > 0 or options.cache_key != ""


async def step(exchange: Exchange, body: bytes | StreamedBody, *, builder: StepBuilder) -> Step:
    """The one step. Raises Malformed (dot segments, host parts), KeyUnavailable, NotBuilt."""
    head = exchange.arrival.head
    form = head.step_form if head is not None else None
    if form is None:
        form = _form(exchange, builder)
        if head is not None:
            head.step_form = form
    if not isinstance(body, bytes):
        return builder.build_streamed(form, body)
    return builder.build(form, body) if len(body) <= LARGE_BYTES else await builder.build_in_turns(form, body)


def _form(exchange: Exchange, builder: StepBuilder) -> StepForm:
    resolved = exchange.resolved
    assert resolved.provider is not None
    address, headers = resolved.address, resolved.headers
    draft = StepDraft(
        index=0,
        provider=resolved.provider,
        method=exchange.arrival.method,
        path=address.path,
        query=address.query,
        headers=headers.passing,
        noted=headers.noted,
        options=resolved.options,
    )
    return builder.form(draft, resolved.gateway)
