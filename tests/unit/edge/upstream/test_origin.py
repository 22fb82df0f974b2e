"""Origins out of base URLs."""

from __future__ import annotations

import pytest

from services.edge.upstream.origin import Origin
from services.kit.errors import UpstreamAddressRefused, UpstreamUnreachable


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "authority"),
    [
        ("https://api.openai.com/v1", "https", "api.openai.com", 443, b"api.openai.com"),
        ("https://API.OpenAI.com:443", "https", "api.openai.com", 443, b"api.openai.com"),
        ("https://host:8443/x?y=z", "https", "host", 8443, b"host:8443"),
        ("http://10.0.0.1.", "http", "10.0.0.1", 80, b"10.0.0.1"),
        ("http://10.0.0.1", "http", "10.0.0.1", 80, b"10.0.0.1"),
        ("http://10.0.0.1:443", "http", "10.0.0.1", 443, b"10.0.0.1:443"),
        ("https://[2001:DB8::1]:8443/v1", "https", "2001:db8::1", 8443, b"[2001:db8::1]:8443"),
        ("https://[0:0:0:0:0:0:0:1]/v1", "https", "::1", 443, b"[::1]"),
        ("https://bücher.example", "https", "xn--bcher-kva.example", 443, b"xn--bcher-kva.example"),
        ("http://a_b.svc.cluster.local:8000", "http", "a_b.svc.cluster.local", 8000, b"a_b.svc.cluster.local:8000"),
        ("https://example.com.", "https", "example.com.", 443, b"example.com."),
    ],
)
def test_a_base_url_has_an_origin(url: str, scheme: str, host: str, port: int, authority: bytes) -> None:
    origin = Origin.parse(url, is_private_allowed=True)

    assert (origin.scheme, origin.host, origin.port, origin.authority) == (scheme, host, port, authority)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com",
        "ftp://host",
        "https://",
        "https://:443",
        "https://user:password@host",
        "https://host:0",
        "https://host:70000",
        "https://host:port",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        "https://[v1.x]",
        "https://a..b",
        "https://-a.b",
        "https://a b",
        "https://a\tb\n",
        "https://a%2eb",
        "http://2852039166",
        "http://0xa9fea9fe",
        "http://169.254.43518",
        "http://0251.0376.0251.0376",
        "http://0x7f.1",
        f"https://{'a' * 64}.b",
        f"https://{'a.' * 130}b",
    ],
)
def test_what_is_no_origin_is_refused(url: str) -> None:
    with pytest.raises(UpstreamUnreachable):
        Origin.parse(url, is_private_allowed=True)


def test_plain_http_needs_permission() -> None:
    with pytest.raises(UpstreamAddressRefused, match="https"):
        Origin.parse("http://api.example.com", is_private_allowed=False)


def test_a_refusal_shows_no_credentials() -> None:
    with pytest.raises(UpstreamUnreachable) as refused:
        Origin.parse("https://user:secret@host/v1?key=secret", is_private_allowed=True)

    assert "secret" not in str(refused.value)


def test_equal_origins_are_one_key() -> None:
    one = Origin.parse("https://HOST/v1", is_private_allowed=False)
    other = Origin.parse("https://host:443/v2", is_private_allowed=False)
    allowed = Origin.parse("https://host", is_private_allowed=True)

    assert len({one, other, allowed}) == 2
    assert (str(one), one.host_and_port) == ("https://host", "host:443")
