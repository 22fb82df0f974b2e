"""
Processes: one `narrows` command as a child, with its ports, its log and its readiness.

Ports are chosen before the child starts, so that several deployments run side by side, and from below those that the
kernel gives to outgoing connections, so that none of these takes one meanwhile. A child that ends early fails the test
with the end of its log.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

START_S = 30.0
STOP_S = 20.0
NARROWS = Path(sys.executable).with_name("narrows")
PORTS = range(10_240, 32_000)
_LOG_TAIL = 4000


def unused_port() -> int:
    """A port that nobody has right now."""
    for port in random.sample(PORTS, 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process' environment without what would configure Narrows from outside, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NARROWS_", "OTEL_"))}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        kept.pop(name, None)
    return {**kept, **extra}


class NarrowsProcess:
    """One `narrows run`. `health` is the address of its `/readyz`; `command` stands for `narrows`."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        environment: Mapping[str, str],
        *,
        health: str,
        log: Path,
        command: Sequence[str] = (str(NARROWS),),
    ) -> None:
        self.name = name
        self.health = health
        self.log = log
        self._command = command
        self._arguments = arguments
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; returns at once."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "run", *self._arguments],
                env=clean_environment(self._environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def wait_until_ready(self, timeout_s: float = START_S) -> None:
        """Returns when `/readyz` says 200."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if not self.is_running:
                raise AssertionError(f"{self.name} ended by itself:\n{self.log_tail()}")
            if status_of(f"http://{self.health}/readyz") == 200:
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.name} was not ready within {timeout_s} s:\n{self.log_tail()}")

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(STOP_S)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Its exit status, once it has ended by itself or was told to."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.wait(timeout_s)

    def stop(self) -> None:
        """Ask it to leave; kill it if it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {STOP_S} s:\n{self.log_tail()}") from None

    def log_tail(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-_LOG_TAIL:] if self.log.exists() else ""


def status_of(url: str) -> int:
    """The HTTP status of a GET, 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def get_json(url: str, headers: Mapping[str, str] | None = None) -> object:
    """The JSON of a GET."""
    request = urllib.request.Request(url, headers=dict(headers or {}))
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())
