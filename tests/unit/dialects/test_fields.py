"""Fields out of documents of the expected shape, of another shape and of none."""

from __future__ import annotations

import pytest

from services.dialects.fields import FieldReader, NotJson

READER = FieldReader(
    {
        "model": ("model", "response.model"),
        "tokens": ("usage.total", "usage.details.total"),
        "finish": ("choices[].finish",),
        "text": ("choices[].delta.content", "choices[].delta.tool"),
    }
)


def test_only_the_wanted_fields_are_read() -> None:
    found = READER.read(
        b'{"id":1,"model":"m","usage":{"total":3,"x":[]},"choices":[{"finish":null},{"finish":"stop"}]}'
    )

    assert found == {"model": "m", "tokens": 3, "finish": "stop"}


def test_the_first_path_that_is_not_null_wins() -> None:
    assert READER.read(b'{"model":null,"response":{"model":"b"}}') == {"model": "b"}
    assert READER.read(b'{"response":{"model":"b"},"model":"a"}') == {"model": "a"}


def test_text_is_measured_and_added_up() -> None:
    found = READER.read(b'{"choices":[{"delta":{"content":"hello","tool":null}},{"delta":{"content":"","tool":"ab"}}]}')

    assert found == {"text": 7}


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (b'{"model":"m","usage":7}', {"model": "m"}),
        (b'{"model":"m","choices":{"finish":"stop"}}', {"model": "m"}),
        (b'{"usage":[],"choices":[5,{"finish":"stop","delta":"x"}]}', {"finish": "stop"}),
        (b'{"choices":[{"delta":{"content":["parts"]}},"x"],"model":"m"}', {"model": "m", "text": 7}),
        (b"[1]", {}),
        (b'"text"', {}),
        (b"null", {}),
    ],
)
def test_a_wrong_type_hides_no_other_field(document: bytes, found: dict[str, object]) -> None:
    assert READER.read(document) == found


@pytest.mark.parametrize("document", [b"", b"{", b"{bad", b'{"model":"m"}}', b'{"usage":7,"model":', b"hello"])
def test_what_is_not_json_says_so(document: bytes) -> None:
    with pytest.raises(NotJson):
        READER.read(document)


def test_a_list_is_read_item_by_item() -> None:
    assert READER.read_list(b'[{"model":"a"},{"model":"b"}]') == [{"model": "a"}, {"model": "b"}]
    assert READER.read_list(b'[{"model":"a"},3,{"usage":[],"model":"b"}]') == [{"model": "a"}, {}, {"model": "b"}]
    assert READER.read_list(b"{}") == []


def test_null_instead_of_an_object_or_an_item_is_as_if_it_were_not_there() -> None:
    document = b'{"usage":null,"response":null,"choices":[null,{"delta":null,"finish":"stop"},null],"model":"m"}'

    assert READER.read(document) == {"model": "m", "finish": "stop"}
    assert READER.read(b'{"choices":[null]}') == {}
    assert READER.read(b'{"usage":{"details":null,"total":1}}') == {"tokens": 1}
    assert READER.read_list(b"[%b,%b]" % (document, document)) == [{"model": "m", "finish": "stop"}] * 2


def test_the_first_item_wins_and_then_the_path_named_first_wherever_it_stands() -> None:
    reader = FieldReader({"model": ("items[].a", "model", "items[].b")})

    assert reader.read(b'{"items":[{"b":1},{"a":2},{"a":3}],"model":4}') == {"model": 2}
    assert reader.read(b'{"items":[{"b":1},{"b":2}],"model":4}') == {"model": 4}
    assert reader.read(b'{"items":[{"b":1},{"b":2}]}') == {"model": 1}


@pytest.mark.parametrize("paths", [{}, {"n": ("n",)}, {"n": ("items[].n",)}, {"text": ("text",)}])
def test_a_reader_may_have_no_path_or_one(paths: dict[str, tuple[str, ...]]) -> None:
    found = FieldReader(paths).read(b'{"n":1,"items":[{"n":1}],"text":"t"}')

    assert found == dict.fromkeys(paths, 1)


def test_names_that_are_not_pythons_are_read() -> None:
    assert FieldReader({"n": ("a-b.class", "x.0")}).read(b'{"a-b":{"class":1}}') == {"n": 1}
