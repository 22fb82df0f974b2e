"""
The lock files: every dependency at one version, with the hashes of its files.

Three files, each holding all of the one before it: what runs, what tests, and real clients for the acceptance tests.
Beside them stand what builds, and the tools of other languages that some machines lack. `make lock` writes them;
`UPGRADE=1 make lock` moves to newest versions, else known ones stay. How much an install downloads is measured here,
because the person who waits for it wants to know.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GROUPS: dict[str, tuple[str, ...]] = {
    "requirements.lock": (),
    "requirements-dev.lock": ("build", "dev"),
    "requirements-acceptance.lock": ("build", "dev", "acceptance"),
}

APART: dict[str, tuple[str, str | None]] = {
    "requirements-build.lock": ("build", "requirements-dev.lock"),
    "requirements-go.lock": ("go", None),
    "requirements-node.lock": ("node", None),
}
"""A group, and the file whose versions it repeats."""


def resolve(path: str, sources: list[str], constraint: str | None) -> None:
    """Let uv write one file, for every platform at once."""
    command = [sys.executable, "-m", "uv", "pip", "compile", *sources]
    command += ["--universal", "--generate-hashes", "--no-annotate", "--no-header", "--quiet"]
    command += ["--output-file", path]
    if constraint:
        command += ["--constraint", constraint]
    if os.environ.get("UPGRADE"):
        command.append("--upgrade")
    subprocess.run(command, cwd=ROOT, check=True)


def measure_megabytes(path: str) -> int:
    """The wheels of this platform."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--require-hashes", "-d", folder, "-r", path], cwd=ROOT, check=True)
        size_bytes = sum(wheel.stat().st_size for wheel in Path(folder).iterdir())
    return -(-size_bytes // 1_000_000)


def annotate(path: str) -> None:
    """Put the size in front; environment.py reads it."""
    platform = f"{sys.platform}, Python {sys.version_info.major}.{sys.version_info.minor}"
    locked = (ROOT / path).read_text()
    header = f"# Written by `make lock`.\n# Download: {measure_megabytes(path)} MB ({platform})\n"
    (ROOT / path).write_text(header + locked)


def main() -> None:
    """All of them, narrow ones first, so that a wider one repeats their versions."""
    constraint: str | None = None
    for path, groups in GROUPS.items():
        sources = ["pyproject.toml", *(word for group in groups for word in ("--group", group))]
        resolve(path, sources, constraint)
        constraint = path
    for path, (group, repeated) in APART.items():
        resolve(path, ["--group", group], repeated)
    for path in (*GROUPS, *APART):
        annotate(path)


if __name__ == "__main__":
    main()
