"""
Slots of an exchange: nine, one per stage, each written by its own stage and by nothing else.

Read off the source, because a slot that another module writes works until the day two of them disagree.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from services.edge.exchange import Exchange

ROOT = Path(__file__).resolve().parents[3]
EDGE = ROOT / "services" / "edge"
STAGES = EDGE / "stages"
EXCHANGE = EDGE / "exchange.py"
IN_ORDER = ("resolve", "authenticate", "receive", "inspect", "admit", "recall", "attempt", "relay", "settle")


@cache
def syntax(path: Path) -> list[ast.AST]:
    """All of a file."""
    return list(ast.walk(ast.parse(path.read_text())))


def stages_by_slot() -> dict[str, str]:
    """Each slot with the stage whose value it holds, as the types in exchange.py say."""
    nodes = syntax(EXCHANGE)
    homes = {
        alias.asname or alias.name: node.module or ""
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    slots = next(node for node in nodes if isinstance(node, ast.ClassDef) and node.name == "Slots")
    types = {
        node.target.id: ast.unparse(node.annotation)
        for node in slots.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    prefix = "services.edge.stages."
    return {
        slot: homes[kind].removeprefix(prefix) for slot, kind in types.items() if homes.get(kind, "").startswith(prefix)
    }


SLOTS = stages_by_slot()


def accesses(path: Path) -> Iterator[tuple[str, bool]]:
    """Slots of an exchange that the file uses, and whether it writes them. In a stage, `self` is never an exchange."""
    own_name = "self" if path == EXCHANGE else ""
    for node in syntax(path):
        if isinstance(node, ast.Attribute) and node.attr in SLOTS and ast.unparse(node.value) in (own_name, "exchange"):
            yield node.attr, not isinstance(node.ctx, ast.Load)


class Value:
    """Anything that a stage may write."""


def new_exchange() -> Exchange:
    """Before its first stage."""
    nothing: Any = None
    return Exchange(nothing, nothing, "", 0)


@cache
def edge_files() -> list[Path]:
    return sorted(EDGE.rglob("*.py"))


def test_every_stage_has_one_slot() -> None:
    files = {path.stem for path in STAGES.glob("*.py")} - {"__init__"}

    assert sorted(SLOTS.values()) == sorted(IN_ORDER)
    assert files == set(IN_ORDER)


@pytest.mark.parametrize("slot", SLOTS)
def test_a_slot_is_written_in_one_module_the_stage_of_its_name(slot: str) -> None:
    writers = [path for path in edge_files() if (slot, True) in accesses(path)]

    assert writers == [STAGES / f"{SLOTS[slot]}.py"]


@pytest.mark.parametrize("slot", SLOTS)
def test_reading_an_empty_slot_raises(slot: str) -> None:
    exchange = new_exchange()

    with pytest.raises(AttributeError):
        getattr(exchange, slot)
    assert not exchange.has(slot)


def test_what_a_slot_held_is_let_go_with_its_exchange() -> None:
    exchange = new_exchange()
    settled: Any = Value()
    exchange.settled = settled
    left = ref(settled)

    del exchange, settled

    assert left() is None


def test_no_two_exchanges_share_what_grows() -> None:
    first, second = new_exchange(), new_exchange()

    first.note_degraded("cache")
    first.marks_s.append(1.0)

    assert (second.degraded, second.marks_s) == ([], [])


@pytest.mark.parametrize("stage", IN_ORDER)
def test_a_stage_reads_only_what_the_stages_before_it_and_itself_have_written(stage: str) -> None:
    done = IN_ORDER[: IN_ORDER.index(stage) + 1]

    read = {SLOTS[slot] for slot, is_write in accesses(STAGES / f"{stage}.py") if not is_write}

    assert read <= set(done)


def test_nothing_in_the_edge_writes_attributes_by_a_name_made_up_at_run_time() -> None:
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in edge_files()
        for node in syntax(path)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr", "object.__setattr__")
    ]

    assert calls == []


def test_an_exchange_goes_by_one_name_so_that_its_writers_are_found() -> None:
    others = [
        f"{path.relative_to(ROOT)}:{argument.lineno} {argument.arg}"
        for path in edge_files()
        for node in syntax(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.annotation is not None and ast.unparse(argument.annotation) == "Exchange"
        if argument.arg != "exchange"
    ]

    assert others == []
