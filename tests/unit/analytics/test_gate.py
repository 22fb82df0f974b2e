"""Gate: which peers and names mean this machine."""

from __future__ import annotations

import pytest

from services.analytics.admin.gate import is_loopback_name, is_loopback_peer


@pytest.mark.parametrize(
    ("address", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        (None, True),
        ("10.0.0.7", False),
        ("::ffff:10.0.0.7", False),
        ("fe80::1%eth0", False),
        ("169.254.169.254", False),
        ("nonsense", False),
    ],
)
def test_a_peer_is_this_machine_or_it_is_not(address: str | None, is_loopback: bool) -> None:
    assert is_loopback_peer(address) is is_loopback


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("localhost", True),
        ("localhost:8788", True),
        ("narrows.localhost:8788", True),
        ("127.0.0.1:8788", True),
        ("[::1]:8788", True),
        ("[::1]", True),
        ("evil.example", False),
        ("evil.example:8788", False),
        ("localhost.evil.example:80", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.7:8788", False),
        ("", False),
    ],
)
def test_a_name_means_this_machine_or_it_does_not(host: str, is_loopback: bool) -> None:
    assert is_loopback_name(host) is is_loopback
