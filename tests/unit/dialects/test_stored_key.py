"""Stored keys as headers, and AWS's signature against its published example."""

from __future__ import annotations

import hashlib

import pytest

from services.dialects.catalogue import catalogue
from services.dialects.stored_key import Signable, canonical_request, key_headers, region_of, signature_of

PROVIDERS = catalogue()
NOW_S = 1_440_938_160.0  # 2015-08-30T12:36:00Z, the moment of AWS's examples
INVOKE = Signable(
    method="POST",
    host="bedrock-runtime.eu-west-1.amazonaws.com",
    target="/model/anthropic.claude-v2%3A1/invoke",
    body=b'{"x":1}',
    path="bedrock-runtime/eu-west-1/model/anthropic.claude-v2%3A1/invoke",
)


@pytest.mark.parametrize(
    ("provider", "header"),
    [
        ("openai", ("authorization", "Bearer k")),
        ("anthropic", ("x-api-key", "k")),
        ("google-ai-studio", ("x-goog-api-key", "k")),
        ("azure-openai", ("api-key", "k")),
        ("fal", ("authorization", "Key k")),
        ("deepgram", ("authorization", "Token k")),
        ("elevenlabs", ("xi-api-key", "k")),
        ("aws-bedrock", ("authorization", "Bearer k")),
    ],
)
def test_a_key_goes_where_its_provider_looks_for_it(provider: str, header: tuple[str, str]) -> None:
    assert key_headers(PROVIDERS[provider], "k", INVOKE, now_s=NOW_S) == [header]


def test_a_pair_signs_the_request() -> None:
    headers = dict(key_headers(PROVIDERS["aws-bedrock"], "AKID:secret", INVOKE, now_s=NOW_S))

    assert headers["x-amz-date"] == "20150830T123600Z"
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKID/20150830/eu-west-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, "
        "Signature=ad74aa2e69053a6e28f681ca555ca7cad787739c2f3dfc3934560ca25cd134a5"
    )


def test_a_session_token_is_sent_and_signed() -> None:
    headers = dict(key_headers(PROVIDERS["aws-bedrock"], "AKID:secret:tok/en==", INVOKE, now_s=NOW_S))

    assert headers["x-amz-security-token"] == "tok/en=="
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in headers["authorization"]
    assert headers["authorization"].endswith(
        "Signature=7b132089cbcde4ced1b4e373de9b002ee7958c48048d7a3c73bd4493bbf2789e"
    )


@pytest.mark.parametrize(
    "changed", [{"method": "PUT"}, {"target": "/model/x/invoke"}, {"body": b"{}"}, {"host": "other"}]
)
def test_whatever_is_sent_is_signed(changed: dict[str, str]) -> None:
    provider = PROVIDERS["aws-bedrock"]

    original = key_headers(provider, "AKID:secret", INVOKE, now_s=NOW_S)

    assert key_headers(provider, "AKID:secret", INVOKE._replace(**changed), now_s=NOW_S) != original


def test_the_published_example_is_signed_as_published() -> None:
    request = Signable("GET", "example.amazonaws.com", "/", b"", "")
    headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")]
    scope = "20150830/us-east-1/service/aws4_request"

    canonical = hashlib.sha256(canonical_request(request, headers).encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{canonical}"

    assert canonical == "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63"
    assert signature_of("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", scope, to_sign) == (
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )


def test_query_parameters_are_signed_in_their_order_of_names() -> None:
    request = INVOKE._replace(target="/x?b=2&a&c=")

    assert canonical_request(request, []).split("\n")[2] == "a=&b=2&c="


def test_the_region_is_the_paths_else_the_hosts() -> None:
    assert region_of(INVOKE) == "eu-west-1"
    assert region_of(INVOKE._replace(path="model/x/invoke")) == "eu-west-1"
    assert region_of(INVOKE._replace(path="model/x/invoke", host="127.0.0.1:1")) == "us-east-1"
