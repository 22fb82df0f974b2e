"""
Deployments: a whole Narrows as processes of this machine.

`Together` is one process, as `make run`; `Apart` is one process per service and replica around a Redis, as in a
cluster. Both give the same handles, so the same tests run on both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.processes import NARROWS, NarrowsProcess, get_json, unused_port
from tests.redis_server import RedisServer

DEFAULT_RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: main}
spec: {}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: limited}
spec:
  limits:
    - {name: five, unit: requests, limit: 5, windowS: 60, technique: fixed}
"""


class Deployment:
    """What tests need of any Narrows: where to call it, and its processes by name."""

    def __init__(self, folder: Path, *, resources: str = DEFAULT_RESOURCES) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.resources_file = folder / "resources.yaml"
        self.write_resources(resources)
        self.processes: dict[str, NarrowsProcess] = {}
        self.edges: list[str] = []
        self.admin = ""
        self.command: Sequence[str] = (str(NARROWS),)

    @property
    def url(self) -> str:
        """The first edge."""
        return self.edges[0]

    def write_resources(self, text: str) -> None:
        """Replace the resource file in one step, as editors and ConfigMaps do."""
        draft = self.resources_file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(self.resources_file)

    def add(self, name: str, arguments: list[str], environment: Mapping[str, str], *, health: str) -> NarrowsProcess:
        """A process of this deployment, not started yet."""
        log = self.folder / f"{name}.log"
        process = NarrowsProcess(name, arguments, environment, health=health, log=log, command=self.command)
        self.processes[name] = process
        return process

    def start(self) -> None:
        """Start every process and wait until all are ready."""
        for process in self.processes.values():
            process.start()
        for process in self.processes.values():
            process.wait_until_ready()

    def stop(self) -> None:
        """Stop every process, the edges first."""
        for process in reversed(list(self.processes.values())):
            process.stop()

    def logs(self, account: str = "local", gateway: str = "main", query: str = "") -> list[dict[str, object]]:
        """One page of the log list, newest first."""
        url = f"{self.admin}/client/v4/accounts/{account}/ai-gateway/gateways/{gateway}/logs{query}"
        answer = get_json(url)
        assert isinstance(answer, dict)
        rows: list[dict[str, object]] = answer["result"]
        return rows

    def log(
        self, log_id: str, account: str = "local", gateway: str = "main", timeout_s: float = 8
    ) -> dict[str, object]:
        """One log; waits until it is there."""
        url = f"{self.admin}/client/v4/accounts/{account}/ai-gateway/gateways/{gateway}/logs/{log_id}"
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                answer = get_json(url)
            except OSError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)
                continue
            assert isinstance(answer, dict)
            row: dict[str, object] = answer["result"]
            return row

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class Together(Deployment):
    """One process. `command` stands for `narrows`."""

    def __init__(
        self,
        folder: Path,
        *,
        resources: str = DEFAULT_RESOURCES,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (str(NARROWS),),
    ) -> None:
        super().__init__(folder, resources=resources)
        self.command = command
        edge, admin, health = (f"127.0.0.1:{unused_port()}" for _ in range(3))
        self.edges = [f"http://{edge}"]
        self.admin = f"http://{admin}"
        self.add(
            "narrows",
            ["--resources", str(self.resources_file)],
            {
                "NARROWS_DATA_ADDRESS": edge,
                "NARROWS_ADMIN_ADDRESS": admin,
                "NARROWS_HEALTH_ADDRESS": health,
                "NARROWS_DATA_DIR": str(folder / "state"),
                **(environment or {}),
            },
            health=health,
        )


Between = Callable[[str, int], int]
"""Of a service's name and its port: the port at which the others are to reach it."""


def nothing_between(name: str, port: int) -> int:
    """They reach it itself."""
    return port


class Apart(Deployment):
    """One process per service and replica, around a Redis of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        resources: str = DEFAULT_RESOURCES,
        environment: Mapping[str, str] | None = None,
        replicas: Mapping[str, int] | None = None,
        between: Between = nothing_between,
    ) -> None:
        super().__init__(folder, resources=resources)
        (folder / "redis").mkdir()
        self.redis = RedisServer(folder / "redis")
        self._between = between
        self._common = dict(environment or {})
        self._replicas = {"simulator": 1, "router": 1, "limiter": 1, "cache": 1, "analytics": 1, "edge": 1} | dict(
            replicas or {}
        )

    def start(self) -> None:
        self.redis.start()
        self._lay_out()
        super().start()

    def stop(self) -> None:
        try:
            super().stop()
        finally:
            self.redis.stop()

    def _lay_out(self) -> None:
        simulator = f"127.0.0.1:{unused_port()}"
        self._add_replicas("simulator", {"NARROWS_SIMULATOR_ADDRESS": simulator})
        redis = {"NARROWS_REDIS_URL": f"redis://127.0.0.1:{self._between('redis', self.redis.port)}/0"}
        addresses = {
            "NARROWS_ROUTER": self._add_services(
                "router",
                {"NARROWS_SIMULATOR": f"http://{simulator}", "NARROWS_RESOURCES": str(self.resources_file)},
            ),
            "NARROWS_LIMITER": self._add_services("limiter", redis),
            "NARROWS_CACHE": self._add_services("cache", redis),
        }
        admin = f"127.0.0.1:{unused_port()}"
        self.admin = f"http://{admin}"
        addresses["NARROWS_ANALYTICS"] = self._add_services("analytics", {"NARROWS_ADMIN_ADDRESS": admin})
        for index in range(self._replicas["edge"]):
            address = f"127.0.0.1:{unused_port()}"
            self.edges.append(f"http://{address}")
            self._add("edge", index, {"NARROWS_DATA_ADDRESS": address, **addresses})

    def _add_services(self, target: str, environment: Mapping[str, str]) -> str:
        """All replicas of one service; their gRPC addresses with commas."""
        addresses = []
        for index in range(self._replicas[target]):
            port = unused_port()
            addresses.append(f"127.0.0.1:{self._between(target, port)}")
            self._add(target, index, {"NARROWS_RPC_ADDRESS": f"127.0.0.1:{port}", **environment})
        return ",".join(addresses)

    def _add_replicas(self, target: str, environment: Mapping[str, str]) -> None:
        for index in range(self._replicas[target]):
            self._add(target, index, environment)

    def _add(self, target: str, index: int, environment: Mapping[str, str]) -> None:
        name = f"{target}-{index}" if self._replicas[target] > 1 else target
        health = f"127.0.0.1:{unused_port()}"
        self.add(
            name,
            ["--target", target],
            {
                "NARROWS_HEALTH_ADDRESS": health,
                "NARROWS_DATA_DIR": str(self.folder / "state" / name),
                **environment,
                **self._common,
            },
            health=health,
        )
