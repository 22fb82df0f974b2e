"""
Rules: guardrails, data-loss rules and alerts of a gateway.

Only the shapes stand here; what a rule does belongs to the edge (guardrails, data loss) and to analytics (alerts).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from services.router.resources.scalars import Action, FailMode, Milliseconds, Name, RegularExpression, Side, Url

Detector = Literal["api_keys", "private_keys", "email", "credit_card", "iban", "us_ssn", "phone"]

_SIDES = "Whether requests, answers or both are looked at."
_ACTION = "`redact` replaces the finding, `block` refuses the request, `flag` only notes it."


class PromptInjection(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="prompt_injection"):
    """Instructions smuggled into a prompt, found by local heuristics and a classifier."""

    name: Annotated[Name, Meta(description="Unique in the list; stands in logs and errors.")]
    action: Annotated[Literal["block", "flag"], Meta(description="`block` refuses the request, `flag` only notes it.")]
    threshold: Annotated[float, Meta(ge=0, le=1, description="Score from which the action is taken.")] = 0.8
    check: Annotated[tuple[Side, ...], Meta(min_length=1, max_length=2, description=_SIDES)] = ("request",)


class Webhook(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="webhook"):
    """A judge of the operator's own, asked over HTTP."""

    name: Annotated[Name, Meta(description="Unique in the list; stands in logs and errors.")]
    url: Annotated[Url, Meta(description="Where the judge is.")]
    action: Annotated[Action, Meta(description=_ACTION)]
    timeout_ms: Annotated[Milliseconds, Meta(description="Milliseconds the judge has.")] = field(
        name="timeoutMs", default=300
    )
    fail_mode: Annotated[
        FailMode, Meta(description="What happens when the judge does not answer in time: `open` lets the request pass.")
    ] = field(name="failMode", default="open")
    check: Annotated[tuple[Side, ...], Meta(min_length=1, max_length=2, description=_SIDES)] = ("request",)


Guardrail = PromptInjection | Webhook


class DataLossRule(Struct, frozen=True, forbid_unknown_fields=True):
    """Data that must not pass. At least one detector or pattern."""

    name: Annotated[Name, Meta(description="Unique in the list; stands in logs and in `cf-aig-dlp`.")]
    check: Annotated[tuple[Side, ...], Meta(min_length=1, max_length=2, description=_SIDES)]
    action: Annotated[Action, Meta(description=_ACTION)]
    detectors: Annotated[tuple[Detector, ...], Meta(max_length=7, description="Kinds of data known by name.")] = ()
    patterns: Annotated[
        tuple[RegularExpression, ...], Meta(max_length=64, description="Regular expressions of the operator's own.")
    ] = ()


class AlertCondition(Struct, frozen=True, forbid_unknown_fields=True):
    """When an alert goes off."""

    metric: Annotated[Literal["cost_usd", "error_rate"], Meta(description="What is measured.")]
    over: Annotated[int, Meta(gt=0, le=31_622_400, description="Seconds that are looked at.")]
    above: Annotated[float, Meta(ge=0, description="The alert goes off above this value.")]


class Notification(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told."""

    webhook: Annotated[Url, Meta(description="Gets the alert as a JSON object, by POST.")]


class Alert(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody is told when a measure of the gateway is too high."""

    name: Annotated[Name, Meta(description="Unique in the list.")]
    when: Annotated[AlertCondition, Meta(description="When it goes off.")]
    notify: Annotated[tuple[Notification, ...], Meta(min_length=1, max_length=16, description="Who is told.")]
