"""Documents that are like the ones before are read as by a walk; so are those that are not."""

from __future__ import annotations

import pytest

from services.dialects.fields import NotJson
from services.dialects.shapes import ShapeReader

PATHS = {
    "tokens": ("usage.total", "total", "usage.parts[].total"),
    "model": ("model", "response.model"),
    "text": ("choices[].message.content", "choices[].message.tool"),
    "odd-name": ("a-b.class",),
}
USUAL = b'{"id":1,"model":"m","choices":[{"message":{"content":"hello"}}],"usage":{"total":3}}'


def reader(*met: bytes) -> ShapeReader:
    """One that has read those before."""
    made = ShapeReader(PATHS, counts=("tokens",))
    for document in met:
        made.read(document)
    return made


def test_the_next_document_is_read_as_the_first_was() -> None:
    usual = reader()

    assert [usual.read(USUAL) for _ in range(3)] == [((3, "m", None), 5)] * 3
    assert usual.read(USUAL.replace(b"3", b"7").replace(b"hello", b"")) == ((7, "m", None), 0)


@pytest.mark.parametrize(
    ("document", "values"),
    [
        (b"{}", ((None, None, None), 0)),
        (b'{"model":"n","unknown":{"usage":7}}', ((None, "n", None), 0)),
        (b'{"total":4}', ((4, None, None), 0)),
        (b'{"usage":{"total":3},"total":4}', ((3, None, None), 0)),
        (b'{"usage":{"total":null},"total":4}', ((4, None, None), 0)),
        (b'{"usage":{"parts":[{"total":5}]}}', ((5, None, None), 0)),
        (b'{"usage":null,"choices":null,"model":null}', ((None, None, None), 0)),
        (b'{"choices":[{"message":{"content":null,"tool":["x"]}}]}', ((None, None, None), 3)),
        (b'{"choices":[{"message":{"content":"a"}},{"message":{"content":"bc"}}]}', ((None, None, None), 3)),
        (b'{"choices":[]}', ((None, None, None), 0)),
        (b'{"choices":[null],"usage":7,"model":"n"}', ((None, "n", None), 0)),
        (b'{"response":{"model":"n"}}', ((None, "n", None), 0)),
        (b'{"a-b":{"class":[1]}}', ((None, None, [1]), 0)),
        (b"[1]", ((None, None, None), 0)),
        (b"null", ((None, None, None), 0)),
    ],
)
def test_what_was_met_before_hides_nothing(document: bytes, values: object) -> None:
    both = b'{"usage":{"total":1,"parts":[{"total":1}]},"total":1,"model":"a","response":{"model":"b"}}'

    for used in (reader(), reader(USUAL), reader(USUAL, document), reader(document, USUAL), reader(both, USUAL)):
        assert used.read(document) == values
        assert used.read(USUAL) == ((3, "m", None), 5)
        assert used.read(document) == values


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (b"0", 0),
        (b"12.0", 12),
        (b"-0.0", 0),
        (b"1e3", 1_000),
        (b"1000000000000", 1_000_000_000_000),
        (b"1000000000001", None),
        (b"9" * 30, None),
        (b"-1", None),
        (b"0.5", None),
        (b"true", None),
        (b'"7"', None),
        (b"null", None),
        (b"[]", None),
    ],
)
def test_a_count_is_a_whole_number_from_0_up_whatever_came_before(written: bytes, count: int | None) -> None:
    document = b'{"usage":{"total":%b}}' % written

    for used in (reader(), reader(USUAL)):
        value = used.read(document)[0][0]
        assert (value, type(value)) == (count, type(count))


@pytest.mark.parametrize("document", [b"", b"{", USUAL[:-1], USUAL + b"}", b'{"model":"\xff"}'])
def test_what_is_not_json_says_so_before_and_after(document: bytes) -> None:
    for used in (reader(), reader(USUAL)):
        with pytest.raises(NotJson):
            used.read(document)


def test_a_document_is_walked_only_until_its_fields_were_met() -> None:
    used = reader(USUAL)
    shape = vars(used)["_decode"]

    used.read(USUAL)
    used.read(b'{"usage":{"total":0.5},"choices":[]}')

    assert vars(used)["_decode"] is shape
    used.read(b'{"response":{"model":"b"}}')
    assert vars(used)["_decode"] is not shape
