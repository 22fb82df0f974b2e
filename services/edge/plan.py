"""
Plan: what is to be tried for a request, in order.

Every surface only builds a plan; the attempt loop walks it, and nothing below it knows which surface it came from. A
step is complete: origin, target, headers, body, bounds. Hazard: a streamed body exists once, so a plan with
one has a single step and a single attempt once its first byte has left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal

import msgspec

from services.contracts.router.values import Provider, Retries, Target, Timeouts
from services.dialects.request import RequestFacts, RequestForm
from services.edge.headers import Noted
from services.edge.options import Options
from services.edge.upstream.origin import Origin

if TYPE_CHECKING:
    from services.edge.answers.key import KeySeed
    from services.edge.likeness import Ending, Likeness
    from services.edge.stages.admit import Rule

    Said = tuple[str, str, tuple[Rule, ...]]
    """What our own lines on an answer depend on, beside the head: the model, the cache status, the limits."""

Surface = Literal["native", "universal", "unified", "websocket"]


class StreamedBody(msgspec.Struct, frozen=True):
    """
    A body that passes through as it comes. `length_bytes` None: chunked. `beginning`: the first of `pieces`, to look
    at.
    """

    pieces: AsyncIterator[bytes]
    length_bytes: int | None
    beginning: bytes


class StepForm:
    """
    What requests with the same head have in common as a step: the step without its body, and what is made of it once.

    `ttl_s`: how long answers are stored, where the body does not matter to it. `lines`: the request's head for the
    provider, before and after the digits of its length. `likenesses`: by how the requests ended. `own_lines`: what the
    gateway says on an answer, with places for what each has of its own.
    """

    __slots__ = ("likenesses", "lines", "own_lines", "request", "seed", "step", "ttl_s")

    def __init__(self, step: Step, request: RequestForm) -> None:
        self.step = step
        self.request = request
        self.seed: KeySeed | None = None
        self.ttl_s: int | None = None
        self.lines: tuple[bytes, bytes] | None = None
        self.likenesses: dict[Ending, Likeness] = {}
        self.own_lines: dict[Said, str] = {}


class Step(msgspec.Struct, frozen=True):
    """
    One provider to try. `headers` lack only `Host`, the framing and the trace; `path` is for logs and has no query.
    """

    index: int
    provider: Provider
    base_url: str
    origin: Origin
    watched: Target
    """What the router keeps the health of."""
    method: str
    target: bytes
    path: str
    headers: list[tuple[bytes, bytes]]
    noted: Noted
    body: bytes | StreamedBody
    facts: RequestFacts
    options: Options
    retries: Retries
    timeouts: Timeouts
    key_alias: str
    """Alias of the stored key to inject; empty: the client brought its own, or none is stored."""
    payload_bytes_max: int | None = None
    """Of an answer's payload as it is logged; None: it is not."""
    form: StepForm | None = None


Plan = tuple[Step, ...]
