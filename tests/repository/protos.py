"""
Protos: the messages beside each .proto are what protoc makes of it, byte for byte.

`write` makes them, `check` makes them elsewhere, compares, and asks buf whether the contracts still understand what
they understood on main and at the newest release. Only messages are generated: the RPCs are called by
name (kit/rpc), so there are no stubs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "protos"


def generate(target: Path) -> None:
    """Let protoc write messages and their stubs below `target`."""
    names = sorted(path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.proto"))
    status = protoc.main(["protoc", f"-I{SOURCES}", f"--python_out={target}", f"--pyi_out={target}", *names])
    if status != 0:
        sys.exit(status)


def generated(root: Path) -> dict[str, bytes]:
    """Every generated file below `root`."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*_pb2*")
        if path.suffix in {".py", ".pyi"}
    }


def write() -> None:
    """Generate in place, and remove what no .proto stands for any more."""
    generate(SOURCES)
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        for stale in generated(SOURCES).keys() - generated(Path(folder)).keys():
            (SOURCES / stale).unlink()


def drift() -> list[str]:
    """Committed files that protoc would write differently."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = generated(Path(folder))
    committed = generated(SOURCES)
    return sorted(path for path in fresh.keys() | committed.keys() if fresh.get(path) != committed.get(path))


def git(*arguments: str) -> str:
    """What git says, or nothing where it has no answer."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def baselines() -> list[str]:
    """Commits that the contracts must stay compatible with: main, and the newest release."""
    main = next((found for name in ("origin/main", "main") if (found := git("rev-parse", "-q", "--verify", name))), "")
    release = git("describe", "--tags", "--abbrev=0", "--match", "v*")
    return [commit for commit in (main, release) if commit and git("ls-tree", commit, "protos")]


def breaking(baseline: str) -> int:
    """What buf says against the protos of that commit."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", baseline, "protos"], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        buf = Path(sys.executable).with_name("buf")
        return subprocess.run([buf, "breaking", "--against", f"{folder}/protos"], cwd=ROOT).returncode


def main() -> None:
    """`protos.py write|check`"""
    if sys.argv[1:] == ["write"]:
        write()
        return
    stale = drift()
    if stale:
        sys.exit(f"{', '.join(stale)}: not what protos/ says; run `make protos`")
    if any(breaking(baseline) for baseline in baselines()):
        sys.exit("the contracts no longer understand what they understood before")


if __name__ == "__main__":
    main()
