from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from services.kit.names import Attribute, MetricName, Name, SpanName, StatusField, every_metric, names_of

SERVICES = Path(__file__).resolve().parents[3] / "services"
CONVENTIONS = "opentelemetry.semconv._incubating.attributes"


def known_to_the_conventions() -> set[str]:
    known: set[str] = set()
    for area in ("gen_ai", "rpc", "http", "server", "error"):
        module = import_module(f"{CONVENTIONS}.{area}_attributes")
        known |= {value for value in vars(module).values() if isinstance(value, str)}
    return known


@pytest.mark.parametrize("name", [name for name in names_of(Attribute) if not name.startswith("narrows.")])
def test_an_attribute_is_ours_or_of_the_conventions(name: Name) -> None:
    assert name in known_to_the_conventions()


def test_no_name_stands_twice() -> None:
    names = [*names_of(SpanName), *names_of(Attribute), *(metric.name for metric in every_metric())]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", [*names_of(SpanName), *names_of(Attribute), *names_of(StatusField)])
def test_every_name_says_what_it_means(name: Name) -> None:
    assert name.meaning


@pytest.mark.parametrize("table", [SpanName, Attribute, MetricName, StatusField])
def test_every_name_is_said_somewhere(table: type) -> None:
    sources = "".join(path.read_text() for path in SERVICES.rglob("*.py"))
    said = set(re.findall(rf"\b{table.__name__}\.([A-Z_]+)", sources))

    assert {name for name in vars(table) if name.isupper()} - said == set()
