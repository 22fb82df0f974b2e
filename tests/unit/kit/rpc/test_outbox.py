"""What waits to leave together, and where a message is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.kit.rpc.bounds import ITEM_BYTES_MAX, MESSAGE_BYTES_CUT, Bounds
from services.kit.rpc.link import Wire
from services.kit.rpc.outbox import Outbox


def sized(items_max: int = 1024, bounds: Bounds | None = None) -> Outbox[int]:
    """An outbox of items that are their own size."""
    wire: Wire[int] = Wire(
        encode=lambda items, probe: b"", decode=lambda message: ([], 0), size_bytes=int, items_max=items_max
    )
    return Outbox(wire=wire, bounds=bounds or Bounds())


def test_all_that_waits_leaves_in_order() -> None:
    outbox = sized()
    for item in (3, 1, 2):
        outbox.put(item)

    assert outbox.take() == [3, 1, 2]
    assert outbox.take() == []


def test_a_message_holds_as_many_items_as_its_wire_says() -> None:
    outbox = sized(items_max=2)
    for item in (1, 2, 3, 4, 5):
        outbox.put(item)

    assert [outbox.take(), outbox.take(), outbox.take()] == [[1, 2], [3, 4], [5]]


def test_a_message_is_cut_before_it_is_longer_than_a_mebibyte() -> None:
    outbox = sized()
    half = MESSAGE_BYTES_CUT // 2
    for item in (half, half, 1):
        outbox.put(item)

    assert outbox.take() == [half, half]
    assert outbox.take() == [1]


def test_a_big_item_leaves_alone() -> None:
    outbox = sized()
    for item in (1, ITEM_BYTES_MAX, 2):
        outbox.put(item)

    assert [outbox.take(), outbox.take(), outbox.take()] == [[1], [ITEM_BYTES_MAX], [2]]


def test_an_item_that_no_message_can_hold_is_refused() -> None:
    outbox = sized()

    assert not outbox.put(ITEM_BYTES_MAX + 1)
    assert len(outbox) == 0


def test_a_full_outbox_refuses_items() -> None:
    outbox = sized(bounds=Bounds(items_max=2))

    assert [outbox.put(1), outbox.put(1), outbox.put(1)] == [True, True, False]


def test_a_full_outbox_refuses_bytes() -> None:
    outbox = sized(bounds=Bounds(bytes_max=10))

    assert [outbox.put(8), outbox.put(3), outbox.put(2)] == [True, False, True]


def test_what_is_restored_is_never_refused() -> None:
    outbox = sized(bounds=Bounds(items_max=1))

    outbox.restore([1, 2, 3])

    assert outbox.take() == [1, 2, 3]


@given(st.lists(st.integers(1, ITEM_BYTES_MAX), max_size=40), st.integers(1, 10))
def test_whatever_waits_leaves_whole_in_order_and_in_messages_of_allowed_size(items: list[int], items_max: int) -> None:
    outbox = sized(items_max=items_max)
    taken = [item for item in items if outbox.put(item)]

    messages = []
    while message := outbox.take():
        messages.append(message)

    assert [item for message in messages for item in message] == taken
    assert all(len(message) <= items_max for message in messages)
    assert all(len(message) == 1 or sum(message) <= MESSAGE_BYTES_CUT for message in messages)
