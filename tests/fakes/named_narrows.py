"""
A `narrows` for which names resolve as a file says: the world's DNS, in a test's hands.

`python -m tests.fakes.named_narrows NAMES run ...` is `narrows run ...`, whose event loop looks into NAMES first: a
JSON object from a name to its addresses. A name with no address does not exist; one that is not there is asked
of the system. The file is read at each look-up, so that a test can move a provider while the process runs.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvloop

from services import cli

Found = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


def resolve_by(names: Path) -> None:
    """From now on, loops of this process ask this file."""
    system = uvloop.Loop.getaddrinfo

    async def getaddrinfo(loop: uvloop.Loop, host: Any, port: Any, **hints: Any) -> list[Found]:
        known = json.loads(names.read_text())
        name = host.decode() if isinstance(host, bytes) else host
        if name not in known:
            return await system(loop, host, port, **hints)  # type: ignore[return-value]  # of the same form
        if not known[name]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [_found(address, int(port or 0)) for address in known[name]]

    uvloop.Loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign,assignment]  # what this file is for


def _found(address: str, port: int) -> Found:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)


if __name__ == "__main__":
    resolve_by(Path(sys.argv[1]))
    sys.exit(cli.main(sys.argv[2:]))
