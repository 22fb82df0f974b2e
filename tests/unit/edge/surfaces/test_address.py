"""What a target asks for, octet for octet."""

from __future__ import annotations

import pytest

from services.edge.surfaces.address import Address, parse_hosted, parse_target
from services.kit.errors import Malformed, PathNotFound


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("/v1/a/g/openai/chat/completions?x=1", Address("native", "a", "g", "openai", "chat/completions", "?x=1")),
        ("/v1/a/g/openai//double//", Address("native", "a", "g", "openai", "/double//", "")),
        ("/v1/a/g/openai", Address("native", "a", "g", "openai", "", "")),
        ("/v1/a/g/p/%2Fq%3f?a=%20&&", Address("native", "a", "g", "p", "%2Fq%3f", "?a=%20&&")),
        ("/v1/a/g", Address("universal", "a", "g", "", "", "")),
        ("/v1/a/g/", Address("universal", "a", "g", "", "", "")),
        ("/v1/a/g/compat/chat/completions", Address("unified", "a", "g", "compat", "chat/completions", "")),
        ("/v1/a/g/run/r/resume?from=1", Address("run", "a", "g", "run", "r/resume", "?from=1")),
        ("http://host/v1/a/g/p/x", Address("native", "a", "g", "p", "x", "")),
    ],
)
def test_targets(target: str, address: Address) -> None:
    assert parse_target(target) == address


@pytest.mark.parametrize("target", ["/", "/v2/a/g/p/x", "/v1", "/v1/a", "/v1//g/p", "/healthz", "/v1/a/g//x"])
def test_paths_of_no_surface(target: str) -> None:
    with pytest.raises(PathNotFound):
        parse_target(target)


def test_a_target_that_is_no_path() -> None:
    with pytest.raises(Malformed):
        parse_target("*")


def test_a_claimed_host_implies_account_and_gateway() -> None:
    assert parse_hosted("/openai/models?x", "a", "g") == Address("native", "a", "g", "openai", "models", "?x")
