"""Scope: what a document may refer to, and what it may do, given where it came from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.contracts.router.values import Provider
from services.router.resources.addresses import AddressRules, address_fault
from services.router.resources.faults import Fault, Path, quoted
from services.router.resources.references import KeyReference, TokenReference

Origin = Literal["file", "kubernetes"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The surroundings of one namespace: its providers (catalogue and `custom-...`) and its gateways, by name."""

    origin: Origin
    addresses: AddressRules
    providers: Mapping[str, Provider]
    gateways: Collection[str] = field(default_factory=frozenset)

    def address_faults(self, url: str, path: Path, *, is_plain_http_allowed: bool = True) -> Iterator[Fault]:
        """At most one: why the URL may not be used."""
        fault = address_fault(url, self.addresses, is_plain_http_allowed=is_plain_http_allowed)
        if fault is not None:
            yield Fault(path, fault)

    def provider_faults(self, name: str, path: Path) -> Iterator[Fault]:
        """At most one: nobody knows a provider of that name."""
        if name not in self.providers:
            yield Fault(path, f"{quoted(name)} is neither in the catalogue nor a Provider of this namespace")

    def reference_faults(self, reference: KeyReference, path: Path) -> Iterator[Fault]:
        """A secret comes from exactly one place, and from one that this origin may read."""
        places = {"env": reference.env, "file": reference.file, "secretKeyRef": reference.secret_key_ref}
        if isinstance(reference, TokenReference):
            places["sha256"] = reference.sha256
        used = [place for place, value in places.items() if value is not None]
        if len(used) != 1:
            yield Fault(path, f"must name exactly one of {', '.join(places)}, names {len(used)}")
        for place in used:
            if self.origin == "file" and place == "secretKeyRef":
                yield Fault((*path, place), "SourceNotAllowed: a file has no Secrets; use env, file or sha256")
            elif self.origin == "kubernetes" and place in ("env", "file"):
                yield Fault((*path, place), "SourceNotAllowed: a custom resource may use secretKeyRef or sha256 only")
