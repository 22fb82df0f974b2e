"""
Cost: what a request costs in CPU, in every process it touches, with everything on.

Narrows runs apart, with Redis, chDB and an OTLP collector: a gateway token, two limits, a cache look-up that
misses, the log row and both payloads stored, 1 % of requests traced. nginx proxies the same load to the same mock
in the same round, so each figure is a ratio within one run. The run fails when counters show that a request skipped
a stage.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.driver import GATEWAY_CPU, LOAD_CPU, cpu_s, is_taken, laid_out, load, pinned, rss_mib, wait_for_port
from tests.harness.deployment import Apart
from tests.harness.metrics import metric
from tests.otlp_collector import Collector

MOCK_PORT, NGINX_PORT = 9100, 9201
TOKEN = "bench-token"
BODY = (
    '{"model":"gpt-4o-mini","messages":[{"role":"system","content":"You are a helpful assistant that answers questions '
    'about the weather, the news and the state of the world in short and friendly sentences."},{"role":"user",'
    '"content":"Hello there, number %N%. Please tell me, in about one hundred words, what the quick brown fox did when '
    'it met the lazy dog on the way to the market, and whether anyone noticed."}],"temperature":0.2,"max_tokens":256'
    "%STREAM%}"
)
RESOURCES = f"""\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: bench, name: full}}
spec:
  authentication: {{tokens: [{{name: bench, valueFrom: {{sha256: "{hashlib.sha256(TOKEN.encode()).hexdigest()}"}}}}]}}
  providers: {{openai: {{baseURL: "http://127.0.0.1:{MOCK_PORT}/v1"}}}}
  cache: {{ttlS: 300}}
  limits:
    - {{name: per-minute, unit: requests, limit: 100000000, windowS: 60, technique: sliding}}
    - {{name: per-day, unit: requests, limit: 1000000000, windowS: 86400, technique: fixed}}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: bench, name: spent}}
spec:
  authentication: {{tokens: [{{name: bench, valueFrom: {{sha256: "{hashlib.sha256(TOKEN.encode()).hexdigest()}"}}}}]}}
  providers: {{openai: {{baseURL: "http://127.0.0.1:{MOCK_PORT}/v1"}}}}
  limits:
    - {{name: one, unit: requests, limit: 1, windowS: 86400, technique: fixed}}
"""
SERVICES = ("router", "limiter", "cache", "analytics")
PACED = {"x-mock-chunks": "50", "x-mock-delay-us": "5000"}
STORE_S_MAX = 60.0
"""Rows are in the store so long after their requests at most: refusals come several times faster than they go in."""

Figures = dict[str, dict[str, float]]


class Case:
    """One kind of load. `per`: what its CPU is divided by."""

    def __init__(
        self, name: str, *, connections: int, gateway: str = "full", is_paced: bool = False, is_unique: bool = True
    ) -> None:
        self.name = name
        self.connections = connections
        self.gateway = gateway
        self.is_paced = is_paced
        self.is_unique = is_unique


CASES = (
    Case("request", connections=64),
    Case("event", connections=64, is_paced=True),
    Case("hit", connections=64, is_unique=False),
    Case("refusal", connections=64, gateway="spent"),
)


class Bench:
    """Everything that a run needs, as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tools = laid_out()
        self._collector = Collector(spans_max=1)
        self._children: list[subprocess.Popen[bytes]] = []
        self._sent = 0.0
        self._narrows = Apart(
            folder,
            resources=RESOURCES,
            environment={
                "OTEL_EXPORTER_OTLP_ENDPOINT": self._collector.endpoint,
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.01",
            },
        )
        self._bodies = {
            is_paced: self._write_body("paced" if is_paced else "plain", ',"stream":true' if is_paced else "")
            for is_paced in (False, True)
        }

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self) -> None:
        self._collector.__enter__()
        self._spawn(pinned(LOAD_CPU, [str(self._tools / "bin" / "mock"), "-p", str(MOCK_PORT)]), MOCK_PORT)
        self._spawn(pinned(GATEWAY_CPU, ["nginx", "-c", str(self._tools / "conf" / "nginx.conf")]), NGINX_PORT)
        self._narrows.start()
        for name, process in self._narrows.processes.items():
            cpu = GATEWAY_CPU if name == "edge" else LOAD_CPU
            subprocess.run(["taskset", "-a", "-p", "-c", cpu, str(process.pid)], check=True, stdout=subprocess.DEVNULL)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._narrows.stop()
        for child in self._children:
            child.terminate()
            child.wait(10)
        self._collector.__exit__(None, None, None)

    def measure(self, *, rounds: int, seconds: float) -> Figures:
        """Medians over paired rounds, after one that is not counted: microseconds per request or event, by process."""
        samples: dict[str, dict[str, list[float]]] = {}
        for number in range(rounds + 1):
            for case in CASES:
                nginx = self._nginx_sample(case, seconds)
                narrows = self._narrows_sample(case, seconds)
                if number:
                    for name, value in {**nginx, **narrows, "ratio": narrows["edge"] / nginx["nginx"]}.items():
                        samples.setdefault(case.name, {}).setdefault(name, []).append(value)
        figures = {
            case: {name: statistics.median(values) for name, values in by_name.items()}
            for case, by_name in samples.items()
        }
        figures["memory"] = {name: rss_mib(process.pid) for name, process in self._narrows.processes.items()}
        self._check_stages(figures)
        return figures

    def _nginx_sample(self, case: Case, seconds: float) -> dict[str, float]:
        pid = self._children[1].pid
        before_s = cpu_s(pid)
        counted = self._load(case, f"127.0.0.1:{NGINX_PORT}/v1/chat/completions", seconds)
        return {"nginx": _per_unit(case, cpu_s(pid) - before_s, counted)}

    def _narrows_sample(self, case: Case, seconds: float) -> dict[str, float]:
        """A load, and all that it brings: it has ended when its last row is stored."""
        pids = {name: process.pid for name, process in self._narrows.processes.items() if name != "simulator"}
        pids["redis"] = self._narrows.redis.pid
        before_s = {name: cpu_s(pid) for name, pid in pids.items()}
        address = self._narrows.url.removeprefix("http://")
        counted = self._load(case, f"{address}/v1/bench/{case.gateway}/openai/chat/completions", seconds)
        self._sent += counted["total"]
        self._wait_until_stored()
        sample = {name: _per_unit(case, cpu_s(pid) - before_s[name], counted) for name, pid in pids.items()}
        sample["p50_us"], sample["p99_us"], sample["per_s"] = counted["lat_p50"], counted["lat_p99"], counted["rps"]
        if case.is_paced:
            sample["first_byte_us"] = counted["ttfb_p50"]
        expected = "s4xx" if case.gateway == "spent" else "s2xx"
        if counted[expected] < counted["total"] - 1:
            raise AssertionError(f"{case.name}: answers were not as expected: {counted}")
        return sample

    def _load(self, case: Case, address: str, seconds: float) -> dict[str, float]:
        headers = {"Authorization": "Bearer sk-bench", "cf-aig-authorization": f"Bearer {TOKEN}"}
        return load(
            self._tools,
            address,
            connections=case.connections,
            seconds=seconds,
            body=self._bodies[case.is_paced],
            headers={**headers, **(PACED if case.is_paced else {})},
            is_unique=case.is_unique,
        )

    def _check_stages(self, figures: Figures) -> None:
        """Every request was authenticated, leased, looked up, logged; some were traced."""
        counted = self._metric("edge", "narrows_requests_total")
        misses = self._metric("edge", "narrows_requests_total", cache="MISS")
        stored = self._wait_until_stored()
        figures["stages"] = {
            "requests": self._sent,
            "counted": counted,
            "misses": misses,
            "stored": stored,
            "spans": float(self._collector.count),
        }
        if min(counted, stored) < self._sent or misses == 0 or self._collector.count == 0:
            raise AssertionError(f"requests skipped a stage: {figures['stages']}")

    def _wait_until_stored(self) -> float:
        """Rows in the store, as soon as they are as many as there were requests."""
        gives_up_at_s = time.monotonic() + STORE_S_MAX
        while True:
            time.sleep(0.2)
            stored = self._metric("analytics", "narrows_stored_rows_total")
            if stored >= self._sent or time.monotonic() > gives_up_at_s:
                return stored

    def _metric(self, process: str, name: str, /, **only: str) -> float:
        return metric(self._narrows.processes[process], name, **only)

    def _spawn(self, command: list[str], port: int) -> None:
        if is_taken(port):
            raise RuntimeError(f"port {port} is taken by another program, which would be measured in place of ours")
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
        self._children.append(child)
        wait_for_port(port)

    def _write_body(self, name: str, stream: str) -> Path:
        path = self._folder / f"{name}.json"
        path.write_text(BODY.replace("%STREAM%", stream))
        return path


def _per_unit(case: Case, cpu: float, counted: dict[str, float]) -> float:
    units = counted["events"] if case.is_paced else counted["total"]
    return cpu / max(1.0, units) * 1e6


def report(figures: Figures) -> list[str]:
    """The figures as lines."""
    lines = []
    for case in CASES:
        row = figures[case.name]
        services = " ".join(f"{name} {row[name]:.1f}" for name in (*SERVICES, "redis"))
        lines.append(
            f"{case.name:8} edge {row['edge']:6.1f} us, nginx {row['nginx']:5.1f} us, ratio {row['ratio']:.2f}; "
            f"{services} us; p50 {row['p50_us'] / 1000:.2f} ms, p99 {row['p99_us'] / 1000:.2f} ms, {row['per_s']:.0f}/s"
        )
    lines.append("memory   " + " ".join(f"{name} {mib:.0f} MiB" for name, mib in figures["memory"].items()))
    lines.append("stages   " + " ".join(f"{name} {count:.0f}" for name, count in figures["stages"].items()))
    return lines
