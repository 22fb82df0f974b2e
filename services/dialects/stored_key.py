"""
Stored keys: the headers that carry a provider's key which the gateway keeps for its clients.

For most providers that is one header. Amazon Bedrock wants a signature over the request (AWS Signature Version 4): its
stored key is `ACCESS_KEY_ID:SECRET_ACCESS_KEY`, with `:SESSION_TOKEN` behind it for temporary ones; a key without a
colon is one of Bedrock's own API keys and goes as a bearer token. Hazard: the signature covers method, target,
host and body as they are sent, so nothing of them may change after this.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import quote

from services.contracts.router.values import Provider

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE: Final = "bedrock"
_REGION = re.compile(r"bedrock-runtime(?:/|\.)([a-z0-9-]{1,63})")


class Signable(NamedTuple):
    """The request as it will be sent. `path` is the one after the provider, where the region may stand."""

    method: str
    host: str
    target: str
    body: bytes
    path: str


def key_headers(provider: Provider, key: str, request: Signable, *, now_s: float) -> list[tuple[str, str]]:
    """The headers to add for that key; `now_s` is wall clock seconds."""
    if provider.dialect != "bedrock":
        return [(provider.key_header, provider.key_prefix + key)]
    access_key, colon, rest = key.partition(":")
    if not colon:
        return [("authorization", f"Bearer {key}")]
    secret, _, token = rest.partition(":")
    return _signed(request, Credentials(access_key, secret, token), region=region_of(request), now_s=now_s)


class Credentials(NamedTuple):
    """What a signature is made with."""

    access_key: str
    secret: str
    token: str


def region_of(request: Signable) -> str:
    """The region that the path or the host names."""
    match = _REGION.search(request.path) or _REGION.search(request.host)
    return match[1] if match else "us-east-1"


def _signed(request: Signable, credentials: Credentials, *, region: str, now_s: float) -> list[tuple[str, str]]:
    moment = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/{_SERVICE}/aws4_request"
    headers = [("host", request.host), ("x-amz-date", moment)]
    if credentials.token:
        headers.append(("x-amz-security-token", credentials.token))
    names = ";".join(name for name, _ in headers)
    canonical_hash = hashlib.sha256(canonical_request(request, headers).encode()).hexdigest()
    to_sign = "\n".join((_ALGORITHM, moment, scope, canonical_hash))
    signature = signature_of(credentials.secret, scope, to_sign)
    credential = f"{credentials.access_key}/{scope}"
    authorization = f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return [*headers[1:], ("authorization", authorization)]


def canonical_request(request: Signable, headers: list[tuple[str, str]]) -> str:
    """The request in the one spelling that both sides hash; headers are lower case and sorted."""
    path, _, query = request.target.partition("?")
    lines = [
        request.method,
        # The path on the wire is encoded once; the canonical one is encoded once more.
        quote(path, safe="/-_.~"),
        "&".join(sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part)),
        *(f"{name}:{value.strip()}" for name, value in headers),
        "",
        ";".join(name for name, _ in headers),
        hashlib.sha256(request.body).hexdigest(),
    ]
    return "\n".join(lines)


def signature_of(secret: str, scope: str, to_sign: str) -> str:
    """The hex digits that prove knowledge of the secret."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()
