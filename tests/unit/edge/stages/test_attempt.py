"""Which failed attempts count against a provider's health."""

from __future__ import annotations

import pytest

from services.edge.stages.attempt import is_the_providers
from services.kit.errors import (
    ConnectTimeout,
    FirstByteTimeout,
    KeyUnavailable,
    NarrowsError,
    Overloaded,
    StreamBroken,
    UpstreamAddressRefused,
    UpstreamClosed,
    UpstreamUnreachable,
)


@pytest.mark.parametrize("kind", [ConnectTimeout, FirstByteTimeout, StreamBroken, UpstreamClosed, UpstreamUnreachable])
def test_what_a_provider_does_counts(kind: type[NarrowsError]) -> None:
    assert is_the_providers(kind("x"))


@pytest.mark.parametrize("kind", [UpstreamAddressRefused, KeyUnavailable, Overloaded])
def test_what_the_gateway_refuses_or_lacks_does_not(kind: type[NarrowsError]) -> None:
    assert not is_the_providers(kind("x"))


def test_no_error_is_no_failure() -> None:
    assert not is_the_providers(None)
