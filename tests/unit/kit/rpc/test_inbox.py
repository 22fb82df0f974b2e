"""Messages that a session has not taken yet."""

from __future__ import annotations

import asyncio

from services.kit.rpc.bounds import MESSAGE_BYTES_MAX
from services.kit.rpc.inbox import MESSAGES_MAX, Inbox


async def test_a_message_is_taken_as_it_came() -> None:
    inbox: Inbox[int] = Inbox(items_max=10)
    await inbox.put([1, 2], 8)

    assert await inbox.take() == [1, 2]


async def test_messages_that_piled_up_are_taken_together_up_to_a_messages_length() -> None:
    inbox: Inbox[int] = Inbox(items_max=5)
    for message in ([1, 2], [3, 4], [5, 6], [7]):
        await inbox.put(message, 8)

    assert [list(await inbox.take()), list(await inbox.take())] == [[1, 2, 3, 4], [5, 6, 7]]


async def test_taking_waits_for_a_message() -> None:
    inbox: Inbox[int] = Inbox(items_max=5)

    async with asyncio.TaskGroup() as tasks:
        taking = tasks.create_task(inbox.take())
        await asyncio.sleep(0)
        was_done = taking.done()
        await inbox.put([1], 8)

    assert not was_done
    assert taking.result() == [1]


async def test_the_end_comes_after_what_was_put_before_it() -> None:
    inbox: Inbox[int] = Inbox(items_max=5)
    await inbox.put([1], 8)
    inbox.end()

    assert [list(await inbox.take()), list(await inbox.take())] == [[1], []]


async def test_putting_waits_while_too_many_messages_wait() -> None:
    inbox: Inbox[int] = Inbox(items_max=1)
    for number in range(MESSAGES_MAX):
        await inbox.put([number], 8)

    assert await is_held_back(inbox, [1], 8)


async def test_putting_waits_while_too_many_bytes_wait() -> None:
    inbox: Inbox[int] = Inbox(items_max=1)
    await inbox.put([1], MESSAGE_BYTES_MAX - 1)

    assert await is_held_back(inbox, [2], 2)


async def test_a_message_of_any_length_is_put_when_nothing_waits() -> None:
    inbox: Inbox[int] = Inbox(items_max=1)

    await inbox.put([1], MESSAGE_BYTES_MAX * 2)

    assert await inbox.take() == [1]


async def is_held_back(inbox: Inbox[int], message: list[int], size_bytes: int) -> bool:
    """Putting waits, until something is taken."""
    async with asyncio.TaskGroup() as tasks:
        putting = tasks.create_task(inbox.put(message, size_bytes))
        for _ in range(3):
            await asyncio.sleep(0)
        waits = not putting.done()
        await inbox.take()
    return waits
