"""Questions: a query string means one thing, or is refused by name."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import pytest
from multidict import MultiDict

from services.analytics.admin.questions import read_question
from services.contracts.analytics.values import LogFilter, LogQuery
from services.kit.errors import QueryInvalid


def question(text: str) -> LogQuery:
    return read_question("local", "main", MultiDict(parse_qsl(text, keep_blank_values=True)))


def test_nothing_asked_is_the_newest_twenty() -> None:
    assert question("") == LogQuery("local", "main", page=1, per_page=20, order_by="created_at")


def test_everything_can_be_asked() -> None:
    asked = question("search=a&order_by=cost&order_by_direction=asc&page=2&per_page=50&meta_info=true")

    assert asked == LogQuery("local", "main", (), "a", "cost", "asc", 2, 50, with_extremes=True)


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        (
            'filters=[{"key":"cost","operator":"gt","value":[1.5,null]},{"key":"success","operator":"eq","value":true}]',
            (LogFilter("cost", "gt", (1.5, None)), LogFilter("success", "eq", (True,))),
        ),
        (
            "filters.key=model&filters.operator=eq&filters.value=a&filters.value=b",
            (LogFilter("model", "eq", ("a", "b")),),
        ),
        (
            "filters.key=model&filters.operator=eq&filters.value=a&filters.key=cost&filters.operator=lt&filters.value=2",
            (LogFilter("model", "eq", ("a",)), LogFilter("cost", "lt", ("2",))),
        ),
    ],
)
def test_filters_are_one_json_array_or_flat(text: str, filters: tuple[LogFilter, ...]) -> None:
    assert question(text).filters == filters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filters=x", "filters: must be a JSON array of {key, operator, value: [...]}"),
        ('filters=[{"key":"cost","operator":"eq","value":[1],"or":2}]', "unknown field `or`"),
        ('filters=[{"key":"cost","operator":"eq","value":[{}]}]', "filters: must be a JSON array"),
        ("filters.key=cost", "filters.operator: must be one for each filters.key, are 0 of 1"),
        (
            "filters.key=a&filters.key=b&filters.operator=eq&filters.operator=eq&filters.value=1",
            "filters.value: must be one for each filters.key, are 1 of 2",
        ),
        ("order_by_direction=up", "order_by_direction: must be asc or desc, is 'up'"),
        ("page=-1", "page: must be a number from 1, is '-1'"),
        ("page=9999999999", "page: must be a number from 1"),
        ("per_page=ten", "per_page: must be a number from 1, is 'ten'"),
        ("meta_info=maybe", "meta_info: must be true or false, is 'maybe'"),
        ("colour=red", "colour: unknown parameter, known are filters, search"),
    ],
)
def test_what_means_nothing_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(QueryInvalid, match=re.escape(message)):
        question(text)
