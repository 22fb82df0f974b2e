"""Tools from PyPI: installed whole from their lock file, and not twice."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from deploy.tool import bring, lock_of


class Index:
    """Wheels in a folder, and lock files that name them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lock = folder / "requirements-tool.lock"

    def offer(self, version: str, *, sha256: str = "") -> None:
        """A wheel of that version, and a lock file for it."""
        name = f"hammer-{version}"
        wheel = self._folder / f"{name}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("hammer/version", version)
            archive.writestr(f"{name}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: hammer\nVersion: {version}\n")
            archive.writestr(
                f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{name}.dist-info/RECORD", "")
        sha256 = sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest()
        self.lock.write_text(f"--no-index\n--find-links {self._folder}\nhammer=={version} --hash=sha256:{sha256}\n")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path)


def version_in(folder: Path) -> str:
    return (folder / "hammer" / "version").read_text()


def test_a_tool_is_what_its_lock_file_says(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "brought"
    index.offer("1.0")
    bring(index.lock, folder)

    index.offer("2.0")
    bring(index.lock, folder)

    assert version_in(folder) == "2.0"


def test_what_is_there_is_not_installed_again(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "brought"
    index.offer("1.0")
    bring(index.lock, folder)
    (folder / "hammer" / "version").write_text("still the same")

    bring(index.lock, folder)

    assert version_in(folder) == "still the same"


def test_another_file_than_the_locked_one_is_not_taken(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "brought"
    index.offer("1.0", sha256="0" * 64)

    with pytest.raises(subprocess.CalledProcessError):
        bring(index.lock, folder)

    assert not folder.exists()


@pytest.mark.parametrize("name", ["go", "node"])
def test_every_tool_is_locked(name: str) -> None:
    assert "--hash=sha256:" in lock_of(name).read_text()
