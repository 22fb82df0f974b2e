"""
Provider: one that the operator declares, reached as `custom-<name>` by the gateways of its namespace.

It speaks a dialect that Narrows knows; only its address, its key's header and its prices are new.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from services.dialects.catalogue import DIALECTS
from services.router.resources.scalars import HeaderName, ShellPattern, Url

Price = Annotated[float, Meta(ge=0, le=1_000_000)]


class ModelPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """USD per million tokens."""

    input_per_million: Annotated[Price, Meta(description="Tokens of the prompt.")] = field(name="inputPerMillion")
    output_per_million: Annotated[Price, Meta(description="Tokens of the answer.")] = field(name="outputPerMillion")
    cache_read_per_million: Annotated[
        Price | None, Meta(description="Prompt tokens that the provider had cached. Absent: as input.")
    ] = field(name="cacheReadPerMillion", default=None)
    cache_write_per_million: Annotated[
        Price | None, Meta(description="Prompt tokens that the provider puts into its cache. Absent: as input.")
    ] = field(name="cacheWritePerMillion", default=None)


class ProviderSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Used as `/custom-<name>/...` and, on the unified endpoints, as model `custom-<name>/<model>`."""

    base_url: Annotated[Url, Meta(description="The path after the provider is appended to it.")] = field(name="baseURL")
    dialect: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            description=f"What it speaks: {', '.join(DIALECTS)}. The default is what most model servers speak.",
            extra_json_schema={"enum": list(DIALECTS)},
        ),
    ] = DIALECTS[0]
    key_header: Annotated[
        HeaderName,
        Meta(description="The header that carries its key; in `authorization` a stored key is sent as `Bearer <key>`."),
    ] = field(name="keyHeader", default="authorization")
    allow_plain_http: Annotated[
        bool,
        Meta(
            description="Its base URL may begin with `http://`. Off, because keys would cross the network in the "
            "clear; also needs `NARROWS_PRIVATE_UPSTREAMS`."
        ),
    ] = field(name="allowPlainHTTP", default=False)
    prices: Annotated[
        dict[ShellPattern, ModelPrice],
        Meta(
            max_length=1024,
            description="By model name or pattern; the first that fits is taken. A model without a "
            "price has no cost, which is not a cost of 0.",
        ),
    ] = {}
