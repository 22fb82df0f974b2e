"""Trailing commas are forgiven outside of strings and nowhere else, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.surfaces.commas import CommaRepair
from services.kit.errors import Malformed

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
_PARTS = (b'"', b"\\", b",", b" ", b"]", b"}", b"[", b"x", b", ]", b'"a,]"', b" " * 200, b"x" * 200)
_WHOLE = re.compile(
    rb"""(?: [^",]++ | "(?: [^"\\]++ | \\. )*+"? | ,(?! [ \t\r\n]*+ [\]}] ) )++""", re.DOTALL | re.VERBOSE
)
"""What stays, where all of it is looked at in one go."""


async def repaired(text: bytes) -> bytes:
    """As behind a first trailing comma."""
    return (await CommaRepair().without_trailing_commas(b"[[1,],0" + text, 4)).removeprefix(b"[[1],0")


@given(_VALUES)
def test_json_without_trailing_commas_stays_as_it_is(value: object) -> None:
    text = json.dumps(value).encode()

    assert asyncio.run(repaired(text)) == text


async def test_trailing_commas_go() -> None:
    text = b'[{"a": ",]", "b": [1, 2 , ] , }\n,\n]'

    assert json.loads(await repaired(text)) == [{"a": ",]", "b": [1, 2]}]


@given(parts=st.lists(st.sampled_from(_PARTS), max_size=40), slice_bytes=st.integers(2, 40))
def test_where_slices_end_changes_nothing(parts: list[bytes], slice_bytes: int) -> None:
    text = b"".join(parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.edge.surfaces.commas._SLICE_BYTES", slice_bytes)
        without = asyncio.run(repaired(text))

    if not text.endswith(b"\\"):
        assert without == b"".join(_WHOLE.findall(text))


async def test_what_is_nothing_but_trailing_commas_is_no_slip_of_the_pen() -> None:
    with pytest.raises(Malformed, match="more than 1000 trailing commas"):
        await repaired(b",[1,]" * 2_000)


@pytest.mark.parametrize("filling", [b"x", b"\\n", b'","', b"1,", b",", b" ", b"\\", b'"\\', b", "])
@pytest.mark.timeout(30)
async def test_a_large_body_is_repaired_in_turns(filling: bytes) -> None:
    text = b'["' + filling * (2**22 // len(filling)) + b'",]'
    pauses_s = [0.0]

    async def look() -> None:
        while True:
            began_s = time.thread_time()
            await asyncio.sleep(0)
            pauses_s.append(time.thread_time() - began_s)

    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(look())
        await repaired(text)
        looking.cancel()

    assert len(pauses_s) > 100
    assert max(pauses_s) < 0.05
