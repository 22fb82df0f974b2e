"""
Kubernetes: the cluster that tests run on, and the two commands that speak to it.

It is the one that KUBECONFIG names; else one is started on this machine by the scripts in NARROWS_CLUSTER, or in
`../shared/cluster` beside the checkout, and stopped again, unless it was up already. The scripts are `up` (prints
what to put into the environment), `load IMAGE` and `down`. Where there are none, NARROWS_IMAGE names an image that the
cluster can pull.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UP_S_MAX = 300
BUILD_S_MAX = 600
COMMAND_S_MAX = 240
IMAGE = "narrows:acceptance"

Object = dict[str, Any]


class Kubernetes:
    """A cluster. `scripts` is where it comes from, if it can be given images."""

    def __init__(self, environment: dict[str, str], *, scripts: Path | None) -> None:
        self.environment = environment
        self.scripts = scripts
        self._helm = _output([str(ROOT / "charts" / "helm")], environment, BUILD_S_MAX).strip()

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run it; what it says. Raises AssertionError with its complaint."""
        return _output(["kubectl", *arguments], self.environment, COMMAND_S_MAX, given=given)

    def get(self, *arguments: str) -> Object:
        """Objects as they are."""
        found: Object = json.loads(self.kubectl("get", *arguments, "--output", "json"))
        return found

    def helm(self, *arguments: str, given: str | None = None) -> str:
        """Run it; what it says."""
        return _output([self._helm, *arguments], self.environment, COMMAND_S_MAX, given=given)

    def image(self) -> tuple[str, str]:
        """The image that pods can start, as repository and tag; built from this checkout where it can be loaded."""
        named = self.environment.get("NARROWS_IMAGE", "")
        if not named:
            assert self.scripts is not None, "say in NARROWS_IMAGE which image this cluster can pull"
            _output(["make", "--directory", str(ROOT), "image", f"IMAGE={IMAGE}"], self.environment, BUILD_S_MAX)
            named = f"localhost/{IMAGE}"
            _output([str(self.scripts / "load"), named], self.environment, COMMAND_S_MAX)
        repository, _, tag = named.rpartition(":")
        return repository, tag

    @contextmanager
    def namespace(self, name: str, labels: dict[str, str]) -> Iterator[str]:
        """A namespace of that name, new, and gone afterwards."""
        self.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait")
        self.kubectl("create", "namespace", name)
        self.kubectl("label", "namespace", name, *(f"{key}={value}" for key, value in labels.items()))
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    @contextmanager
    def forwarded(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """A URL that leads to a port of a service."""
        command = ["kubectl", "--namespace", namespace, "port-forward", f"service/{service}", f":{port}"]
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Forwarding from 127.0.0.1:"), f"{' '.join(command)}: {line}"
            yield f"http://{line.split()[2]}"
        finally:
            process.terminate()
            process.communicate(timeout=10)


@contextmanager
def kubernetes() -> Iterator[Kubernetes]:
    """The cluster, for as long as it is needed."""
    scripts = Path(os.environ.get("NARROWS_CLUSTER") or ROOT.parent / "shared" / "cluster")
    has_scripts = (scripts / "up").exists()
    if os.environ.get("KUBECONFIG"):
        yield Kubernetes(dict(os.environ), scripts=scripts if has_scripts else None)
        return
    assert has_scripts, f"a cluster is needed: set KUBECONFIG, or have scripts for one in {scripts}"
    environment, is_ours = _up(scripts)
    try:
        yield Kubernetes(environment, scripts=scripts)
    finally:
        if is_ours:
            _output([str(scripts / "down")], environment, COMMAND_S_MAX)


def _up(scripts: Path) -> tuple[dict[str, str], bool]:
    """Start it; the environment in which it is found, and whether it was not up before."""
    run = subprocess.run(
        ["bash", "-c", 'exports=$("$0") && eval "$exports" && env --null', str(scripts / "up")],
        capture_output=True,
        text=True,
        timeout=UP_S_MAX,
    )
    assert run.returncode == 0, f"{scripts / 'up'}: {run.stderr}"
    pairs = (line.partition("=") for line in run.stdout.split("\0") if line)
    return {name: value for name, _, value in pairs}, "already up" not in run.stderr


def _output(command: list[str], environment: dict[str, str], timeout_s: float, *, given: str | None = None) -> str:
    run = subprocess.run(command, env=environment, input=given, capture_output=True, text=True, timeout=timeout_s)
    assert run.returncode == 0, f"{' '.join(command)}: {run.stdout[-4000:]}{run.stderr[-4000:]}"
    return run.stdout
