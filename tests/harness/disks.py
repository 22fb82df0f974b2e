"""
Disks: small ones, so that a test can fill them.

A tmpfs of its own where we may mount one; whoever may not has the tests that bound the size of files instead
(`RLIMIT_FSIZE`), and those that need a disk are skipped.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of a few mebibytes, mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    @property
    def free_bytes(self) -> int:
        space = os.statvfs(self.folder)
        return space.f_bavail * space.f_frsize

    def fill(self, *, but_bytes: int = 0) -> None:
        """Leave only so much room."""
        with self._filling.open("ab") as filling:
            filling.write(bytes(max(0, self.free_bytes - but_bytes)))

    def give_room(self) -> None:
        """Take away what `fill` brought."""
        self._filling.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[SmallDisk]:
    """A disk of that size. Skips the test where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a file system cannot be mounted here: {error}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
