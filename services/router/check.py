"""Check: what a router would refuse of a resource file, without running one. For `narrows check FILE`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from services.contracts.router.snapshot import canonical
from services.contracts.router.values import Catalogue, Refusal
from services.dialects.catalogue import catalogue
from services.router.accepted import Accepted, Rules, accept, release_of
from services.router.resources.addresses import AddressRules
from services.router.resources.documents import read_documents
from services.router.secrets import FileSecrets
from services.router.sources import read_text

_ANY_SIMULATOR = "http://127.0.0.1:8790"


def check_resources(
    path: Path, *, environment: Mapping[str, str], are_private_allowed: bool = True
) -> tuple[Refusal, ...]:
    """Every refusal, as the router would word it. Names are not resolved: that depends on where the router runs."""
    text = read_text(path)
    if isinstance(text, Refusal):
        return (text,)
    return check_text(
        text,
        title=str(path),
        environment=environment,
        folder=path.parent,
        are_private_allowed=are_private_allowed,
    )


def check_text(
    text: str,
    *,
    title: str,
    environment: Mapping[str, str],
    folder: Path = Path(),
    are_private_allowed: bool = True,
) -> tuple[Refusal, ...]:
    """The same for a text; relative paths of secrets start at `folder`."""
    known = Catalogue(catalogue(simulator_url=_ANY_SIMULATOR), {})
    rules = Rules(
        origin="file",
        catalogue=known,
        addresses=AddressRules(are_private_allowed, {}),
        secrets=FileSecrets(environment=environment, folder=folder),
    )
    accepted = accept(Accepted(), read_documents(text, title=title), rules)
    release, _ = release_of(accepted, canonical(known), {})
    return release.refusals
