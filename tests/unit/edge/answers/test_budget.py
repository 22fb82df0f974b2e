"""What many hold together: a piece that several hold counts once, and everything is given back."""

from __future__ import annotations

from services.edge.answers.budget import Budget


def test_what_does_not_fit_is_not_held() -> None:
    budget = Budget(bytes_max=10)

    taken = [budget.take(6), budget.take(5), budget.take_piece(b"12345"), budget.take_piece(b"1234")]

    assert taken == [True, False, False, True]
    assert (budget.used_bytes, budget.free_bytes) == (10, 0)


def test_a_piece_counts_once_until_nobody_holds_it() -> None:
    budget, piece = Budget(bytes_max=10), bytes(7)

    taken = [budget.take_piece(piece) for _ in range(3)]
    left = []
    for _ in taken:
        budget.give_piece(piece)
        left.append(budget.used_bytes)

    assert taken == [True, True, True]
    assert left == [7, 7, 0]


def test_pieces_that_read_alike_are_two() -> None:
    budget, one, other = Budget(bytes_max=10), bytes(5), bytes(5)

    budget.take_piece(one)
    budget.take_piece(other)

    assert budget.used_bytes == 10
