"""The client's context, apart from connections."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from services.edge.upstream.tls import client_context, server_name
from services.kit.errors import SettingsInvalid
from tests.fakes.authority import Authority


def test_certificates_and_names_are_checked() -> None:
    context = client_context()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"], ids=["missing", "empty", "garbage"])
def test_a_bad_authority_file_fails_at_start_by_its_name(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsInvalid, match=r"ca\.pem"):
        client_context(ca_files=[str(file)])


def test_an_authority_in_place_of_the_systems_is_the_only_one(tmp_path: Path) -> None:
    file = Authority().write(tmp_path / "tls") / "ca.crt"

    alone = client_context(system_ca_file=str(file))
    beside = client_context(ca_files=[str(file)])

    assert len(alone.get_ca_certs()) == 1
    assert len(beside.get_ca_certs()) == len(client_context().get_ca_certs()) + 1


def test_a_trailing_dot_is_no_part_of_a_name() -> None:
    assert server_name("api.example.com.") == "api.example.com"
