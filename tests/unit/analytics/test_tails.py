"""Tails: rows of one gateway as they are stored, without holding anybody up."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from services.analytics import tails as tails_module
from services.analytics.shown import shown_log
from services.analytics.tails import Tails
from services.contracts.analytics.values import TailRequest, TailRows
from services.kit.errors import Overloaded
from tests.rows import event_batch, log_row

MAIN = TailRequest("local", "main")


async def first_of(tails: Tails, *publish: object) -> TailRows:
    async with aclosing(tails.follow(MAIN)) as rows:
        waiting = asyncio.ensure_future(anext(rows))
        await asyncio.sleep(0)
        for batch in publish:
            tails.publish(batch)  # type: ignore[arg-type]
        return await waiting


async def test_rows_of_the_gateway_arrive_as_the_list_shows_them() -> None:
    tails = Tails()
    rows = await first_of(tails, event_batch([log_row(1), log_row(2, gateway="other"), log_row(3)]))

    assert [msgspec.json.decode(line) for line in rows.rows.splitlines()] == [
        shown_log(log_row(1)),
        shown_log(log_row(3)),
    ]
    assert rows.dropped_count == 0


async def test_a_slow_tail_loses_the_oldest_and_hears_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails_module, "LINES_MAX", 3)
    tails = Tails()
    rows = await first_of(tails, event_batch([log_row(number) for number in range(5)]))

    assert [msgspec.json.decode(line)["id"] for line in rows.rows.splitlines()] == [log_row(n).id for n in (2, 3, 4)]
    assert rows.dropped_count == 2


async def test_lines_that_are_no_rows_are_passed_over() -> None:
    tails = Tails()
    batch = event_batch([log_row(1)])
    rows = await first_of(tails, msgspec.structs.replace(batch, rows=b"nothing\n" + batch.rows))

    assert len(rows.rows.splitlines()) == 1


async def test_there_are_only_so_many_tails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails_module, "TAILS_MAX", 0)
    with pytest.raises(Overloaded, match="too many tails"):
        await first_of(Tails())


async def test_who_stops_watching_is_forgotten() -> None:
    tails = Tails()
    await first_of(tails, event_batch([log_row(1)]))

    assert tails._tails == set()
