"""
Rule book: what a router judges by, whatever it reads.

The catalogue and where base URLs may lead are the same for the life of the router; the rules for one reading also hold
what its hosts resolve to at that moment. Resolving is the only thing here that waits, and it has a bound (names.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from services.contracts.router.values import Catalogue
from services.router.accepted import Rules, hosts_named_in
from services.router.names import Resolve, resolve_names
from services.router.resources.addresses import AddressRules
from services.router.resources.documents import Reading
from services.router.sources import Source


@dataclass(frozen=True, slots=True)
class RuleBook:
    """`are_private_allowed`: base URLs may be plain http or point into private networks."""

    catalogue: Catalogue
    are_private_allowed: bool
    resolve: Resolve = resolve_names

    async def rules(self, reading: Reading, source: Source) -> Rules:
        """The rules for what was read there just now."""
        resolved = await self.resolve(hosts_named_in(reading))
        return Rules(
            origin=source.origin,
            catalogue=self.catalogue,
            addresses=AddressRules(self.are_private_allowed, resolved),
            secrets=source.secrets,
        )
