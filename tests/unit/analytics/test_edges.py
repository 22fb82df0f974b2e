"""Edges: the newest status of each, as long as it lives."""

from __future__ import annotations

import msgspec
import pytest

from services.analytics import edges as edges_module
from services.analytics.edges import Edges
from services.contracts.analytics.values import EdgeStatus
from tests.fakes.clock import FakeClock


def status(edge: str, **told: object) -> EdgeStatus:
    return EdgeStatus(edge=edge, status=msgspec.json.encode(told))


def test_the_newest_status_counts() -> None:
    edges = Edges(clock=FakeClock())
    edges.note(status("b", ready=False))
    edges.note(status("a", ready=True))
    edges.note(status("b", ready=True))

    assert edges.statuses() == {"a": {"ready": True}, "b": {"ready": True}}


def test_an_edge_that_says_nothing_for_ten_seconds_is_gone() -> None:
    clock = FakeClock()
    edges = Edges(clock=clock)
    edges.note(status("a"))
    clock.advance(6)
    edges.note(status("b"))
    clock.advance(6)

    assert list(edges.statuses()) == ["b"]


def test_only_so_many_edges_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges_module, "EDGES_MAX", 2)
    edges = Edges(clock=FakeClock())
    for name in ("a", "b", "c"):
        edges.note(status(name))

    assert list(edges.statuses()) == ["b", "c"]


@pytest.mark.parametrize("told", [b"", b"[]", b"{", b'"x"', b"{" + b" " * 300_000 + b"}"])
def test_what_is_no_status_is_passed_over(told: bytes) -> None:
    edges = Edges(clock=FakeClock())
    edges.note(EdgeStatus(edge="a", status=told))

    assert edges.statuses() == {}


def test_a_refused_resource_that_several_edges_know_is_told_once() -> None:
    edges = Edges(clock=FakeClock())
    wrong = {"kind": "Gateway", "name": "main", "reason": "limits[0].limit: must be above 0"}
    edges.note(status("a", refusals=[wrong]))
    edges.note(status("b", refusals=[wrong, {"kind": "Route"}]))
    edges.note(status("c", refusals="none"))

    assert edges.refusals() == [wrong, {"kind": "Route"}]
