from __future__ import annotations

import pytest

from services.router.resources.addresses import AddressRules, address_fault, host_of

PRIVATE = AddressRules(are_private_allowed=True, resolved={})
PUBLIC = AddressRules(are_private_allowed=False, resolved={})


def fault(url: str, rules: AddressRules = PRIVATE) -> str | None:
    return address_fault(url, rules, is_plain_http_allowed=True)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "2852039166",
        "0xA9FEA9FE",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "100.100.100.200",
        "metadata.google.internal",
        "METADATA.google.internal.",
    ],
)
@pytest.mark.parametrize("rules", [PRIVATE, PUBLIC], ids=["private", "public"])
def test_link_local_and_metadata_addresses_are_refused_everywhere_in_every_spelling(
    host: str, rules: AddressRules
) -> None:
    found = fault(f"https://{host}/v1", rules)

    assert found is not None
    assert "metadata" in found


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "[::1]", "[fd12::1]", "100.64.0.1", "localhost"]
)
def test_private_addresses_need_the_setting(host: str) -> None:
    assert fault(f"https://{host}/v1", PRIVATE) is None
    assert fault(f"https://{host}/v1", PUBLIC) == (
        "must not be a private address; that needs NARROWS_PRIVATE_UPSTREAMS"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]"])
def test_addresses_that_name_no_host_are_refused(host: str) -> None:
    assert fault(f"http://{host}/") is not None


def test_plain_http_needs_the_setting_and_the_providers_own_word() -> None:
    url = "http://vllm.ai.svc:8000/v1"

    assert fault(url, PRIVATE) is None
    assert fault(url, PUBLIC) == "must begin with https://; plain http needs NARROWS_PRIVATE_UPSTREAMS"
    assert address_fault(url, PRIVATE, is_plain_http_allowed=False) == (
        "must begin with https://; plain http needs allowPlainHTTP: true"
    )


def test_a_name_is_judged_by_what_it_resolves_to() -> None:
    resolved = {"rebound.example.com": ("93.184.216.34", "169.254.169.254"), "fine.example.com": ("93.184.216.34",)}
    rules = AddressRules(are_private_allowed=True, resolved=resolved)

    assert fault("https://rebound.example.com/", rules) == (
        "resolves to an address that it must not: must not be a link-local or metadata address"
    )
    assert fault("https://fine.example.com/", rules) is None
    assert fault("https://unresolved.example.com/", rules) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "//api.example.com",
        "ftp://api.example.com",
        "https://",
        "https://:443/",
        "https://api example.com/",
        "https://api.example.com:99999/",
        "https://api.example.com:0/",
        "https://api.example.com:x/",
        "https://[::1/",
        "https://user@api.example.com/",
        "https://api.example.com/?a=b",
        "https://api.example.com/#a",
        "https://api.example.com\\@evil.example/",
        "https://exämple.com/",
        "https://api.example.com/\n",
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    assert fault(url) is not None


@pytest.mark.parametrize(
    "url", ["https://api.example.com", "https://API.example.com:8443/v1/", "https://{region}.x.com/"]
)
def test_plain_urls_are_taken(url: str) -> None:
    assert fault(url) is None


def test_a_host_with_parts_from_the_path_is_not_asked_for() -> None:
    assert host_of("https://{region}.example.com/v1") == ""
    assert host_of("https://API.example.com:1/v1") == "api.example.com"
