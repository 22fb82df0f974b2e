"""Values: what may be left out may be left out, what is not known is refused with its path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.chart import CHART, REFUSED, Chart, Refused, values_in
from tests.charts.conformance import faults

Section = tuple[str, ...]
ALL = {"simulator": {"enabled": True}, "jaeger": {"enabled": True}, "redis": {"enabled": True}}


def sections(schema: dict[str, Any], values: dict[str, Any], above: Section = ()) -> Iterator[tuple[Section, set[str]]]:
    """Every section of the values, with the names in it that may not be unset."""
    yield above, set(schema.get("required", []))
    for name, value in values.items():
        inner = schema["properties"][name]
        if isinstance(value, dict) and "properties" in inner:
            yield from sections(inner, value, (*above, name))


SECTIONS = dict(sections(json.loads((CHART / "values.schema.json").read_text()), values_in(CHART / "values.yaml")))


def nested(path: Section, value: object) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def merged(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    """Both, the second over the first."""
    both = dict(low)
    for name, value in high.items():
        known = both.get(name)
        both[name] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return both


def names_in(path: Section) -> set[str]:
    found = values_in(CHART / "values.yaml")
    for name in path:
        found = found[name]
    return set(found)


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: ".".join(path) or "all")
def test_what_may_be_unset_leaves_manifests_that_are_whole(chart: Chart, path: Section) -> None:
    unset = dict.fromkeys(names_in(path) - SECTIONS[path])

    manifests = chart.render(merged(ALL, nested(path, unset))).manifests

    text = yaml.safe_dump(manifests)
    assert list(faults(manifests)) == []
    assert "nil>" not in text
    assert "<no value>" not in text


@pytest.mark.parametrize(
    "path", [path for path in SECTIONS if SECTIONS[path]], ids=lambda path: ".".join(path) or "all"
)
def test_what_may_not_be_unset_is_refused_with_its_path(chart: Chart, path: Section) -> None:
    with pytest.raises(Refused) as refused:
        chart.render(merged(ALL, nested(path, dict.fromkeys(SECTIONS[path]))))

    assert f"at '{'/' if path else ''}{'/'.join(path)}': missing propert" in str(refused.value)
    for name in SECTIONS[path]:
        assert f"'{name}'" in str(refused.value)


@pytest.mark.parametrize("path", sorted(REFUSED.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_wrong_is_refused_with_its_reason(chart: Chart, path: Path) -> None:
    reason = path.read_text().splitlines()[0].removeprefix("# ")

    with pytest.raises(Refused) as refused:
        chart.render(values_in(path))

    assert reason in str(refused.value)


def test_no_section_takes_a_name_it_does_not_know(chart: Chart) -> None:
    values: dict[str, Any] = {}
    for path in SECTIONS:
        values = merged(values, nested((*path, "unknown"), 1))

    with pytest.raises(Refused) as refused:
        chart.render(values)

    for path in SECTIONS:
        where = f"/{'/'.join(path)}" if path else ""
        assert f"at '{where}': additional properties 'unknown' not allowed" in str(refused.value)


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"prots": []}}, ".spec.prots"),
        ({"apiVersion": "v1", "kind": "Gadget", "metadata": {"name": "a"}}, "not known"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": 1}}, "must be of type str"),
        (
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"name": "b"}]}},
            "is missing",
        ),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": {}}}, "must be a list"),
    ],
)
def test_a_manifest_that_kubernetes_would_not_take_is_noticed(manifest: dict[str, Any], fault: str) -> None:
    found = " ".join(faults([manifest]))

    assert fault in found
