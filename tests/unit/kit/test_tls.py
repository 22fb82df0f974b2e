"""The TLS directory: read again when it changes, and never as a mix of old and new."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kit.errors import SettingsInvalid
from services.kit.tls import TlsFiles
from tests.fakes.authority import Authority


def test_the_three_files_are_read(tmp_path: Path) -> None:
    directory = Authority().write(tmp_path / "tls")

    certificates = TlsFiles(directory).current()

    assert certificates.certificate == (directory / "tls.crt").read_bytes()
    assert certificates.key == (directory / "tls.key").read_bytes()
    assert certificates.authority == (directory / "ca.crt").read_bytes()


def test_files_that_did_not_change_are_the_same_certificates(tmp_path: Path) -> None:
    files = TlsFiles(Authority().write(tmp_path / "tls"))

    assert files.current() is files.current()


def test_files_that_changed_are_read_again(tmp_path: Path) -> None:
    authority = Authority()
    files = TlsFiles(authority.write(tmp_path / "tls"))
    before = files.current()

    authority.write(tmp_path / "tls")

    assert files.current() != before
    assert files.current().key == (tmp_path / "tls" / "tls.key").read_bytes()


def test_a_directory_swapped_by_its_link_is_read_again(tmp_path: Path) -> None:
    authority = Authority()
    authority.write(tmp_path / "first")
    authority.write(tmp_path / "second")
    (tmp_path / "tls").symlink_to(tmp_path / "first")
    files = TlsFiles(tmp_path / "tls")
    files.current()

    (tmp_path / "tls").unlink()
    (tmp_path / "tls").symlink_to(tmp_path / "second")

    assert files.current().key == (tmp_path / "second" / "tls.key").read_bytes()


def test_while_certificate_and_key_do_not_belong_together_the_last_good_ones_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority()
    files = TlsFiles(authority.write(tmp_path / "tls"))
    before = files.current()
    authority.write(tmp_path / "next")

    (tmp_path / "tls" / "tls.crt").write_bytes((tmp_path / "next" / "tls.crt").read_bytes())
    in_between = files.current()
    (tmp_path / "tls" / "tls.key").write_bytes((tmp_path / "next" / "tls.key").read_bytes())
    after = files.current()

    assert in_between is before
    assert "keeping the certificates read before" in caplog.text
    assert after.key == (tmp_path / "next" / "tls.key").read_bytes()


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt"])
def test_a_file_missing_from_the_start_is_refused_with_the_directory(tmp_path: Path, name: str) -> None:
    directory = Authority().write(tmp_path / "tls")
    (directory / name).unlink()

    with pytest.raises(SettingsInvalid, match=str(directory)):
        TlsFiles(directory).current()


def test_a_key_of_another_certificate_is_refused_from_the_start(tmp_path: Path) -> None:
    directory = Authority().write(tmp_path / "tls")
    other = Authority().write(tmp_path / "other")
    (directory / "tls.key").write_bytes((other / "tls.key").read_bytes())

    with pytest.raises(SettingsInvalid, match=r"tls\.key the key of tls\.crt"):
        TlsFiles(directory).current()


def test_the_key_is_not_shown(tmp_path: Path) -> None:
    certificates = TlsFiles(Authority().write(tmp_path / "tls")).current()

    assert "PRIVATE" not in repr(certificates)
