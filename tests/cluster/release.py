"""
Release: the chart, installed, and how an application and its operator reach it.

Requests go through the ingress controller by the host name of the release (NARROWS_INGRESS: where it answers).
Everything else goes through the API server, so that nothing is asked of the network between this machine and pods.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.cluster.kubernetes import ROOT, Kubernetes, Object
from tests.harness.http import Answer, post, request
from tests.harness.processes import get_json

INGRESS = os.environ.get("NARROWS_INGRESS", "127.0.0.1:8080")
CHART = ROOT / "charts" / "narrows"
SERVICES = ("router", "limiter", "cache", "analytics", "edge")
POLL_S = 0.5
LOGS_A_PAGE = 50


class Release:
    """One installation, named like its namespace."""

    def __init__(self, cluster: Kubernetes, name: str, *, values: Object) -> None:
        self.cluster = cluster
        self.name = name
        self.host = str(values["ingress"]["host"])
        self.values = values
        self.notes = ""

    def install(self) -> None:
        """`helm install`, until everything is ready."""
        said = self._helm("install", "--wait", "--timeout", "3m")
        self.notes = said.partition("NOTES:\n")[2]

    def upgrade(self, values: Object) -> None:
        """`helm upgrade` to other values; does not wait."""
        self.values = values
        self._helm("upgrade")

    def uninstall(self) -> None:
        """`helm uninstall`, until its objects are gone."""
        self.cluster.helm("uninstall", self.name, "--namespace", self.name, "--wait", "--timeout", "3m")

    def restart(self, component: str) -> None:
        """`kubectl rollout restart`, until the new pods serve and the old ones are gone."""
        old = self.pods(component)
        deployment = f"deployment/{self.name}-{component}"
        self.kubectl("rollout", "restart", deployment)
        self.kubectl("rollout", "status", deployment, "--timeout", "3m")
        self.kubectl("wait", "--for=delete", "--timeout", "2m", *(f"pod/{name}" for name in old))

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("--namespace", self.name, *arguments)

    def pods(self, component: str) -> dict[str, Object]:
        """Pods of a component by name."""
        label = f"app.kubernetes.io/component={component}"
        found = self.cluster.get("pods", "--namespace", self.name, "--selector", label)
        return {pod["metadata"]["name"]: pod for pod in found["items"]}

    def post(self, path: str, document: object, headers: Mapping[str, str] | None = None) -> Answer:
        """A request through the ingress."""
        return post(f"http://{INGRESS}{path}", document, {"Host": self.host, **(headers or {})})

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return request("GET", f"http://{INGRESS}{path}", {"Host": self.host, **(headers or {})})

    def secret(self, name: str, key: str) -> str:
        """What a Secret of the release holds."""
        found = self.cluster.get("secret", f"{self.name}-{name}", "--namespace", self.name)
        return base64.b64decode(found["data"][key]).decode()

    def trace(self, trace_id: str, *wanted: str, timeout_s: float = 30) -> list[Object]:
        """Spans of a trace from Jaeger's query API, once those of these names have come."""
        path = f"/api/v1/namespaces/{self.name}/services/{self.name}-jaeger:query/proxy/api/traces/{trace_id}"
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                spans = _spans(json.loads(self.cluster.kubectl("get", "--raw", path)))
            except AssertionError:  # Jaeger says 404 until the first span has come
                spans = []
            if set(wanted) <= {span["operationName"] for span in spans} or time.monotonic() > deadline_s:
                return spans
            time.sleep(POLL_S)

    @contextmanager
    def admin(self) -> Iterator[Admin]:
        """The admin port, with its token."""
        with self.cluster.forwarded(self.name, f"{self.name}-admin", 8788) as url:
            yield Admin(url, self.secret("admin", "token"))

    def leftovers(self) -> list[str]:
        """What is still there of it: everything in its namespace but what Kubernetes put there itself."""
        kinds = self.cluster.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name").split()
        counted = ",".join(kind for kind in kinds if not kind.startswith(("events", "pods.metrics")))
        names = self.kubectl("get", counted, "--output=name", "--ignore-not-found").split()
        return [name for name in names if name not in ("configmap/kube-root-ca.crt", "serviceaccount/default")]

    def _helm(self, command: str, *flags: str) -> str:
        return self.cluster.helm(
            command,
            self.name,
            str(CHART),
            "--namespace",
            self.name,
            "--values",
            "-",
            *flags,
            given=json.dumps(self.values),
        )


class Admin:
    """The admin port."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    def status(self) -> Object:
        status = get_json(f"{self._url}/status", self._headers)
        assert isinstance(status, dict)
        return status

    def log_ids(self, account: str, gateway: str) -> Iterator[str]:
        """All logs of a gateway, newest first."""
        page = 1
        while True:
            query = f"page={page}&per_page={LOGS_A_PAGE}"
            url = f"{self._url}/client/v4/accounts/{account}/ai-gateway/gateways/{gateway}/logs?{query}"
            answer: Any = get_json(url, self._headers)
            yield from (row["id"] for row in answer["result"])
            if len(answer["result"]) < LOGS_A_PAGE:
                return
            page += 1


def _spans(answer: Object) -> list[Object]:
    """The spans of Jaeger's answer, each with the service it comes from and the span it is a child of."""
    return [
        {
            **span,
            "service": trace["processes"][span["processID"]]["serviceName"],
            "parent": next((each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"), ""),
        }
        for trace in answer["data"]
        for span in trace["spans"]
    ]
