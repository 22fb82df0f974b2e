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
