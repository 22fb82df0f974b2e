from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from services.kit.errors import SettingsInvalid
from services.kit.files import locked_folder, locked_folder_if_writable, write_atomically
from tests.harness.disks import small_disk


def test_a_file_is_replaced_whole_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    path.write_bytes(b"old, and longer than the new one")

    write_atomically(path, b"new")

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["snapshot"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    path.mkdir()  # a rename onto a folder fails
    (path / "old").touch()

    with pytest.raises(OSError, match="snapshot"):
        write_atomically(path, b"new")

    assert os.listdir(tmp_path) == ["snapshot"]


def test_a_folder_is_made_and_closed_to_others(tmp_path: Path) -> None:
    with locked_folder(tmp_path / "data" / "edge") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_in_use_is_refused_with_who_uses_it(tmp_path: Path) -> None:
    with (
        locked_folder(tmp_path / "edge"),
        pytest.raises(SettingsInvalid, match=rf"edge is in use by another process \({os.getpid()}\)"),
        locked_folder(tmp_path / "edge"),
    ):
        pass


def test_a_folder_is_free_again_when_its_process_was_killed(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib; from services.kit.files import locked_folder\n"
        "with locked_folder(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "edge"])

    with locked_folder(tmp_path / "edge") as folder:
        assert killed.returncode == -9
        assert (folder / "lock").read_text().strip() == str(os.getpid())


def test_a_full_disk_keeps_nobody_from_a_folder_that_is_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_bytes=65_536) as disk:
        with locked_folder(disk.folder / "edge"):
            pass
        disk.fill()

        with (
            locked_folder(disk.folder / "edge"),
            pytest.raises(SettingsInvalid, match="is in use by another process"),
            locked_folder(disk.folder / "edge"),
        ):
            pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(SettingsInvalid, match="cannot be used: Not a directory"),
        locked_folder(tmp_path / "file" / "x"),
    ):
        pass


def test_who_can_do_without_a_folder_gets_none_on_a_disk_that_takes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with locked_folder_if_writable(tmp_path / "file" / "folder") as folder:
        assert folder is None

    assert "nothing is kept there" in caplog.text


def test_who_can_do_without_a_folder_still_does_not_share_one(tmp_path: Path) -> None:
    with (
        locked_folder(tmp_path / "router"),
        pytest.raises(SettingsInvalid, match="in use by another process"),
        locked_folder_if_writable(tmp_path / "router"),
    ):
        pass
