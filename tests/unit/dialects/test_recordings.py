"""Recorded exchanges with every provider: whose tokens they are, what they cost, and which of them failed."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import pytest
from genai_prices import Usage, calc_price

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


PRICED = [one for one in RECORDINGS if one.priced_as is not None and one.priced_as[0] != "own"]
STATED = [one for one in RECORDINGS if one.stated_usd is not None]
REST = [one for one in RECORDINGS if one not in PRICED and one not in STATED]


def cost_nanodollars(recording: Recording) -> int | None:
    """What the answer costs on a gateway without rates of its own."""
    reader = heard(recording, "whole")
    book = RateBook(catalogue=lambda: RATES)
    gateway = Gateway("local", "main")
    return book.cost_nanodollars(gateway, recording.provider, reader.facts.model, reader.finish())


@pytest.mark.parametrize("recording", PRICED, ids=lambda recording: recording.name)
def test_an_answer_costs_what_the_price_list_itself_makes_of_it(recording: Recording) -> None:
    assert recording.priced_as is not None
    price_list, model = recording.priced_as
    usage = Usage(
        input_tokens=recording.counts.tokens_in,
        output_tokens=recording.counts.tokens_out,
        cache_read_tokens=recording.counts.tokens_cache_read,
        cache_write_tokens=recording.counts.tokens_cache_write,
        **recording.parts,
    )
    wanted = calc_price(usage, model_ref=model, provider_id=price_list).total_price

    assert cost_nanodollars(recording) == round(wanted * 1_000_000_000)


@pytest.mark.parametrize("recording", STATED, ids=lambda recording: recording.name)
def test_an_answer_costs_what_its_provider_states(recording: Recording) -> None:
    assert recording.stated_usd is not None
    assert cost_nanodollars(recording) == round(recording.stated_usd * 1_000_000_000)


@pytest.mark.parametrize("recording", REST, ids=lambda recording: recording.name)
def test_an_answer_without_a_price_has_no_cost(recording: Recording) -> None:
    assert cost_nanodollars(recording) is None


@pytest.mark.parametrize("coding", PIECE_BYTES)
@pytest.mark.parametrize("recording", FAILING, ids=lambda recording: recording.name)
def test_a_stream_that_says_that_it_failed_is_heard(recording: Recording, coding: str) -> None:
    reader = heard(recording, coding)

    assert reader.is_error
    assert not reader.is_malformed
    assert not reader.is_mid_event
