"""Ratios: how many bytes of a model's text make a token, learned from answers that say so."""

from __future__ import annotations

from services.dialects.ratios import RatioTable


def learn(ratios: RatioTable, model: str, text_bytes: int, tokens_out: int) -> None:
    ratios.learn(model, size_bytes=0, tokens_in=0, text_bytes=text_bytes, tokens_out=tokens_out)


def test_ratios_ignore_samples_that_are_no_text_and_stay_bounded() -> None:
    ratios = RatioTable(models_max=2)
    learn(ratios, "m", 10_000, 10)
    learn(ratios, "m", 9, 3)
    assert ratios.tokens_out("m", 400) == 100

    learn(ratios, "m", 200, 100)
    learn(ratios, "n", 300, 100)
    learn(ratios, "o", 500, 100)

    assert ratios.tokens_out("m", 400) == 100
    assert ratios.tokens_out("n", 300) == 100
    assert ratios.tokens_out("o", 11) == 3


def test_the_ratios_of_a_request_and_of_its_answer_are_apart_and_move_by_a_tenth() -> None:
    ratios = RatioTable()
    ratios.learn("m", size_bytes=800, tokens_in=100, text_bytes=200, tokens_out=100)
    assert (ratios.tokens_in("m", 800), ratios.tokens_out("m", 200)) == (100, 100)

    ratios.learn("m", size_bytes=1_600, tokens_in=100, text_bytes=7, tokens_out=7)

    assert (ratios.tokens_in("m", 880), ratios.tokens_out("m", 200)) == (100, 100)


def test_a_ratio_is_the_same_whenever_it_is_asked_for() -> None:
    asked_often, asked_once = RatioTable(), RatioTable()
    for text_bytes in range(100, 1_600, 10):
        learn(asked_often, "m", text_bytes, 100)
        asked_often.tokens_out("m", 1)
        learn(asked_once, "m", text_bytes, 100)

    assert asked_once.tokens_out("m", 1_000_000) == asked_often.tokens_out("m", 1_000_000)
