from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.router.snapshot import (
    Content,
    Release,
    apply,
    canonical,
    content_of,
    difference,
    joined,
    key_parts_of,
    parts_of,
    refuse_older,
    snapshot_of,
    version_of,
)
from services.contracts.router.values import (
    Cache,
    Catalogue,
    Gateway,
    Limit,
    Provider,
    Refusal,
    SnapshotUpdate,
    StoredKey,
    StoredKeys,
)
from services.kit.errors import SnapshotRefused

NAMES = st.text(alphabet="abc-_9", min_size=1, max_size=4)
CONTENTS = st.builds(
    Content,
    catalogue=st.binary(min_size=1, max_size=8),
    gateways=st.dictionaries(st.tuples(NAMES, NAMES), st.binary(max_size=30), max_size=6),
)


def release(content: Content, **changes: object) -> Release:
    return msgspec.structs.replace(Release(version_of(content), content, {"file": 1}), **changes)


@given(CONTENTS, CONTENTS)
def test_a_difference_leads_from_any_content_to_any_other(held: Content, wanted: Content) -> None:
    update = difference(held, release(wanted))

    assert apply(held, update) == wanted


@given(CONTENTS | st.none(), CONTENTS)
def test_the_whole_leads_there_from_anywhere(held: Content | None, wanted: Content) -> None:
    update = difference(None, release(wanted))

    assert update.is_whole
    assert apply(held, update) == wanted


@given(CONTENTS, CONTENTS, CONTENTS)
def test_a_difference_never_leads_elsewhere(held: Content, wanted: Content, other: Content) -> None:
    update = difference(held, release(wanted))

    try:
        found = apply(other, update)
    except SnapshotRefused:
        return
    assert found == wanted


@given(CONTENTS, CONTENTS)
def test_contents_have_the_same_version_only_if_they_are_the_same(one: Content, other: Content) -> None:
    assert (version_of(one) == version_of(other)) == (one == other)


@given(CONTENTS)
def test_a_version_does_not_depend_on_the_order_of_gateways(content: Content) -> None:
    turned = Content(content.catalogue, dict(reversed(content.gateways.items())))

    assert version_of(turned) == version_of(content)


@given(CONTENTS, CONTENTS, st.integers(min_value=1, max_value=700))
def test_parts_join_to_the_update_they_were_cut_from(held: Content, wanted: Content, bytes_max: int) -> None:
    update = difference(held, release(wanted, refusals=(Refusal("a", "b"),)))

    parts = list(parts_of(update, bytes_max=bytes_max))

    assert joined(parts) == update
    assert [part.has_more for part in parts] == [True] * (len(parts) - 1) + [False]


def test_parts_are_about_as_big_as_asked() -> None:
    gateways = {("local", f"g{number}"): b"x" * 1000 for number in range(100)}
    update = difference(None, release(Content(b"c" * 5000, gateways)))

    parts = list(parts_of(update, bytes_max=10_000))

    assert all(sum(map(len, part.changed.values())) <= 10_000 for part in parts)
    assert len(parts) <= 15


@given(st.lists(st.text(alphabet="ab", max_size=5), max_size=8), st.integers(min_value=1, max_value=900))
def test_parts_of_stored_keys_hold_all_of_them_in_order(values: list[str], bytes_max: int) -> None:
    keys = tuple(StoredKey("a", "g", "p", str(number), value) for number, value in enumerate(values))

    parts = list(key_parts_of(StoredKeys("v", keys), bytes_max=bytes_max))

    assert tuple(key for part in parts for key in part.keys) == keys
    assert [part.has_more for part in parts] == [True] * (len(parts) - 1) + [False]


def test_content_that_was_changed_on_the_way_is_refused() -> None:
    update = difference(None, release(Content(b"c", {("local", "main"): b"{}"})))

    with pytest.raises(SnapshotRefused, match="hashes to"):
        apply(None, msgspec.structs.replace(update, changed={("local", "main"): b"{ }"}))


def test_a_difference_to_nothing_is_refused() -> None:
    content = Content(b"c", {})

    with pytest.raises(SnapshotRefused, match="nothing to apply it to"):
        apply(None, difference(content, release(content)))


@pytest.mark.parametrize(
    ("held", "offered", "is_refused"),
    [
        ({"file": 5}, {"file": 4}, True),
        ({"file": 5}, {"file": 5}, False),
        ({"file": 5}, {"file": 6}, False),
        ({"built-in": 5}, {"file": 4}, False),
        ({"a": 5, "b": 1}, {"a": 9, "b": 0}, True),
        ({}, {"file": 4}, False),
    ],
)
def test_an_older_source_is_refused(held: dict[str, int], offered: dict[str, int], is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(SnapshotRefused, match="older"):
            refuse_older(held, offered)
    else:
        refuse_older(held, offered)


def some_catalogue() -> Catalogue:
    return Catalogue({"p": Provider("p", "plain", (), "authorization")}, {})


def some_gateway(name: str, ttl_s: int = 0) -> Gateway:
    return Gateway("local", name, cache=Cache(ttl_s=ttl_s), limits=(Limit("a", "requests", 5, 60, "fixed"),))


def update_to(gateways: dict[tuple[str, str], Gateway], held: Content | None = None) -> tuple[SnapshotUpdate, Content]:
    content = content_of(canonical(some_catalogue()), gateways)
    return difference(held, release(content)), content


def test_a_snapshot_is_what_was_compiled() -> None:
    gateways = {("local", "main"): some_gateway("main")}

    snapshot = snapshot_of(*update_to(gateways))

    assert snapshot.gateways == gateways
    assert snapshot.catalogue == some_catalogue()


def test_gateways_that_did_not_change_stay_the_same_objects() -> None:
    update, content = update_to({("local", "a"): some_gateway("a"), ("local", "b"): some_gateway("b")})
    before = snapshot_of(update, content)

    changed, new_content = update_to(
        {("local", "a"): some_gateway("a"), ("local", "b"): some_gateway("b", ttl_s=5)}, held=content
    )
    after = snapshot_of(changed, new_content, before)

    assert set(changed.changed) == {("local", "b")}
    assert after.gateways["local", "a"] is before.gateways["local", "a"]
    assert after.gateways["local", "b"].cache.ttl_s == 5
    assert after.catalogue is before.catalogue


def test_content_that_is_no_gateway_is_refused() -> None:
    content = Content(canonical(some_catalogue()), {("local", "main"): b'{"account": 5}'})

    with pytest.raises(SnapshotRefused, match="does not decode"):
        snapshot_of(difference(None, release(content)), content)


def test_a_gateway_with_fields_of_a_later_version_still_decodes() -> None:
    part = msgspec.json.encode({**msgspec.to_builtins(some_gateway("main")), "invented_later": True})
    content = Content(canonical(some_catalogue()), {("local", "main"): part})

    snapshot = snapshot_of(difference(None, release(content)), content)

    assert snapshot.gateways["local", "main"] == some_gateway("main")
