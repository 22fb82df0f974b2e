"""
The chart as tests see it: values in, manifests out.

Rendering is Helm's own and takes a part of a second, so the same values are rendered once. Making certificates takes
the longest: unless a test is about them, a Secret of the operator's stands in.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "narrows"
VALUES = Path(__file__).parent / "values"
REFUSED = Path(__file__).parent / "refused"
RENDER_S_MAX = 30

Manifest = dict[str, Any]
Values = dict[str, Any]


class Refused(Exception):
    """Helm would not render that; what it said."""


class Release:
    """What one set of values renders to."""

    def __init__(self, manifests: list[Manifest]) -> None:
        self.manifests = manifests

    def kind(self, kind: str) -> dict[str, Manifest]:
        """All of one kind by their names."""
        return {each["metadata"]["name"]: each for each in self.manifests if each["kind"] == kind}

    def deployment(self, component: str) -> Manifest:
        return self.kind("Deployment")[f"narrows-{component}"]

    def pod(self, component: str) -> Manifest:
        """The pod of a Deployment."""
        pod: Manifest = self.deployment(component)["spec"]["template"]
        return pod

    def container(self, component: str) -> Manifest:
        container: Manifest = self.pod(component)["spec"]["containers"][0]
        return container

    def environment(self, component: str) -> dict[str, Any]:
        """Variables of a container: a value, or where it comes from."""
        given = self.container(component).get("env", [])
        return {each["name"]: each.get("value", each.get("valueFrom")) for each in given}

    def containers(self) -> Iterator[tuple[str, Manifest, Manifest]]:
        """Every container with its Deployment's name and its pod."""
        for name, deployment in self.kind("Deployment").items():
            pod = deployment["spec"]["template"]["spec"]
            for container in [*pod.get("initContainers", []), *pod["containers"]]:
                yield name, pod, container


class Chart:
    """Renders, and remembers what it rendered."""

    def __init__(self, helm: str) -> None:
        self._helm = helm
        self._rendered: dict[str, Release] = {}

    def render(self, values: Values | None = None, **more: Any) -> Release:
        """The release `narrows` in the namespace `narrows`. Raises Refused."""
        text = json.dumps({"tls": {"existingSecret": "given"}, **(values or {}), **more})
        if text not in self._rendered:
            manifests = yaml.safe_load_all(self._run("template", text))
            self._rendered[text] = Release([each for each in manifests if each])
        return self._rendered[text]

    def notes(self, values: Values | None = None) -> str:
        """What `helm install` prints."""
        text = json.dumps({"tls": {"existingSecret": "given"}, **(values or {})})
        return self._run("install", text, "--dry-run=client").partition("NOTES:\n")[2]

    def render_as(self, name: str) -> Release:
        """A release of another name."""
        given = self._run("template", json.dumps({"tls": {"existingSecret": "given"}}), release=name)
        return Release([each for each in yaml.safe_load_all(given) if each])

    def _run(self, command: str, values: str, *flags: str, release: str = "narrows") -> str:
        run = subprocess.run(
            [self._helm, command, release, str(CHART), "--namespace", "narrows", "--values", "-", *flags],
            input=values,
            capture_output=True,
            text=True,
            timeout=RENDER_S_MAX,
        )
        if run.returncode != 0:
            raise Refused(run.stderr)
        return run.stdout


def values_in(path: Path) -> Values:
    """A set of values from a file."""
    values: Values = yaml.safe_load(path.read_text())
    return values
