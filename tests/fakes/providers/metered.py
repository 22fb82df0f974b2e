"""
A provider that keeps books: what it served to whom, to be compared with what a gateway logged and charged.

Every request carries a number, and the answer's tokens follow from it, so no two sums agree by accident. It runs in a
process of its own (`python -m tests.fakes.providers.metered` prints its URL), because the gateway's processes die
around it and its books must not: `GET /v1/served` has one entry for each answer that was handed out.
"""

from __future__ import annotations

import asyncio
import itertools

from tests.fakes.providers import shapes
from tests.fakes.providers.server import Canned, Recorded, document, serve

NUMBER, ASKED_BY = "x-number", "x-asked-by"
"""Request headers: which request it is, and through which edge it comes."""
NANODOLLARS_IN, NANODOLLARS_OUT = 1_000, 3_000
"""A token's price: 1 and 3 USD per million."""


def tokens_of(number: int) -> tuple[int, int]:
    """What request `number` uses, in and out."""
    return 10 + number % 97, 1 + number % 31


def cost_nanodollars(number: int) -> int:
    """What its answer costs."""
    tokens_in, tokens_out = tokens_of(number)
    return tokens_in * NANODOLLARS_IN + tokens_out * NANODOLLARS_OUT


class Books:
    """Every answer that was handed out: whose request, which one, and the tokens it said."""

    def __init__(self) -> None:
        self._served: list[tuple[str, int, int, int]] = []

    def answer(self, request: Recorded, url: str) -> Canned | None:
        if request.path.endswith("/served"):
            return document(self._served)
        number = int(request.header(NUMBER))
        tokens_in, tokens_out = tokens_of(number)
        self._served.append((request.header(ASKED_BY), number, tokens_in, tokens_out))
        usage = shapes.chat_usage(tokens_in, tokens_out)
        return shapes.chat_stream(usage=usage) if request.json.get("stream") else shapes.chat(usage=usage)


async def _serve() -> None:
    async with serve(Books().answer) as fake:
        print(fake.url, flush=True)
        for _ in itertools.count():
            await asyncio.sleep(1)
            fake.requests.clear()


if __name__ == "__main__":
    asyncio.run(_serve())
