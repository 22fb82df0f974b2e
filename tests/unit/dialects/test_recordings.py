"""Recorded exchanges with every provider: whose tokens they are, what they cost, and which of them failed."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import pytest

from services.contracts.router.values import Gateway
from services.dialects.catalogue import PRICE_LISTS, catalogue
from services.dialects.money import RateBook
from services.dialects.usage import UsageReader, UsageReaders
from services.router.prices import rates_from_prices
from tests.fakes.providers.failures import FAILING
from tests.fakes.providers.recording import Recording
from tests.fakes.providers.recordings import RECORDINGS
from tests.unit.dialects.reading import counts, facts

DIALECTS = {name: provider.dialect for name, provider in catalogue().items()}
DIALECTS |= {"custom-tgi": "huggingface", "custom-cog": "replicate"}
RATES = rates_from_prices(PRICE_LISTS, now=datetime(2026, 11, 1, tzinfo=UTC))
PIECE_BYTES = {"whole": 1 << 20, "in crumbs": 7, "gzipped": 64}


def heard(recording: Recording, coding: str) -> UsageReader:
    """Who has read the recorded answer, but for its end."""
    path = recording.path.partition("?")[0]
    answer = recording.answer
    reader = UsageReaders().open(
        facts(DIALECTS[recording.provider], path, json.dumps(recording.request).encode()),
        content_type=answer.content_type,
        content_encoding="gzip" if coding == "gzipped" else "",
        headers=[(name.encode(), value.encode()) for name, value in answer.headers.items()],
    )
    body = b"".join(answer.pieces)
    body = gzip.compress(body) if coding == "gzipped" else body
    for at in range(0, len(body), PIECE_BYTES[coding]):
        reader.feed(body[at : at + PIECE_BYTES[coding]])
    return reader


@pytest.mark.parametrize("coding", PIECE_BYTES)
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_an_answer_is_counted_as_its_provider_counts(recording: Recording, coding: str) -> None:
    reader = heard(recording, coding)

    usage = reader.finish()
    wanted = recording.counts
    assert (*counts(usage), usage.source) == (
        wanted.tokens_in,
        wanted.tokens_out,
        wanted.tokens_cache_read,
        wanted.tokens_cache_write,
        wanted.tokens_reasoning,
        wanted.usage_source,
    )
    assert reader.is_terminal_seen
    assert not reader.is_malformed
    assert not reader.is_mid_event
    assert not reader.is_error


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_an_answer_with_a_price_has_a_cost(recording: Recording) -> None:
    reader = heard(recording, "whole")
    usage = reader.finish()
    book = RateBook(catalogue=lambda: RATES)

    cost = book.cost_nanodollars(Gateway("local", "main"), recording.provider, reader.facts.model, usage)

    has_list = recording.priced_as is not None and recording.priced_as[0] != "own"
    assert (cost is not None) == (has_list or recording.stated_usd is not None)
    if recording.stated_usd is not None:
        assert cost == round(recording.stated_usd * 1_000_000_000)


@pytest.mark.parametrize("coding", PIECE_BYTES)
@pytest.mark.parametrize("recording", FAILING, ids=lambda recording: recording.name)
def test_a_stream_that_says_that_it_failed_is_heard(recording: Recording, coding: str) -> None:
    reader = heard(recording, coding)

    assert reader.is_error
    assert not reader.is_malformed
    assert not reader.is_mid_event
