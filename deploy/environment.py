"""
The environment: makes `.venv` what a lock file says, once.

Run by make with whatever Python there is, so nothing outside the standard library may be imported here.
Everything is installed from wheels whose hashes are locked; the project itself is linked in, not copied.
A stamp in the environment holds the hash of what was installed. A mark stands there while an install runs: where
it is found, an install was interrupted, and the environment is made anew (pip still has what it had fetched).
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "run": ("requirements.lock", "requirements-build.lock"),
    "dev": ("requirements-dev.lock",),
    "acceptance": ("requirements-acceptance.lock",),
}
WIDER = {"run": ("dev", "acceptance"), "dev": ("acceptance",), "acceptance": ()}
"""A wider lock file holds all that a narrower one does, at the same versions."""


def fingerprint(name: str) -> str:
    """What an environment of that name is made from: its lock files, pyproject.toml and this Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    described = project["project"], project["build-system"], project["tool"]["setuptools"]
    digest = hashlib.sha256(repr((sys.version, *described)).encode())
    for path in LOCKS[name]:
        digest.update((ROOT / path).read_bytes())
    return digest.hexdigest()


def is_installed(environment: Path, name: str) -> bool:
    """This environment, or a wider one, was installed whole and from the same files."""
    for candidate in (name, *WIDER[name]):
        stamp = environment / f"installed-{candidate}"
        if stamp.exists() and stamp.read_text() == fingerprint(candidate):
            return True
    return False


def download_size(name: str) -> str:
    """How much comes over the network at most, as measured when the lock files were written."""
    megabytes = 0
    for path in LOCKS[name]:
        found = re.search(r"^# Download: (\d+) MB", (ROOT / path).read_text(), re.MULTILINE)
        megabytes += int(found.group(1)) if found else 0
    return f"about {megabytes} MB"


def create(environment: Path) -> None:
    """An environment with pip in it, unless there is one from which nothing is missing."""
    python = environment / "bin" / "python"
    works = python.exists() and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0
    if works and not (environment / "installing").exists():
        return
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", environment])
    if made.returncode != 0:
        sys.exit(
            f"{sys.executable} cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"
        )


def install(environment: Path, name: str) -> None:
    """What the lock files say, then the project itself."""
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--no-deps"]
    locked = [argument for path in LOCKS[name] for argument in ("--requirement", str(ROOT / path))]
    subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", *locked], check=True)
    subprocess.run([*pip, "--quiet", "--no-build-isolation", "--no-index", "--editable", str(ROOT)], check=True)


def main() -> None:
    """`environment.py FOLDER run|dev|acceptance`"""
    environment, name = Path(sys.argv[1]), sys.argv[2]
    if is_installed(environment, name):
        return
    print(f"Installing into {environment}: {download_size(name)} to download, once.", flush=True)
    create(environment)
    for stamp in environment.glob("installed-*"):
        stamp.unlink()
    mark = environment / "installing"
    mark.touch()
    try:
        install(environment, name)
    except subprocess.CalledProcessError as failure:
        sys.exit(f"Installing stopped: pip ended with {failure.returncode}. The same command tries again.")
    except KeyboardInterrupt:
        sys.exit("Installing was interrupted. The same command starts it again.")
    (environment / f"installed-{name}").write_text(fingerprint(name))
    mark.unlink()


if __name__ == "__main__":
    main()
