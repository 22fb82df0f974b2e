"""
Driver: the load driver, the mock provider and nginx of the shared benchmark, laid out once in a cache folder.

The folder with its sources is `../shared/bench` beside the checkout, or NARROWS_BENCH. Nothing of it is in this
repository. CPU time is read from /proc, for a process and all its children.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
GATEWAY_CPU, LOAD_CPU = "0", "1"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LOAD_TIMEOUT_S = 180


def laid_out() -> Path:
    """The folder with `bin/loadgen`, `bin/mock` and nginx' configuration; built on the first call."""
    source = Path(os.environ.get("NARROWS_BENCH", ROOT.parent / "shared" / "bench"))
    if not (source / "setup.sh").exists():
        raise FileNotFoundError(
            f"{source}/setup.sh: the benchmark needs its load driver; set NARROWS_BENCH to its folder"
        )
    content = b"".join(path.read_bytes() for path in sorted(source.rglob("*.[ch]")))
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "narrows-bench" / hashlib.sha256(content).hexdigest()[:12]
    if not (folder / "bin" / "loadgen").exists():
        subprocess.run(["bash", str(source / "setup.sh"), str(folder), "core"], check=True, stdout=subprocess.DEVNULL)
    return folder


def pinned(cpu: str, command: list[str]) -> list[str]:
    """The command, on that processor alone."""
    return ["taskset", "-c", cpu, *command]


def wait_for_port(port: int, timeout_s: float = 20) -> None:
    """Returns when somebody listens there."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
        else:
            return


def is_taken(port: int) -> bool:
    """Whether somebody listens there already."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def cpu_s(pid: int) -> float:
    """User and system time of a process and its threads, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_mib(pid: int) -> float:
    """Resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def load(
    folder: Path,
    address: str,
    *,
    connections: int,
    seconds: float,
    body: Path,
    headers: Mapping[str, str],
    is_unique: bool = True,
    requests: int = 0,
) -> dict[str, float]:
    """
    Drive one address from the load processor; what the driver counted. It ends after so many seconds, or `requests`.
    """
    command = [str(folder / "bin" / "loadgen"), "-u", address, "-c", str(connections), "-t", str(seconds), "-w", "0.3"]
    command += ["-b", str(body), *(["-U"] if is_unique else []), *(["-n", str(requests)] if requests else [])]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    finished = subprocess.run(
        pinned(LOAD_CPU, command), capture_output=True, text=True, timeout=_LOAD_TIMEOUT_S, check=False
    )
    if not finished.stdout:
        raise RuntimeError(f"the load driver failed: {finished.stderr[-500:]}")
    counted: dict[str, float] = json.loads(finished.stdout)
    return counted
