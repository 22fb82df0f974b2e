"""
Honest streams: a broken answer never ends as a whole one, is never cached, and every end is booked once.

Every fault in every form of stream, from a provider of raw sockets to a client that reads octets. What came of it is
written to docs/streams.md; a page that says something else than what was measured is replaced, and fails the test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.acceptance.measured import Measured
from tests.fakes import faults
from tests.fakes.faults import Telling
from tests.fakes.providers.streams import SPOKEN, one
from tests.streams.drained import drain
from tests.streams.everywhere import Outcome, closed_everywhere, cut_everywhere, problems, split_everywhere
from tests.streams.libraries import LIBRARIES, raised
from tests.streams.matrix import FAULTS, Cell, book, play
from tests.streams.page import PAGE, EveryByte, findings_of, page
from tests.streams.stage import GATEWAY, Stage, staged
from tests.streams.together import Pair, ask_again, breaks_for_both, first_leaves, second_leaves

EVERYWHERE = {"split": split_everywhere, "cut": cut_everywhere, "ended by closing": closed_everywhere}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("honest_streams")) as stage:
        yield stage


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread for each form of stream."""
    with ThreadPoolExecutor(len(SPOKEN)) as pool:
        yield pool


@pytest.fixture(scope="module")
def cells(stage: Stage, pool: ThreadPoolExecutor) -> list[Cell]:
    """In rows: one fault in all forms, then the next."""
    cells: list[Cell] = []
    for fault in FAULTS:
        cells += (map if fault.is_alone else pool.map)(partial(play, stage, fault), SPOKEN)
    stage.every_row()
    for cell in cells:
        book(stage, cell)
    return cells


@pytest.fixture(scope="module")
def everywhere(stage: Stage, pool: ThreadPoolExecutor) -> dict[str, list[list[Outcome]]]:
    """By what is done at every byte, for each form what came of it."""
    return {name: list(pool.map(partial(each, stage), SPOKEN)) for name, each in EVERYWHERE.items()}


def test_every_fault_ends_in_every_dialect_as_it_must(cells: list[Cell], measured: Measured) -> None:
    wrong = [cell for cell in cells if not cell.is_as_expected]
    for cell in wrong:
        print(f"{cell.asked.case}: {cell.problem} {cell.end}")

    measured("faults x dialects", len(cells), f"== {len(FAULTS) * len(SPOKEN)}")
    measured("that ended otherwise than they must", len(wrong), "== 0")


def test_whoever_leaves_ends_the_providers_work_within_a_second(cells: list[Cell], measured: Measured) -> None:
    worked_s = [cell.left_s for cell in cells if cell.left_s is not None]

    measured("clients that left a provider at work", len(worked_s), f"== {4 * len(SPOKEN)}")
    measured("s until it was left, at most", max(worked_s), "<= 1")


@pytest.mark.parametrize("what", EVERYWHERE)
def test_a_stream_is_honest_at_every_byte(
    what: str, everywhere: dict[str, list[list[Outcome]]], measured: Measured
) -> None:
    outcomes = [outcome for of_one in everywhere[what] for outcome in of_one]
    wrong = problems(outcomes)
    print("\n".join(wrong[:20]))

    least = sum(len(one(spoken.events)) - 1 for spoken in SPOKEN)
    measured(f"{what} at bytes", len(outcomes), f">= {least}")
    measured(f"{what}: otherwise than it must", len(wrong), "== 0")


@pytest.mark.parametrize("play_pair", [first_leaves, second_leaves], ids=["first", "second"])
def test_one_who_leaves_takes_nothing_from_the_other(
    stage: Stage, pool: ThreadPoolExecutor, play_pair: type, measured: Measured
) -> None:
    pairs: list[Pair] = list(pool.map(lambda spoken: play_pair(stage, spoken), SPOKEN))
    again = list(pool.map(lambda pair: ask_again(stage, pair), pairs))

    staying = [pair.second if play_pair is first_leaves else pair.first for pair in pairs]
    whole = sum(pair.is_whole(asked) for pair, asked in zip(pairs, staying, strict=True))
    measured(f"whole though the {'first' if play_pair is first_leaves else 'second'} left", whole, f"== {len(SPOKEN)}")
    assert [pair.calls for pair in pairs] == [1] * len(SPOKEN)
    assert {asked.heard.header("cf-aig-cache-status") for asked in again} == {"HIT"}


def test_an_answer_that_breaks_is_told_to_all_who_wait_for_it(
    stage: Stage, pool: ThreadPoolExecutor, measured: Measured
) -> None:
    pairs = list(pool.map(lambda spoken: breaks_for_both(stage, spoken), SPOKEN))
    again = list(pool.map(lambda pair: ask_again(stage, pair), pairs))

    told = sum(pair.is_told(asked) for pair in pairs for asked in (pair.first, pair.second))
    measured("told, of two who shared each broken answer", told, f"== {2 * len(SPOKEN)}")
    assert {asked.heard.header("cf-aig-cache-status") for asked in again} == {"MISS"}


@pytest.mark.parametrize(("telling", "words"), [(faults.cut, "cut its answer"), (faults.stall, "sent nothing")])
def test_the_providers_own_libraries_raise_what_is_told(
    stage: Stage, telling: Telling, words: str, measured: Measured
) -> None:
    found = [raised(stage, library, telling) for library in LIBRARIES]
    print(found)

    told = sum(
        heard == len(library.spoken.half) and words in said
        for library, (heard, said) in zip(LIBRARIES, found, strict=True)
    )
    measured(f"SDKs that raise what is told of a {telling.__name__}", told, f"== {len(LIBRARIES)}")


def test_every_end_is_booked_once(
    stage: Stage, cells: list[Cell], everywhere: dict[str, list[list[Outcome]]], measured: Measured
) -> None:
    rows = stage.every_row()

    ends: Counter[tuple[str, ...]] = Counter((str(row["status_code"]), row["ended"]) for row in rows)
    tokens = Counter((row["provider"],) for row in rows for _ in range(row["tokens_out"] or 0))
    measured("requests", len({row["id"] for row in rows}), f"== {stage.asked_count}")
    measured("rows", len(rows), f"== {stage.asked_count}")
    counted = stage.counted("narrows_requests_total", "status", "ended", gateway=f"local/{GATEWAY}")
    differing = {key: (ends[key], counted[key]) for key in ends.keys() | counted.keys() if ends[key] != counted[key]}
    print(differing)
    measured("ends that log and metric count differently", len(differing), "== 0")
    metered = stage.counted("gen_ai_client_token_usage_sum", "gen_ai_provider_name", gen_ai_token_type="output")
    assert metered == tokens


def test_the_page_says_what_was_measured(
    stage: Stage, cells: list[Cell], everywhere: dict[str, list[list[Outcome]]], measured: Measured
) -> None:
    counts = [
        EveryByte(len(split), len(cut), len(closed), sum(outcome.is_whole for outcome in closed))
        for split, cut, closed in zip(*everywhere.values(), strict=True)
    ]
    text = page(findings_of(cells, counts))
    is_same = PAGE.exists() and PAGE.read_text() == text
    PAGE.write_text(text)

    measured("pages that said otherwise (docs/streams.md is written anew)", int(not is_same), "== 0")


def test_a_stream_that_is_cut_when_the_edge_leaves_is_told_and_booked(stage: Stage, measured: Measured) -> None:
    cut, waiting = drain(stage)
    for each in cut:
        if not each.is_as_expected:
            print(each.spoken.name, each.asked.heard, each.rows)

    measured(
        "streams told and booked at the drain's end", sum(each.is_as_expected for each in cut), f"== {len(SPOKEN)}"
    )
    assert waiting.is_as_expected, (waiting.asked.answer, waiting.rows)
