"""HTTPS_PROXY, HTTP_PROXY and NO_PROXY as rules."""

from __future__ import annotations

import pytest

from services.edge.upstream.origin import Origin
from services.edge.upstream.proxies import ProxyRules
from services.kit.errors import SettingsInvalid

PROXY = "http://proxy.test:3128"


def origin(url: str) -> Origin:
    return Origin.parse(url, is_private_allowed=True)


def test_each_scheme_has_its_own_proxy() -> None:
    rules = ProxyRules.parse(https_proxy="http://one.test:1", http_proxy="http://two.test:2")

    assert str(rules.proxy_for(origin("https://a.test"))) == "proxy one.test:1"
    assert str(rules.proxy_for(origin("http://a.test"))) == "proxy two.test:2"


def test_unset_and_empty_are_no_proxy() -> None:
    assert ProxyRules.parse() == ProxyRules.parse(https_proxy="", http_proxy="", no_proxy="") == ProxyRules()
    assert ProxyRules().proxy_for(origin("https://a.test")) is None


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("proxy.test:3128", "http", "proxy.test", 3128),
        ("proxy.test", "http", "proxy.test", 80),
        ("https://proxy.test", "https", "proxy.test", 443),
        ("http://[::1]:3128/", "http", "::1", 3128),
    ],
)
def test_a_proxy_is_a_url_or_a_host_and_port(url: str, scheme: str, host: str, port: int) -> None:
    proxy = ProxyRules.parse(https_proxy=url).https

    assert proxy is not None
    assert (proxy.scheme, proxy.host, proxy.port, proxy.credentials) == (scheme, host, port, b"")


def test_credentials_are_decoded_and_do_not_show() -> None:
    proxy = ProxyRules.parse(https_proxy="http://user:p%40ss@proxy.test").https

    assert proxy is not None
    assert proxy.credentials == b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"
    assert "dXNlcjpwQHNz" not in f"{proxy!r} {proxy}"


@pytest.mark.parametrize("url", ["socks5://proxy.test", "http://", "http://a b", "http://user:secret@proxy.test:x"])
def test_a_bad_proxy_fails_at_start_by_its_name_without_its_secret(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="HTTPS_PROXY") as refused:
        ProxyRules.parse(https_proxy=url)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("*", "https://a.test", True),
        ("a.test", "https://a.test", True),
        ("a.test", "https://b.a.test", True),
        ("a.test", "https://ba.test", False),
        (".a.test", "https://a.test", True),
        (".a.test", "https://b.a.test", True),
        ("*.a.test", "https://b.a.test", True),
        ("A.Test", "https://a.test.", True),
        ("x.test, a.test ,", "https://a.test", True),
        ("a.test:443", "https://a.test", True),
        ("a.test:8443", "https://a.test", False),
        ("a.test:8443", "https://a.test:8443", True),
        ("10.0.0.0/8", "https://10.2.3.4", True),
        ("10.0.0.0/8", "https://11.2.3.4", False),
        ("10.0.0.0/8", "https://ten.test", False),
        ("10.2.3.4", "https://10.2.3.4", True),
        ("10.2.3.4:8443", "https://10.2.3.4", False),
        ("2001:db8::/32", "https://[2001:db8::5]", True),
        ("[2001:db8::5]:443", "https://[2001:db8::5]", True),
        ("", "https://localhost:8000", True),
        ("", "https://127.0.0.1", True),
        ("", "https://[::1]", True),
    ],
)
def test_no_proxy_names_what_is_reached_directly(no_proxy: str, url: str, is_direct: bool) -> None:
    rules = ProxyRules.parse(https_proxy=PROXY, no_proxy=no_proxy)

    assert (rules.proxy_for(origin(url)) is None) is is_direct
