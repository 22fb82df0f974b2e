"""The admin port: the management API over HTTP, on a real store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from services.analytics.module import Analytics, open_admin, open_analytics
from services.contracts.analytics.values import EdgeStatus
from services.kit.clock import SystemClock
from services.kit.errors import DependencyUnavailable, SettingsInvalid
from services.kit.health import Dependencies
from services.kit.kinds import Address
from services.kit.secret import Secret
from services.kit.telemetry.metrics import Metrics
from services.kit.telemetry.tracing import NoTracer
from tests.rows import event_batch, log_body, log_row

LOGS = "/client/v4/accounts/local/ai-gateway/gateways/main/logs"


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    json: Any


class Admin:
    """The admin port of an analytics, and a client for it."""

    def __init__(self, analytics: Analytics, session: aiohttp.ClientSession, url: str) -> None:
        self.analytics = analytics
        self._session = session
        self._url = url

    async def ask(
        self,
        path: str,
        params: Mapping[str, str] | list[tuple[str, str]] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        async with self._session.request(method, self._url + path, params=params, headers=headers) as answer:
            return Answer(answer.status, answer.headers, await answer.json())


@asynccontextmanager
async def admin_port(analytics: Analytics, *, token: str | None = None) -> AsyncIterator[Admin]:
    async def alive(_: web.Request) -> web.Response:
        return web.json_response("alive")

    async with (
        open_admin(
            analytics=analytics,
            address=Address("127.0.0.1", 0),
            token=None if token is None else Secret(token),
            status=lambda: {"service": "analytics", "ready": True},
            also=[web.get("/livez", alive), web.get("/status", alive)],
        ) as port,
        aiohttp.ClientSession() as session,
    ):
        yield Admin(analytics, session, f"http://127.0.0.1:{port}")


@pytest.fixture
async def analytics(tmp_path: Path) -> AsyncIterator[Analytics]:
    clock = SystemClock()
    async with open_analytics(
        folder=tmp_path,
        clock=clock,
        tracer=NoTracer(),
        metrics=Metrics(),
        dependencies=Dependencies(clock=clock),
    ) as analytics:
        yield analytics


@pytest.fixture
async def admin(analytics: Analytics) -> AsyncIterator[Admin]:
    async with admin_port(analytics) as admin:
        yield admin


async def insert_some(admin: Admin, count: int) -> None:
    rows = [log_row(number, retention_days=3650) for number in range(count)]
    await admin.analytics.store.insert(
        event_batch(rows, [log_body(rows[0], request='{"a": 1.50}', response="data: x")])
    )


async def test_the_list_is_newest_first_twenty_a_page(admin: Admin) -> None:
    await insert_some(admin, 25)
    first, second = await admin.ask(LOGS), await admin.ask(LOGS, {"page": "2"})

    assert first.status == 200
    assert first.headers["Content-Type"] == "application/json"
    assert first.json["result_info"] == {"page": 1, "per_page": 20, "count": 20, "total_count": 25}
    assert (first.json["success"], first.json["errors"], first.json["messages"]) == (True, [], [])
    ids = [log["id"] for log in first.json["result"] + second.json["result"]]
    assert ids == [log_row(number).id for number in reversed(range(25))]


async def test_filters_search_and_order_come_in_the_query(admin: Admin) -> None:
    await insert_some(admin, 25)
    filters = json.dumps([{"key": "provider", "operator": "eq", "value": ["openai"]}])
    question = {"filters": filters, "search": "gpt-5-mini", "order_by": "duration", "order_by_direction": "asc"}
    answer = await admin.ask(LOGS, question)

    assert {(log["provider"], log["model"]) for log in answer.json["result"]} == {("openai", "gpt-5-mini")}
    durations = [log["duration"] for log in answer.json["result"]]
    assert durations == sorted(durations)
    assert answer.json["result_info"]["total_count"] == 5


async def test_filters_may_be_flattened(admin: Admin) -> None:
    await insert_some(admin, 5)
    flat = [("filters.key", "provider"), ("filters.operator", "eq")]
    answer = await admin.ask(LOGS, [*flat, ("filters.value", "groq"), ("filters.value", "anthropic")])
    two = await admin.ask(LOGS, [*flat, *flat, ("filters.value", "groq"), ("filters.value", "anthropic")])

    assert {log["provider"] for log in answer.json["result"]} == {"groq", "anthropic"}
    assert two.json["result"] == []


async def test_meta_info_tells_the_extremes(admin: Admin) -> None:
    await insert_some(admin, 5)
    answer = await admin.ask(LOGS, {"meta_info": "true"})

    durations = [log_row(number).duration_ms for number in range(5)]
    about = answer.json["result_info"]
    assert (about["min_duration"], about["max_duration"]) == (min(durations), max(durations))


async def test_a_wrong_question_is_400_and_says_what_is_right(admin: Admin) -> None:
    answer = await admin.ask(LOGS, {"order_by": "path"})

    assert answer.status == 400
    assert answer.json["success"] is False
    assert answer.json["error"] == answer.json["errors"]
    (told,) = answer.json["error"]
    assert told["message"].startswith("order_by: must be one of created_at")
    assert answer.headers["cf-aig-error-code"] == str(told["code"]) == "2403"


async def test_one_log_and_what_was_said(admin: Admin) -> None:
    await insert_some(admin, 2)
    path = f"{LOGS}/{log_row(0).id}"
    log, request, response = [await admin.ask(path + part) for part in ("", "/request", "/response")]

    assert log.json["result"]["id"] == log_row(0).id
    assert log.json["result"]["edge"] == "edge-1"
    assert request.json == {"success": True, "result": {"a": 1.5}, "errors": [], "messages": []}
    assert response.json["result"] == "data: x"


async def test_what_is_not_there_is_404(admin: Admin) -> None:
    await insert_some(admin, 2)
    no_log = await admin.ask(f"{LOGS}/nope")
    no_body = await admin.ask(f"{LOGS}/{log_row(1).id}/request")
    no_surface = await admin.ask("/client/v5")

    assert [answer.status for answer in (no_log, no_body, no_surface)] == [404, 404, 404]
    assert [answer.json["error"][0]["code"] for answer in (no_log, no_body, no_surface)] == [2404, 2404, 2008]


async def test_what_is_not_built_is_501(admin: Admin) -> None:
    account = "/client/v4/accounts/local/ai-gateway"
    answers = [
        await admin.ask(path, method=method)
        for method, path in (
            ("GET", f"{account}/gateways"),
            ("POST", f"{account}/gateways"),
            ("PUT", f"{account}/gateways/main"),
            ("DELETE", LOGS),
            ("PATCH", f"{LOGS}/some-id"),
            ("GET", f"{account}/gateways/main/routes"),
            ("POST", f"{account}/gateways/main/provider_configs"),
            ("GET", f"{account}/custom-providers"),
        )
    ]

    assert {answer.status for answer in answers} == {501}
    assert {answer.json["error"][0]["code"] for answer in answers} == {2007}


async def test_with_a_token_only_who_sends_it_is_let_in(analytics: Analytics) -> None:
    async with admin_port(analytics, token="right") as admin:
        without = await admin.ask("/status")
        wrong = await admin.ask(LOGS, headers={"Authorization": "Bearer wrong"})
        basic = await admin.ask(LOGS, headers={"Authorization": "Basic right"})
        right = await admin.ask(LOGS, headers={"Authorization": "Bearer right"})

    assert [without.status, wrong.status, basic.status, right.status] == [401, 401, 401, 200]
    assert without.json["error"][0]["code"] == 2009
    assert "right" not in json.dumps(wrong.json)


async def test_without_a_token_a_name_of_somebody_else_is_refused(admin: Admin) -> None:
    answer = await admin.ask("/status", headers={"Host": "evil.example"})

    assert answer.status == 403
    assert "NARROWS_ADMIN_TOKEN" in answer.json["error"][0]["message"]


async def test_status_lists_edges_refused_resources_and_the_store(admin: Admin) -> None:
    told = {"service": "edge", "spool": {"bytes": 7, "lag_s": 0.5, "dropped": 0}, "refusals": [{"kind": "Gateway"}]}
    admin.analytics.edges.note(EdgeStatus(edge="edge-1", status=json.dumps(told).encode()))
    answer = await admin.ask("/status")

    assert answer.json == {
        "service": "analytics",
        "ready": True,
        "edges": [{"edge": "edge-1", **told}],
        "refused_resources": [{"kind": "Gateway"}],
        "store": {"state": "up", "waiting_batches": 0, "refused_batches": 0},
    }


async def test_what_else_the_process_serves_is_there_too(admin: Admin) -> None:
    assert (await admin.ask("/livez")).json == "alive"


async def test_a_store_that_is_down_is_503(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(*_: object) -> None:
        raise DependencyUnavailable("the log store cannot answer", retry_after_s=2)

    monkeypatch.setattr(admin.analytics.store, "query", down)
    answer = await admin.ask(LOGS)

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "2"


async def test_a_failure_nobody_foresaw_says_nothing_of_itself(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(admin.analytics.store, "query", broken)
    answer = await admin.ask(LOGS)

    assert answer.status == 500
    assert answer.json["error"] == [{"code": 2000, "message": "internal error"}]


async def test_a_folder_that_is_in_use_is_refused(analytics: Analytics, tmp_path: Path) -> None:
    clock = SystemClock()
    again = open_analytics(
        folder=tmp_path,
        clock=clock,
        tracer=NoTracer(),
        metrics=Metrics(),
        dependencies=Dependencies(clock=clock),
    )
    with pytest.raises(SettingsInvalid, match="is in use by another process"):
        await again.__aenter__()
