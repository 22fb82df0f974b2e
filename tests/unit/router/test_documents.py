from __future__ import annotations

import itertools

import pytest

from services.router.resources.documents import read_documents
from tests.unit.router.judging import gateway


def titles(text: str) -> list[str]:
    return [document.title for document in read_documents(text, title="file").documents]


def test_a_text_holds_several_documents() -> None:
    assert titles(gateway("a") + gateway("b")) == ["Gateway local/a", "Gateway local/b"]


@pytest.mark.parametrize("text", ["---\n---\n" + gateway("a") + "---\n", "# a comment\n" + gateway("a") + "...\n"])
def test_empty_documents_and_comments_are_nothing(text: str) -> None:
    assert titles(text) == ["Gateway local/a"]


def test_a_directive_does_not_hide_the_documents_around_a_broken_one() -> None:
    text = "%YAML 1.1\n" + gateway("a") + "---\nfoo: [\n" + gateway("b")

    assert titles(text) == ["Gateway local/a", "Gateway local/b"]


def test_the_older_document_stands_first() -> None:
    first, second = read_documents(gateway("b") + gateway("a"), title="file").documents

    assert first.age < second.age


@pytest.mark.parametrize("spec", ["", "spec:\n", "spec: {}\n"])
def test_an_absent_or_empty_spec_is_all_defaults(spec: str) -> None:
    (document,) = read_documents(f"kind: Gateway\nmetadata: {{namespace: a, name: b}}\n{spec}", title="file").documents

    assert document.spec == {}


def test_labels_and_annotations_may_stand_in_a_file() -> None:
    text = "kind: Gateway\nmetadata: {namespace: a, name: b, labels: {team: x}, annotations: {note: 'y'}}\n"

    assert read_documents(text, title="file").refusals == ()


def test_anchors_may_be_used() -> None:
    text = (
        gateway("a", "{cache: &c {ttlS: 5}}") + "---\nkind: Gateway\nmetadata: {namespace: l, name: &n b}\nspec: {}\n"
    )

    assert len(titles(text)) == 2


def test_aliases_that_multiply_are_bounded() -> None:
    names = "abcdefghij"
    text = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in itertools.pairwise(names)
    )

    (refusal,) = read_documents(text, title="file").refusals

    assert "must hold at most 1000000 values" in refusal.reason


def test_an_alias_of_itself_ends() -> None:
    (refusal,) = read_documents("a: &a [*a]\n", title="file").refusals

    assert "must hold at most 1000000 values" in refusal.reason


def test_a_text_that_is_too_long_is_refused_as_a_whole() -> None:
    reading = read_documents(gateway("a") + "#" * (8 * 1024 * 1024), title="file")

    assert reading.refusals[0].reason == "must be at most 8388608 bytes long"
    assert not reading.is_whole
