"""Coded answers, decoded within bounds."""

from __future__ import annotations

import gzip
import time
import zlib

import brotli
import pytest
import zstandard

from services.dialects.codings import ANSWER_RATIO_MAX, BoundedDecoder, decode_bounded
from tests.hostile.bombs import CODINGS, bomb

TEXT = b'{"usage": {"total_tokens": 12}, "text": "' + b"all kinds of words " * 200 + b'"}'


def bare_deflate(text: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(text) + compressor.flush()


CODED = [
    ("", TEXT),
    ("identity", TEXT),
    ("gzip", gzip.compress(TEXT)),
    ("x-gzip", gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:])),
    ("deflate", zlib.compress(TEXT)),
    ("deflate", bare_deflate(TEXT)),
    ("br", brotli.compress(TEXT)),
    ("zstd", zstandard.compress(TEXT)),
    ("GZIP", gzip.compress(TEXT)),
]


@pytest.mark.parametrize(("coding", "coded"), CODED)
@pytest.mark.parametrize("size", [7, 1_000_000])
def test_a_coded_answer_is_decoded_in_pieces_of_any_size(coding: str, coded: bytes, size: int) -> None:
    decoder = BoundedDecoder(coding, bytes_max=100_000)

    decoded = b"".join(decoder.feed(coded[at : at + size]) for at in range(0, len(coded), size))

    assert decoded == TEXT
    assert not decoder.is_blind


@pytest.mark.parametrize(("coding", "coded"), CODED[2:])
def test_a_coding_without_its_end_is_cut(coding: str, coded: bytes) -> None:
    decoder = BoundedDecoder(coding, bytes_max=100_000)
    assert not decoder.is_cut

    decoder.feed(coded[:-4])
    assert decoder.is_cut

    decoder.feed(coded[-4:])
    assert not decoder.is_cut
    assert not decoder.is_broken


@pytest.mark.parametrize(("coding", "coded"), CODED)
def test_decoding_stops_at_the_bound(coding: str, coded: bytes) -> None:
    decoder = BoundedDecoder(coding, bytes_max=100)

    assert decoder.feed(coded) == TEXT[:100]
    assert decoder.is_blind
    assert decoder.feed(coded) == b""
    assert decode_bounded(coded, coding, bytes_max=100) == TEXT[:100]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "compress", "gzip, br"])
def test_what_cannot_be_decoded_leaves_the_decoder_blind(coding: str) -> None:
    decoder = BoundedDecoder(coding, bytes_max=100)

    assert decoder.feed(b"\x01not coded at all, whatever the header says" * 3) == b""
    assert decoder.is_blind
    assert decoder.is_broken == (coding in ("gzip", "deflate", "br", "zstd"))
    assert not decoder.is_cut


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_bomb_costs_no_more_than_its_bound(coding: str) -> None:
    compress = {"gzip": gzip.compress, "br": lambda text: brotli.compress(text, quality=1), "zstd": zstandard.compress}
    bomb = compress[coding](bytes(50_000_000))
    began = time.process_time()

    decoded = decode_bounded(bomb, coding, bytes_max=1_000_000)

    assert len(decoded) == 1_000_000
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [1_000, 65_536])
def test_an_answer_that_means_far_more_than_it_has_is_not_read_on(coding: str, size: int) -> None:
    coded, answer = bomb(coding), BoundedDecoder(coding, bytes_max=2**26, ratio_max=ANSWER_RATIO_MAX)

    decoded = b"".join(answer.feed(coded[at : at + size]) for at in range(0, len(coded), size))

    assert answer.is_blind
    assert decoded.startswith(b'{"object":"chat.completion"')
    assert 262_144 < len(decoded) < 2**20


def test_an_answer_that_repeats_itself_is_read_to_its_end() -> None:
    event = (
        'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m","choices":[{"delta":{"content":"%d"}}]}'
    )
    text = "\n\n".join([event % number for number in range(50_000)]).encode()
    answer = BoundedDecoder("gzip", bytes_max=2**26, ratio_max=ANSWER_RATIO_MAX)

    assert answer.feed(gzip.compress(text)) == text
    assert not answer.is_blind


def test_a_flushed_stream_is_decoded_as_it_comes() -> None:
    compressor = zlib.compressobj(wbits=31)
    decoder = BoundedDecoder("gzip", bytes_max=1_000)

    first = compressor.compress(b"data: 1\n\n") + compressor.flush(zlib.Z_SYNC_FLUSH)
    second = compressor.compress(b"data: 2\n\n") + compressor.flush(zlib.Z_SYNC_FLUSH)

    assert decoder.feed(first) == b"data: 1\n\n"
    assert decoder.feed(second) == b"data: 2\n\n"
