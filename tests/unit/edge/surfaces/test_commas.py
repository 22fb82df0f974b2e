"""Trailing commas are forgiven outside of strings and nowhere else."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from services.edge.surfaces.commas import without_trailing_commas

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@given(_VALUES)
def test_json_without_trailing_commas_stays_as_it_is(value: object) -> None:
    text = json.dumps(value).encode()

    assert without_trailing_commas(text) == text


def test_trailing_commas_go() -> None:
    text = b'[{"a": ",]", "b": [1, 2 , ] , }\n,\n]'

    assert json.loads(without_trailing_commas(text)) == [{"a": ",]", "b": [1, 2]}]
