"""What tests of the router need to have documents judged as a router would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from services.contracts.router.snapshot import Release, canonical
from services.contracts.router.values import Catalogue, Gateway, StoredKey
from services.dialects.catalogue import catalogue
from services.router.accepted import Accepted, Rules, accept, release_of
from services.router.resources.addresses import AddressRules
from services.router.resources.documents import read_documents
from services.router.resources.scope import Origin
from services.router.secrets import FileSecrets

KNOWN = Catalogue(catalogue(simulator_url="http://127.0.0.1:8790"), {})
KNOWN_CONTENT = canonical(KNOWN)


def gateway(name: str = "main", spec: str = "{}") -> str:
    """A document; the spec in YAML's flow style."""
    return f"---\nkind: Gateway\nmetadata: {{namespace: local, name: {name}}}\nspec: {spec}\n"


def provider(name: str = "vllm", spec: str = '{baseURL: "http://127.0.0.1:8000/v1", allowPlainHTTP: true}') -> str:
    """A document; the spec in YAML's flow style."""
    return f"---\nkind: Provider\nmetadata: {{namespace: local, name: {name}}}\nspec: {spec}\n"


def rules(
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path = Path(),
    origin: Origin = "file",
    are_private_allowed: bool = True,
    resolved: Mapping[str, Sequence[str]] | None = None,
) -> Rules:
    """A router's rules."""
    secrets = FileSecrets(environment=environment or {}, folder=folder)
    return Rules(origin, KNOWN, AddressRules(are_private_allowed, resolved or {}), secrets)


class Desk:
    """Accepts one text after the other."""

    def __init__(self, judged_by: Rules | None = None) -> None:
        self.rules = judged_by or rules()
        self.accepted = Accepted()
        self.keys: tuple[StoredKey, ...] = ()
        self.release = Release("", release_of(self.accepted, KNOWN_CONTENT, {})[0].content, {})

    def take(self, *documents: str) -> Desk:
        """These are the documents now."""
        self.accepted = accept(self.accepted, read_documents("".join(documents), title="resources.yaml"), self.rules)
        self.release, self.keys = release_of(self.accepted, KNOWN_CONTENT, {"file": 1})
        return self

    @property
    def refusals(self) -> list[str]:
        """As they are told."""
        return [f"{refusal.resource}: {refusal.reason}" for refusal in self.release.refusals]

    @property
    def names(self) -> list[str]:
        """Gateways that are live."""
        return [name for _, name in self.release.content.gateways]

    def gateway(self, name: str = "main") -> Gateway:
        """A gateway of the account `local`, before hosts are given out."""
        return self.accepted.gateways["Gateway", "local", name].gateway
