"""Stage: one Narrows whose names, proxy and certificate authority are in a test's hands, and providers behind it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.fakes.authority import Authority
from tests.fakes.origin import Call, Origin
from tests.fakes.proxy import Proxy
from tests.harness.deployment import Together
from tests.harness.http import post

PASSWORD = "p@ss word"


class Stage:
    """Gateways and providers are added as tests need them, and live until the end."""

    def __init__(self, narrows: Together, proxy: Proxy, folder: Path, stack: ExitStack) -> None:
        self.narrows = narrows
        self.proxy = proxy
        self.authority = Authority("private")
        self._folder = folder
        self._stack = stack
        self._names: dict[str, list[str]] = {}
        self._documents: list[str] = []
        (folder / "ca.pem").write_bytes(self.authority.pem)
        self._write_names()

    def name(self, host: str, *addresses: str) -> None:
        """From now on the name has these addresses; with none it does not exist."""
        self._names[host] = list(addresses)
        self._write_names()

    def gateway(self, name: str, spec: str) -> str:
        """The URL of a new gateway, once it is live."""
        self._documents.append(f"kind: Gateway\nmetadata: {{namespace: local, name: {name}}}\nspec: {spec}")
        self.narrows.write_resources("\n---\n".join(self._documents))
        url = f"{self.narrows.url}/v1/local/{name}"
        deadline_s = time.monotonic() + 10
        while post(f"{url}/nobody/x", {}).status == 404:
            log = self.narrows.processes["narrows"].log_tail()
            assert time.monotonic() < deadline_s, f"{name} did not go live:\n{log}"
            time.sleep(0.05)
        return url

    def chat(self, name: str, base_url: str, *, more: str = "") -> str:
        """The URL of chats with this provider, in a gateway of its own. `more` of its spec begins with a comma."""
        url = self.gateway(name, f"{{providers: {{openai: {{baseURL: '{base_url}'}}}}{more}}}")
        return f"{url}/openai/chat/completions"

    def origin(self, script: Callable[[Call], None], *tls_hosts: str, host: str = "127.0.0.1", port: int = 0) -> Origin:
        """A provider; with TLS where the hosts of its certificate are given."""
        tls = self.authority.server_context(*tls_hosts) if tls_hosts else None
        return self._stack.enter_context(Origin(script, host=host, port=port, tls=tls))

    def _write_names(self) -> None:
        draft = self._folder / "names.draft"
        draft.write_text(json.dumps(self._names))
        draft.replace(self._folder / "names.json")


@contextmanager
def staged(folder: Path, settings: Mapping[str, str]) -> Iterator[Stage]:
    """A stage that has begun."""
    command = (sys.executable, "-m", "tests.fakes.named_narrows", str(folder / "names.json"))
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(user="narrows", password=PASSWORD))
        environment = {
            "NARROWS_UPSTREAM_CA": str(folder / "ca.pem"),
            "HTTPS_PROXY": f"http://narrows:p%40ss%20word@127.0.0.1:{proxy.port}",
            "NO_PROXY": ".direct.test",
            **settings,
        }
        narrows = Together(folder, environment=environment, command=command)
        stage = Stage(narrows, proxy, folder, stack)
        stack.enter_context(narrows)
        yield stage
