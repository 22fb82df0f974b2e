"""
Conformance: what Kubernetes would say of a manifest before it stores it, without a cluster.

The types are those of Kubernetes' own Python client, which are generated from its API: a field that is not known, one
that is missing and a value of another type are faults. What the API server judges beyond types is left to a cluster
(tests/acceptance/test_cluster.py).

    helm template ... | python -m tests.charts.conformance
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import yaml
from kubernetes import client

Manifest = dict[str, Any]
PLAIN = {"str": str, "int": int, "bool": bool}


def faults(manifests: list[Manifest]) -> Iterator[str]:
    """Everything that is wrong, each with its object and path."""
    seen = set()
    for manifest in manifests:
        title = f"{manifest.get('kind')} {manifest.get('metadata', {}).get('name')}"
        model = getattr(client, f"V1{manifest.get('kind')}", None)
        if model is None or manifest.get("apiVersion") not in ("v1", "apps/v1", "networking.k8s.io/v1"):
            yield f"{title}: {manifest.get('apiVersion')} is not known"
            continue
        if title in seen:
            yield f"{title}: is declared twice"
        seen.add(title)
        for path, fault in _of_object(manifest, model.__name__):
            yield f"{title}: {path}: {fault}"


def _of_object(value: Any, type_name: str, path: str = "") -> Iterator[tuple[str, str]]:
    """Walk the value along the type, as far as types go."""
    inner = re.fullmatch(r"(List|Dict)\[(?:str, )?(.+)\]", type_name)
    if inner is not None:
        expected = list if inner[1] == "List" else dict
        if not isinstance(value, expected):
            yield path, f"must be a {expected.__name__}, is {value!r}"
            return
        for key, item in enumerate(value) if isinstance(value, list) else value.items():
            yield from _of_object(item, inner[2], f"{path}[{key}]")
        return
    model = getattr(client, type_name, None)
    if model is not None and hasattr(model, "attribute_map"):
        yield from _of_model(value, model, path)
    elif type_name in PLAIN and type(value) is not PLAIN[type_name]:
        yield path, f"must be of type {type_name}, is {value!r}"


def _of_model(value: Any, model: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield path, f"must be an object, is {value!r}"
        return
    types = {model.attribute_map[attribute]: kind for attribute, kind in model.openapi_types.items()}
    for name, item in value.items():
        if name not in types:
            yield f"{path}.{name}", f"{model.__name__} has no such field"
        elif item is None:
            yield f"{path}.{name}", "is null"
        else:
            yield from _of_object(item, types[name], f"{path}.{name}")
    for attribute, field in model.model_fields.items():
        name = model.attribute_map.get(attribute, attribute)
        if field.is_required() and name not in value:
            yield f"{path}.{name}", "is missing"


def main() -> int:
    """Read manifests, tell faults."""
    manifests = [manifest for manifest in yaml.safe_load_all(sys.stdin) if manifest]
    found = sorted(set(faults(manifests)))
    for fault in found:
        print(fault, file=sys.stderr)
    if not manifests:
        print("nothing was rendered", file=sys.stderr)
    return 1 if found or not manifests else 0


if __name__ == "__main__":
    sys.exit(main())
