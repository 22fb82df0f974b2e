"""The text of a request is counted the same, however its bytes fall into pieces, and files in it count little."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialects.text_size import TextSize, text_size_bytes

FILE = base64.b64encode(bytes(range(256)) * 200)
SEEN = 4_096
LONG = b"The tide turns at six. " * 4_000


@pytest.mark.parametrize(
    "parts",
    [
        (b"",),
        (b'{"model": "m"}',),
        (b'{"text": "', LONG, b'"}'),
        (b'{"url": "data:image/png;base64,', FILE, b'"}'),
        (b'{"source": {"data": "', FILE, b'"}, "text": "', LONG, b'"}'),
        (b'[{"data":"', FILE, b'"},{"data":"', FILE, b'"}]'),
        (b'{"data": "short", "text": "', LONG, b'"}'),
        (b'{"url": "data:image/png;base64,', FILE),
    ],
    ids=["nothing", "small", "text", "data URL", "file and text", "two files", "short member", "cut off in a file"],
)
def test_files_count_as_what_a_model_sees_of_them(parts: tuple[bytes, ...]) -> None:
    assert text_size_bytes(b"".join(parts)) == sum(SEEN if part is FILE else len(part) for part in parts)


@given(cuts=st.lists(st.integers(0, 75_000), max_size=12))
def test_pieces_count_as_the_whole(cuts: list[int]) -> None:
    body = b'{"text": "%b", "source": {"data": "%b"}, "url": "x;base64,%b"}' % (
        LONG[:2_000],
        FILE[:20_000],
        FILE[:50_000],
    )
    whole = text_size_bytes(body)
    counted = TextSize()
    places = [0, *sorted(cuts), len(body)]

    for begin, end in pairwise(places):
        counted.feed(body[begin:end])

    assert counted.size_bytes == whole


def test_a_mark_may_come_byte_by_byte() -> None:
    counted = TextSize()

    for byte in b'{"source": {"data": "':
        counted.feed(bytes([byte]))
    counted.feed(FILE)

    assert counted.size_bytes == 21 + SEEN


@given(cuts=st.lists(st.integers(0, 200), max_size=40))
def test_marks_may_be_split_anywhere_and_stand_close(cuts: list[int]) -> None:
    body = b'"data":";base64,;base64,"data":"data": "x";base64,"' * 4
    whole, counted = TextSize(), TextSize()
    whole.feed(body)

    for begin, end in pairwise([0, *sorted(cuts), len(body)]):
        counted.feed(body[begin:end])

    assert counted.size_bytes == whole.size_bytes == len(body)


@pytest.mark.parametrize("mark", [b';base64,"', b'"data":""', b';base64,"a'])
@pytest.mark.timeout(10)
def test_a_body_full_of_marks_is_counted_in_one_pass(mark: bytes) -> None:
    body = mark * (8 * 2**20 // len(mark))

    assert text_size_bytes(body) == len(body)
