"""
Route: a graph that picks the model, called as model `dynamic/<name>`.

Each element names the elements it leads to; graph.py checks that the whole holds together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from services.router.resources.scalars import COUNT_MAX, KeyItem, Milliseconds, Name, Technique

ElementId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

_NEXT = "Id of the element that follows."


class Start(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="start"):
    """Where a request enters. One in each route."""

    id: ElementId
    next: Annotated[ElementId, Meta(description=_NEXT)]


class Conditional(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="conditional"):
    """Two ways, by what the request says."""

    id: ElementId
    condition: Annotated[
        dict[str, Any],
        Meta(
            description="Over `metadata.*`, `headers.*` and `body.*`, with `$eq $ne $gt $gte $lt $lte $in $nin "
            "$exists $regex $and $or $not`."
        ),
    ]
    when_true: Annotated[ElementId, Meta(description="Where it leads when the condition holds.")] = field(name="true")
    when_false: Annotated[ElementId, Meta(description="Where it leads otherwise.")] = field(name="false")


class Percentage(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="percentage"):
    """A split of the traffic; the same event, session or user always takes the same way."""

    id: ElementId
    shares: Annotated[
        dict[str, ElementId],
        Meta(
            min_length=1,
            max_length=32,
            description="Percent, as a quoted number, to the element it leads to; `else` takes the rest.",
        ),
    ]


class RateLimit(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="rate_limit"):
    """Two ways, by whether a limit has room."""

    id: ElementId
    unit: Annotated[Literal["requests", "usd"], Meta(description="What is counted.")]
    limit: Annotated[float, Meta(gt=0, le=COUNT_MAX, description="How much fits into one window.")]
    window_s: Annotated[int, Meta(gt=0, le=31_622_400, description="Seconds.")] = field(name="windowS")
    success: Annotated[ElementId, Meta(description="Where it leads while there is room.")]
    fallback: Annotated[ElementId, Meta(description="Where it leads when there is none.")]
    technique: Annotated[Technique, Meta(description="As of a gateway's limits.")] = "fixed"
    key: Annotated[tuple[KeyItem, ...], Meta(max_length=8, description="As of a gateway's limits.")] = ()


class Model(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="model"):
    """A call of a model."""

    id: ElementId
    provider: Annotated[str, Meta(description="A provider that the gateway may use.")]
    model: Annotated[str, Meta(min_length=1, max_length=256, description="The provider's own name of the model.")]
    success: Annotated[ElementId, Meta(description="Where it leads when the model has answered.")]
    fallback: Annotated[ElementId, Meta(description="Where it leads when its attempts are used up.")]
    timeout_ms: Annotated[
        Milliseconds | None, Meta(description="Milliseconds until the first byte. Absent: the gateway's.")
    ] = field(name="timeoutMs", default=None)
    retries: Annotated[int | None, Meta(description="Attempts after the first, 0 to 4. Absent: the gateway's.")] = None


class End(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="end"):
    """Where a request leaves, with the last answer there was."""

    id: ElementId


Element = Start | Conditional | Percentage | RateLimit | Model | End


class RouteSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A graph without cycles from its `start` to an `end`; called as model `dynamic/<name>` on `/compat`."""

    gateway: Annotated[Name, Meta(description="The gateway of the namespace that serves it.")]
    elements: Annotated[tuple[Element, ...], Meta(min_length=1, max_length=256, description="The graph.")]
