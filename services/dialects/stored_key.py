"""
Stored keys: the header that carries a provider's key which the gateway keeps for its clients.

For most providers that is one header with one value. Amazon Bedrock takes its own API keys so, too; a pair of
access key and secret (`ID:SECRET`) would sign each request instead, and signing by the gateway is not built yet.
"""

from __future__ import annotations

from services.contracts.router.values import Provider
from services.kit.errors import NotBuilt


def key_header(provider: Provider, key: str) -> tuple[str, str]:
    """The header to add for that key. Raises NotBuilt for a key that signs."""
    if provider.dialect != "bedrock":
        return provider.key_header, provider.key_prefix + key
    if ":" in key:
        raise NotBuilt(f"signing requests for {provider.name} with a stored key is not built yet")
    return "authorization", f"Bearer {key}"
