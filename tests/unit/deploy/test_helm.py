"""Where Helm is, on machines that lack it: found, or missing with word of what would help."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "charts" / "helm"
USED = "bash cat dirname env flock mkdir mv rm".split()


class Machine:
    """A machine with the usual commands, and a checkout without an environment."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self._bin = folder / "bin"
        self._bin.mkdir()
        for command in USED:
            found = shutil.which(command)
            assert found, command
            (self._bin / command).symlink_to(found)
        (folder / "charts").mkdir()
        self._script = shutil.copy(SCRIPT, folder / "charts")

    def has(self, command: str, script: str) -> Path:
        """A command on its PATH."""
        path = self._bin / command
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)
        return path

    def ask(self) -> subprocess.CompletedProcess[str]:
        """Where is Helm?"""
        environment = {"PATH": str(self._bin), "XDG_CACHE_HOME": str(self.cache)}
        return subprocess.run([self._script], env=environment, capture_output=True, text=True, timeout=10)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_one_on_the_path_is_taken(machine: Machine) -> None:
    helm = machine.has("helm", "exit 0")

    assert machine.ask().stdout.strip() == str(helm)


@pytest.mark.parametrize("go", ["exit 127", "echo ''"], ids=["no Go", "a Go that is too old"])
def test_without_anything_to_build_it_the_error_says_what_is_needed(machine: Machine, go: str) -> None:
    machine.has("go", go)

    answer = machine.ask()

    assert answer.returncode == 1
    assert "Put helm 4 on the PATH, or Go 1.21 or newer" in answer.stderr
    assert "make environment-dev" in answer.stderr


def test_what_go_built_is_kept_and_nothing_else(machine: Machine) -> None:
    machine.has("go", 'if [ "$1" = env ]; then echo auto; else echo built >"$GOBIN/helm"; chmod +x "$GOBIN/helm"; fi')
    machine.has("chmod", f'{shutil.which("chmod")} "$@"')

    first, second = machine.ask(), machine.ask()

    helm = Path(first.stdout.strip())
    assert (first.stdout, second.stderr) == (second.stdout, "")
    assert sorted(path.name for path in helm.parent.iterdir()) == ["helm", "lock"]


def test_what_go_says_when_it_cannot_build_is_shown(machine: Machine) -> None:
    machine.has("go", 'if [ "$1" = env ]; then echo auto; else echo "no such module"; exit 1; fi')

    answer = machine.ask()

    assert answer.returncode == 1
    assert "no such module" in answer.stderr
    assert "Helm is missing, and Go could not build it" in answer.stderr
