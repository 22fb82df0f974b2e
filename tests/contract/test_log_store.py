"""Every log store: exact inserts, and answers as the management API shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.shown import shown_log
from services.analytics.store import sql
from services.analytics.store.engine import Engine, Row, StatementRefused
from services.analytics.store.fields import FIELDS, LISTED, ORDERS
from services.analytics.store.logs import BatchRefused
from services.analytics.store.migrate import applied_version, migrate
from services.analytics.store.retention import SqlRetention
from services.analytics.store.schema import MIGRATIONS, RETENTION, Migration
from services.analytics.store.sql_store import SqlLogStore
from services.contracts.analytics.values import COLUMNS_VERSION, EventBatch, LogFilter, LogQuery, LogRow
from services.kit.errors import DependencyUnavailable, QueryInvalid
from tests.contract.log_stores import LOG_STORES, log_engine
from tests.rows import DAY_MS, MORNING_MS, event_batch, log_body, log_row

NEWEST_FIRST = LogQuery(account="local", gateway="main")


class Bench:
    """A store and the engine under it, emptied between tests."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = SqlLogStore(engine=engine)
        self.retention = SqlRetention(engine=engine)
        self._sequence = 0

    async def insert(self, *rows: LogRow) -> None:
        self._sequence += 1
        await self.store.insert(event_batch(rows, sequence=self._sequence))

    async def ids(self, query: LogQuery = NEWEST_FIRST) -> list[str]:
        return [str(log["id"]) for log in (await self.store.query(query)).logs]

    async def found(self, key: str, operator: str, *values: str | float | bool | None) -> list[str]:
        filtered = msgspec.structs.replace(NEWEST_FIRST, filters=(LogFilter(key, operator, values),))
        return sorted(await self.ids(filtered))

    async def number(self, query: str) -> int:
        rows = await self.engine.fetch(query, {})
        return int(rows[0][0])


@pytest.fixture(params=LOG_STORES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with log_engine(request.param, tmp_path / "logs") as engine:
        yield Bench(engine)


async def test_a_batch_that_comes_twice_is_there_once(bench: Bench) -> None:
    rows = [log_row(number) for number in range(100)]
    batch = event_batch(rows, [log_body(row) for row in rows])
    await bench.store.insert(batch)
    await bench.store.insert(batch)

    assert await bench.number("SELECT count() FROM logs") == 100
    assert await bench.number("SELECT count() FROM bodies") == 100
    assert await bench.number("SELECT sum(requests) FROM hourly") == 100


async def test_equal_rows_of_two_batches_are_both_there(bench: Bench) -> None:
    await bench.store.insert(event_batch([log_row(1)], sequence=1))
    await bench.store.insert(event_batch([log_row(1)], sequence=2))
    await bench.store.insert(event_batch([log_row(1)], sequence=1, edge="edge-2"))

    assert await bench.number("SELECT count() FROM logs") == 3
    assert await bench.number("SELECT sum(requests) FROM hourly") == 3


async def test_a_batch_over_midnight_and_several_retentions_is_there_once(bench: Bench) -> None:
    rows = [log_row(n, created_at_ms=MORNING_MS + n % 3 * DAY_MS, retention_days=7 + n % 35) for n in range(600)]
    batch = event_batch(rows, [log_body(row) for row in rows])
    await bench.store.insert(batch)
    await bench.store.insert(batch)

    assert await bench.number("SELECT count() FROM logs") == 600
    assert await bench.number("SELECT count() FROM bodies") == 600
    assert await bench.number("SELECT sum(requests) FROM hourly") == 600


async def test_totals_are_those_of_the_rows(bench: Bench) -> None:
    await bench.insert(
        log_row(0, model="m", cost_nanodollars=5, tokens_in=1, tokens_out=2),
        log_row(5, model="m", cost_nanodollars=None, tokens_in=None, tokens_out=None, success=False, status_code=500),
        log_row(10, model="m", cost_nanodollars=7, tokens_in=3, tokens_out=4, cache_status="HIT"),
    )

    columns = "requests, errors, cached, tokens_in, tokens_out, cost_nanodollars"
    rows = await bench.engine.fetch(f"SELECT provider, model, {columns} FROM hourly", {})
    assert [list(row) for row in rows] == [["openai", "m", 3, 1, 1, 4, 6, 5]]


@pytest.mark.parametrize(
    "lines",
    [b"nothing\n", b'["2026"]\n', b"\n", b'[1,"two"\n', b"{}\n"],
    ids=["no_json", "too_few_columns", "an_empty_line", "cut", "an_object"],
)
async def test_what_is_no_batch_is_refused(bench: Bench, lines: bytes) -> None:
    with pytest.raises(BatchRefused):
        await bench.store.insert(EventBatch(edge="e", sequence=1, row_count=1, rows=lines, bodies=b""))

    assert await bench.number("SELECT count() FROM logs") == 0


async def test_lines_cannot_carry_a_statement(bench: Bench) -> None:
    rows = event_batch([log_row()]).rows + b"\nDROP TABLE logs\n"
    with pytest.raises(BatchRefused):
        await bench.store.insert(EventBatch(edge="e", sequence=1, row_count=1, rows=rows, bodies=b""))

    assert await bench.number("SELECT count() FROM logs") == 0


async def test_a_refusal_says_nothing_of_the_content(bench: Bench) -> None:
    lines = b'["my secret prompt",1,2]\n'
    with pytest.raises(BatchRefused) as refusal:
        await bench.store.insert(EventBatch(edge="e", sequence=1, row_count=1, rows=b"", bodies=lines))

    assert "secret" not in str(refusal.value)


async def test_an_edge_cannot_name_its_way_into_a_statement(bench: Bench) -> None:
    await bench.store.insert(event_batch([log_row()], edge="e' , async_insert = '1\\"))

    assert await bench.number("SELECT count() FROM logs") == 1


async def test_a_batch_of_a_newer_edge_is_taken_as_far_as_it_is_known(bench: Bench) -> None:
    newer = msgspec.json.encode([*msgspec.to_builtins(log_row(1)), "a new field", 7])
    batch = EventBatch(
        edge="e", sequence=1, row_count=1, rows=newer + b"\n", bodies=b"", columns_version=COLUMNS_VERSION + 1
    )
    await bench.store.insert(batch)

    assert await bench.ids() == [log_row(1).id]


async def test_a_log_is_shown_as_the_management_api_says(bench: Bench) -> None:
    row = log_row(
        1,
        created_at_ms=1_790_000_000_007,
        cost_nanodollars=1_234_567,
        tokens_in=10,
        tokens_cache_read=None,
        metadata='{"team":"search","tries":3,"is_test":true}',
    )
    await bench.insert(row)

    page = await bench.store.query(NEWEST_FIRST)
    (log,) = page.logs
    assert page.total_count == 1
    assert list(log) == [field.name for field in LISTED]
    assert log["created_at"] == "2026-09-21T14:13:20.007Z"
    assert log["metadata"] == {"team": "search", "tries": 3, "is_test": True}
    assert (log["cost"], log["tokens_in"], log["tokens_cache_read"]) == (0.001234567, 10, None)
    assert (log["success"], log["cached"], log["custom_cost"]) == (True, False, False)
    assert (log["duration"], log["time_to_first_byte"]) == (row.duration_ms, row.time_to_first_byte_ms)


@pytest.mark.parametrize(("cache_status", "cached"), [("HIT", True), ("COALESCED", True), ("MISS", False), ("", False)])
async def test_an_answer_from_the_cache_is_cached_and_costs_nothing(
    bench: Bench,
    cache_status: str,
    cached: bool,
) -> None:
    await bench.insert(log_row(1, cache_status=cache_status, cost_nanodollars=500, tokens_in=7))

    (log,) = (await bench.store.query(NEWEST_FIRST)).logs
    assert (log["cached"], log["cost"], log["tokens_in"]) == (cached, 0 if cached else 5e-07, 7)


async def test_an_unknown_cost_is_null(bench: Bench) -> None:
    await bench.insert(log_row(1, cost_nanodollars=None))

    (log,) = (await bench.store.query(NEWEST_FIRST)).logs
    assert log["cost"] is None


@pytest.mark.parametrize(
    "row",
    [
        log_row(1),
        log_row(2, cache_status="HIT"),
        log_row(3, cost_nanodollars=None, tokens_in=None, time_to_first_byte_ms=None, metadata=""),
        log_row(4, metadata="no object", success=False, degraded="limiter,cache", custom_cost=True),
    ],
)
async def test_a_row_is_shown_the_same_before_and_after_it_is_stored(bench: Bench, row: LogRow) -> None:
    await bench.insert(row)

    assert (await bench.store.query(NEWEST_FIRST)).logs == (shown_log(row),)


async def test_logs_come_newest_first_a_page_at_a_time(bench: Bench) -> None:
    rows = [log_row(number) for number in range(45)]
    await bench.insert(*rows)
    pages = [
        await bench.store.query(msgspec.structs.replace(NEWEST_FIRST, page=number, per_page=20))
        for number in (1, 2, 3, 4)
    ]

    ids = [log["id"] for page in pages for log in page.logs]
    assert ids == [row.id for row in reversed(rows)]
    assert [len(page.logs) for page in pages] == [20, 20, 5, 0]
    assert {page.total_count for page in pages} == {45}


async def test_other_gateways_logs_are_not_there(bench: Bench) -> None:
    await bench.insert(log_row(1), log_row(2, gateway="other"), log_row(3, account="other"))

    assert await bench.ids() == [log_row(1).id]
    assert await bench.store.log("local", "main", log_row(2).id) is None


@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_logs_are_ordered_by_what_is_asked_for(bench: Bench, direction: Literal["asc", "desc"]) -> None:
    rows = [log_row(n, status_code=200 + n * 7 % 5, cache_status=("HIT", "MISS")[n % 2]) for n in range(30)]
    await bench.insert(*rows, log_row(30, tokens_in=None, tokens_out=None, cost_nanodollars=None))
    for order_by in ORDERS:
        query = LogQuery("local", "main", order_by=order_by, order_by_direction=direction, per_page=50)

        values: list[Any] = [log[order_by] for log in (await bench.store.query(query)).logs]
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=direction == "desc")
        assert values[: len(known)] == known


async def test_extremes_are_told_when_they_are_asked_for(bench: Bench) -> None:
    await bench.insert(
        log_row(1, duration_ms=5, tokens_in=1, tokens_out=2, cost_nanodollars=1000),
        log_row(2, duration_ms=9, tokens_in=4, tokens_out=None, cost_nanodollars=None),
    )

    page = await bench.store.query(msgspec.structs.replace(NEWEST_FIRST, with_extremes=True))
    assert page.extremes == {
        "min_cost": 1e-06,
        "max_cost": 1e-06,
        "min_duration": 5,
        "max_duration": 9,
        "min_tokens_in": 1,
        "max_tokens_in": 4,
        "min_tokens_out": 2,
        "max_tokens_out": 2,
        "min_total_tokens": 3,
        "max_total_tokens": 4,
    }


A, B, C = (log_row(number).id for number in (1, 2, 3))


async def _three(bench: Bench) -> None:
    await bench.insert(
        log_row(1, provider="openai", status_code=200, cost_nanodollars=1_500_000, metadata='{"user":"ann","age":30}'),
        log_row(2, provider="groq", status_code=429, cost_nanodollars=None, success=False, metadata='{"user":"bob"}'),
        log_row(3, provider="openai", status_code=500, success=False, cache_status="HIT", metadata='{"ok":true}'),
    )


FOUND: tuple[tuple[str, str, list[str | float | bool | None], list[str]], ...] = (
    ("provider", "eq", ["openai"], [A, C]),
    ("provider", "eq", ["openai", "groq"], [A, B, C]),
    ("provider", "neq", ["openai"], [B]),
    ("provider", "neq", ["openai", "groq"], []),
    ("provider", "contains", ["pen", "roq"], [A, B, C]),
    ("provider", "gt", ["groq"], [A, C]),
    ("provider", "eq", [None], []),
    ("status_code", "eq", [200, 429], [A, B]),
    ("status_code", "eq", ["200"], [A]),
    ("status_code", "gt", [200], [B, C]),
    ("status_code", "lt", [429], [A]),
    ("success", "eq", [False], [B, C]),
    ("success", "neq", ["false"], [A]),
    ("cached", "eq", [True], [C]),
    ("cost", "eq", [0.0015], [A]),
    ("cost", "eq", [0], [C]),
    ("cost", "eq", [None], [B]),
    ("cost", "neq", [None], [A, C]),
    ("cost", "neq", [0.0015], [B, C]),
    ("cost", "gt", [0.001], [A]),
    ("id", "eq", [A], [A]),
    ("metadata.user", "eq", ["ann"], [A]),
    ("metadata.user", "neq", ["ann"], [B, C]),
    ("metadata.user", "contains", ["n", "o"], [A, B]),
    ("metadata.user", "eq", [None], [C]),
    ("metadata.age", "eq", [30], [A]),
    ("metadata.age", "gt", [29.5], [A]),
    ("metadata.age", "lt", [30], []),
    ("metadata.ok", "eq", [True], [C]),
    ("metadata.no", "eq", [""], []),
    ("metadata", "contains", ['"bob"'], [B]),
    ("created_at", "gt", ["2000-01-01T00:00:00Z"], [A, B, C]),
    ("created_at", "lt", ["2000-01-01"], []),
)


async def test_filters_find_what_they_say(bench: Bench) -> None:
    await _three(bench)
    found = [(key, operator, values, await bench.found(key, operator, *values)) for key, operator, values, _ in FOUND]

    assert found == [(key, operator, values, sorted(ids)) for key, operator, values, ids in FOUND]


async def test_a_filter_on_the_exact_moment_finds_its_log(bench: Bench) -> None:
    await bench.insert(log_row(1), log_row(2))
    (newest, _) = (await bench.store.query(NEWEST_FIRST)).logs

    assert await bench.found("created_at", "eq", str(newest["created_at"])) == [newest["id"]]


async def test_all_filters_hold_together(bench: Bench) -> None:
    await _three(bench)
    filters = (LogFilter("provider", "eq", ("openai",)), LogFilter("status_code", "gt", (200,)))

    assert await bench.ids(msgspec.structs.replace(NEWEST_FIRST, filters=filters)) == [C]


@pytest.mark.parametrize(("sought", "found"), [("GROQ", [B]), ("bob", [B]), (A, [A]), ("nowhere", [])])
async def test_a_search_looks_into_names_and_metadata(bench: Bench, sought: str, found: list[str]) -> None:
    await _three(bench)

    assert await bench.ids(msgspec.structs.replace(NEWEST_FIRST, search=sought)) == found


async def test_a_search_does_not_look_into_bodies(bench: Bench) -> None:
    row = log_row(1)
    await bench.store.insert(event_batch([row], [log_body(row, request="xylophone")]))

    assert await bench.ids(msgspec.structs.replace(NEWEST_FIRST, search="xylophone")) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (LogQuery("a", "g", order_by="path"), "order_by: must be one of created_at, provider, .* is 'path'"),
        (LogQuery("a", "g", page=0), "page: must be 1 to 1000000, is 0"),
        (LogQuery("a", "g", per_page=51), "per_page: must be 1 to 50, is 51"),
        (
            LogQuery("a", "g", (LogFilter("colour", "eq", (1,)),)),
            r"filters\[0\].key: must be one of id, .* is 'colour'",
        ),
        (
            LogQuery("a", "g", (LogFilter("cost", "like", (1,)),)),
            r"filters\[0\].operator: must be one of eq, .* 'like'",
        ),
        (LogQuery("a", "g", (LogFilter("cost", "contains", (1,)),)), "cost takes eq, neq, gt, lt, not 'contains'"),
        (LogQuery("a", "g", (LogFilter("cost", "eq", ("much",)),)), r"value\[0\]: must be a number, is 'much'"),
        (LogQuery("a", "g", (LogFilter("cost", "eq", ()),)), "value: must be 1 to 100 values, are 0"),
        (LogQuery("a", "g", (LogFilter("success", "eq", (2,)),)), "must be true or false, is 2"),
        (LogQuery("a", "g", (LogFilter("created_at", "gt", ("noon",)),)), "must be a time as .* is 'noon'"),
        (LogQuery("a", "g", (LogFilter("cost", "gt", (None,)),)), "null goes with eq and neq only"),
    ],
)
def test_a_question_that_cannot_be_asked_says_what_would_be_right(query: LogQuery, message: str) -> None:
    with pytest.raises(QueryInvalid, match=message):
        sql.page(query)


NASTY = st.text(alphabet=st.sampled_from("'\\\"`;{}:-/*\0\n\t\r%)(,=üx0"), max_size=12) | st.text(max_size=12)


@given(
    key=st.sampled_from([field.name for field in FIELDS if field.kind == "text"]) | NASTY.map("metadata.{}".format),
    operator=st.sampled_from(["eq", "neq", "contains", "gt", "lt"]),
    value=NASTY | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70) | st.booleans(),
    search=NASTY,
    account=NASTY,
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nothing_a_user_sends_becomes_part_of_a_statement(
    bench: Bench,
    key: str,
    operator: str,
    value: str | float | bool,
    search: str,
    account: str,
) -> None:
    filters = (LogFilter(key, operator, (value,)),)
    await bench.store.query(LogQuery("local", "main", filters, search=search))
    await bench.store.query(LogQuery(account, "main", filters))

    assert await bench.number("SELECT count() FROM logs") == 0


@given(texts=st.lists(NASTY, min_size=10, max_size=20, unique=True))
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_text_is_found_as_it_was_written(bench: Bench, texts: list[str]) -> None:
    gateway = f"nasty-{hash(tuple(texts))}"
    metadata = [msgspec.json.encode({"k": text}).decode() for text in texts]
    rows = [log_row(n, gateway=gateway, model=text, metadata=metadata[n]) for n, text in enumerate(texts)]
    await bench.insert(*rows)
    for key in ("model", "metadata.k"):
        for row, text in zip(rows, texts, strict=True):
            page = await bench.store.query(LogQuery("local", gateway, (LogFilter(key, "eq", (text,)),)))

            assert [(log["id"], log["model"]) for log in page.logs] == [(row.id, text)]


async def test_one_log_says_more_than_the_list(bench: Bench) -> None:
    await bench.insert(log_row(1, event_id="my-id"))

    log = await bench.store.log("local", "main", log_row(1).id)
    assert log is not None
    assert list(log) == [field.name for field in FIELDS]
    assert log["event_id"] == "my-id"


async def test_bodies_are_read_as_they_were_said(bench: Bench) -> None:
    row = log_row(1)
    said = '{"prompt":"ünï \\n \\u0000"}\n\n; DROP TABLE logs'
    await bench.store.insert(event_batch([row], [log_body(row, request=said, response="data: x\n\n")]))

    body = await bench.store.body("local", "main", row.id)
    assert body is not None
    assert (body.request, body.response, body.is_request_cut) == (said, "data: x\n\n", False)
    assert await bench.store.body("local", "other", row.id) is None


async def test_what_is_past_its_time_is_dropped(bench: Bench) -> None:
    rows = [log_row(n, created_at_ms=MORNING_MS + n * DAY_MS, retention_days=1 + n % 2) for n in range(4)]
    await bench.store.insert(event_batch(rows, [log_body(row) for row in rows]))
    dropped = await bench.retention.drop_expired(wall_s=MORNING_MS / 1000 + 3 * 86_400)

    assert dropped == ["bodies (20260921,1)", "logs (20260921,1)"]
    assert await bench.ids() == [row.id for row in reversed(rows[1:])]
    assert await bench.number("SELECT count() FROM bodies") == 3
    assert await bench.number("SELECT sum(requests) FROM hourly") == 4


async def test_what_the_store_will_not_drop_does_not_hold_up_the_rest(bench: Bench) -> None:
    rows = [log_row(n, created_at_ms=MORNING_MS + n * DAY_MS, retention_days=1) for n in range(3)]
    await bench.store.insert(event_batch(rows))
    stubborn = SqlRetention(engine=Stubborn(bench.engine, "(20260922,1)"))
    with pytest.raises(DependencyUnavailable, match=r"logs \(20260922,1\): TIMEOUT_EXCEEDED"):
        await stubborn.drop_expired(wall_s=MORNING_MS / 1000 + 9 * DAY_MS)

    assert await bench.ids() == [rows[1].id]


class Stubborn:
    """An engine that does not drop one partition."""

    def __init__(self, engine: Engine, partition: str) -> None:
        self._engine = engine
        self._partition = partition

    async def execute(self, statement: str, payload: bytes = b"") -> None:
        if self._partition in statement:
            raise StatementRefused("Code: 159. DB::Exception: Timeout (TIMEOUT_EXCEEDED)")
        await self._engine.execute(statement, payload)

    async def fetch(self, query: str, parameters: Mapping[str, str]) -> Sequence[Row]:
        return await self._engine.fetch(query, parameters)


async def test_totals_are_dropped_after_thirteen_months(bench: Bench) -> None:
    await bench.insert(log_row(1))
    early = await bench.retention.drop_expired(wall_s=MORNING_MS / 1000 + 400 * 86_400)
    late = await bench.retention.drop_expired(wall_s=MORNING_MS / 1000 + 410 * 86_400)

    assert early == ["logs (20260921,30)"]
    assert late == ["hourly 202609"]


async def test_every_table_has_an_owner_of_its_retention(bench: Bench) -> None:
    tables = await bench.engine.fetch("SELECT name FROM system.tables WHERE database = currentDatabase()", {})

    assert {row[0] for row in tables} == set(RETENTION)


async def test_columns_are_the_fields_of_a_row_in_their_order(bench: Bench) -> None:
    columns = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'logs' ORDER BY position"
    names = [row[0] for row in await bench.engine.fetch(columns, {})]

    assert names == ["created_at", *LogRow.__struct_fields__[1:]]


async def test_migrations_can_be_applied_again_and_leave_a_newer_schema_alone(bench: Bench) -> None:
    newer = Migration(len(MIGRATIONS) + 1, ("ALTER TABLE logs ADD COLUMN IF NOT EXISTS mood String",))
    after_newer = await migrate(bench.engine, (*MIGRATIONS, newer))
    after_older = await migrate(bench.engine)
    await bench.insert(log_row(1))

    assert after_newer == after_older == newer.version
    assert await bench.ids() == [log_row(1).id]


async def test_rows_from_before_a_migration_are_read_beside_new_ones(bench: Bench) -> None:
    await bench.insert(log_row(1))
    newer = Migration(len(MIGRATIONS) + 1, ("ALTER TABLE logs ADD COLUMN IF NOT EXISTS mood String DEFAULT 'calm'",))
    await migrate(bench.engine, (*MIGRATIONS, newer))
    await bench.insert(log_row(2))

    assert await bench.ids() == [log_row(2).id, log_row(1).id]
    assert await bench.number("SELECT countIf(mood = 'calm') FROM logs") == 2


async def test_a_migration_that_was_cut_off_is_completed_by_the_next_start(bench: Bench) -> None:
    half, whole = "ALTER TABLE logs ADD COLUMN IF NOT EXISTS half String", "ALTER TABLE logs ADD COLUMN whole String"
    version = len(MIGRATIONS) + 1
    with pytest.raises(StatementRefused, match="UNKNOWN_IDENTIFIER"):
        await migrate(bench.engine, (*MIGRATIONS, Migration(version, (half, "SELECT cut_off"))))
    after_failure = await applied_version(bench.engine)
    after = await migrate(bench.engine, (*MIGRATIONS, Migration(version, (half, whole))))

    assert (after_failure, after) == (version - 1, version)


def test_migrations_only_go_forward() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
    assert all("DROP" not in statement for migration in MIGRATIONS for statement in migration.statements)


async def test_a_row_takes_less_than_five_hundred_bytes_of_disk(bench: Bench) -> None:
    for part in range(10):
        await bench.insert(*[log_row(part * 1000 + number) for number in range(1000)])
    row_bytes = (
        await bench.number("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'logs'") / 10_000
    )

    print(f"{row_bytes:.0f} bytes a row")
    assert row_bytes <= 500
