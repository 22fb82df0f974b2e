"""
Targets: where the replicas of a service are, as an operator writes it.

`host:port`, several with commas, `unix:///path`, or `dns:///name:port`, which stands for every address of the
name, now and as they change: that is how the replicas behind a headless Kubernetes service are all reached. A
replica is known by its address, so every edge gives it the same name when keys are spread by hash.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.kit.errors import SettingsInvalid

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a name, for a port. Raises OSError when the name has none or nobody knows."""


@dataclass(frozen=True, slots=True)
class Address:
    """One replica. `name`: same on every edge; `dial`: for gRPC to connect to; `host`: whom its certificate names."""

    name: str
    dial: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Name:
    """A name whose every address is a replica."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """Replicas that are known, and names to find more."""

    addresses: tuple[Address, ...]
    names: tuple[Name, ...]


def parse_target(text: str) -> Target:
    """Read a target. Raises SettingsInvalid, saying what would be right."""
    addresses: list[Address] = []
    names: list[Name] = []
    for part in (piece.strip() for piece in text.split(",")):
        if part.startswith("unix:"):
            addresses.append(Address(name=part, dial=part))
        elif part.startswith("dns:"):
            names.append(Name(*_host_and_port(part.removeprefix("dns:").lstrip("/"), text)))
        else:
            _host_and_port(part, text)
            addresses.append(Address(name=part, dial=part))
    return Target(tuple(addresses), tuple(names))


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, on the loop's own terms."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found})


def replica_of(name: Name, ip: str) -> Address:
    """The replica at one address of a name."""
    if ipaddress.ip_address(ip).version == 4:
        return Address(name=f"{ip}:{name.port}", dial=f"ipv4:{ip}:{name.port}", host=name.host)
    return Address(name=f"[{ip}]:{name.port}", dial=f"ipv6:[{ip}]:{name.port}", host=name.host)


def _host_and_port(part: str, whole: str) -> tuple[str, int]:
    host, _, port = part.rpartition(":")
    if not host.strip("[]") or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise SettingsInvalid(f"{whole!r}: must be host:port, dns:///name:port or unix:///path, several with commas")
    return host, int(port)
