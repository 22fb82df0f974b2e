"""
The Node client: OpenAI's own package for Node, installed from its lock file and run once per question.

What `tests/harness/node/client.mjs` prints is JSON: what came of each of its calls, to be compared like any other
SDK's. Installing happens once, and again when the lock file has changed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.harness.processes import clean_environment

FOLDER = Path(__file__).with_name("node")
LOCK = FOLDER / "package-lock.json"
INSTALLED = FOLDER / "node_modules" / "installed-package-lock.json"
INSTALL_S = 300
RUN_S = 60


def install() -> None:
    """Bring the packages of the lock file, unless they are there. Node itself must be."""
    for program in ("node", "npm"):
        assert shutil.which(program), f"{program} is needed on the PATH: install Node 20 or newer"
    if INSTALLED.exists() and INSTALLED.read_bytes() == LOCK.read_bytes():
        return
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_S)
    assert done.returncode == 0, f"npm ci failed:\n{done.stderr}"
    shutil.copyfile(LOCK, INSTALLED)


def outcomes(base_url: str) -> dict[str, Any]:
    """What came of each call that the script makes there, by the call's name."""
    command = ["node", "client.mjs", base_url]
    done = subprocess.run(command, cwd=FOLDER, env=clean_environment({}), capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == 0, f"the Node client failed:\n{done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found
