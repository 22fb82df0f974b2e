"""
One Narrows for the whole suite, in the form that NARROWS_E2E names: `together` (the default) or `apart`.

The acceptance test `together_and_apart` runs this folder in both forms.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.deployment import Apart, Deployment, Together

RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: main}
spec: {}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: cached}
spec: {cache: {ttlS: 300}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: limited}
spec:
  limits:
    - {name: five, unit: requests, limit: 5, windowS: 3600, technique: fixed}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: per-user}
spec:
  limits:
    - {name: user, unit: requests, limit: 2, windowS: 3600, technique: sliding, key: [metadata.user]}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: guarded}
spec:
  authentication:
    tokens:
      - {name: ci, valueFrom: {sha256: "a3ee786b5707c27d42570785081ec17f5c7db9262a01366af362a1aa61a420b9"}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: hosted}
spec: {hosts: [ai.example.test]}
"""


@pytest.fixture(scope="session")
def narrows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A running Narrows with the gateways above and the simulator."""
    folder: Path = tmp_path_factory.mktemp("narrows")
    form = os.environ.get("NARROWS_E2E", "together")
    kinds = {"together": Together, "apart": Apart}
    with kinds[form](folder, resources=RESOURCES) as deployment:
        yield deployment
