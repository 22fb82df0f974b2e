"""
Kinds: what the value of a setting can be, and how it is read from text.

A kind reads text into a value or raises ValueError with what would be right ("must be a number of at least
0"); the caller adds the setting's name and what was given. Kinds know nothing of any particular setting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from services.kit.errors import SettingsInvalid
from services.kit.rpc.target import parse_target
from services.kit.secret import Secret

T = TypeVar("T")

_UNITS = {"": 1, "B": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"(\d+)\s*(?:([KMGT])i?)?B?", re.ASCII | re.IGNORECASE)
_ADDRESS = re.compile(r"(?:\[(?P<ip>[0-9a-fA-F:.]+)\]|(?P<name>[^\s:/\[\]]*))(?::(?P<port>\d{1,5}))?", re.ASCII)
PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """`form` stands in --help; `read` gets the text and the default; `alone` is the value of a flag without one."""

    form: str
    read: Callable[[str, T], T]
    alone: str = ""
    show: Callable[[T], str] = str


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens. Port 0: any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def text() -> Kind[str | None]:
    """Anything."""
    return Kind("TEXT", lambda given, _: given)


def secret() -> Kind[Secret | None]:
    """Anything, and it never shows itself."""
    return Kind("SECRET", lambda given, _: Secret(given))


def path() -> Kind[Path | None]:
    """A file or folder; need not exist yet."""
    return Kind("PATH", lambda given, _: Path(given).expanduser())


def choice(*values: str) -> Kind[str]:
    """One of these words."""

    def read(given: str, _: str) -> str:
        if given not in values:
            raise ValueError(
                f"must be {' or '.join(values)}" if len(values) < 3 else f"must be one of {', '.join(values)}"
            )
        return given

    return Kind("|".join(values), read)


def integer(*, lowest: int = 0) -> Kind[int]:
    """A whole number."""

    def read(given: str, _: int) -> int:
        if not given.isascii() or not given.isdecimal() or int(given) < lowest:
            raise ValueError(f"must be a whole number of at least {lowest}")
        return int(given)

    return Kind("NUMBER", read, show=lambda value: f"{value:,}")


def number(*, lowest: float = 0, highest: float = float("inf")) -> Kind[float]:
    """A number; the unit is in the setting's name."""

    def read(given: str, _: float) -> float:
        wanted = f"from {lowest:g} to {highest:g}" if highest != float("inf") else f"of at least {lowest:g}"
        try:
            value = float(given)
        except ValueError:
            raise ValueError(f"must be a number {wanted}") from None
        if not lowest <= value <= highest or value == float("inf"):
            raise ValueError(f"must be a number {wanted}")
        return value

    return Kind("NUMBER", read, show=lambda value: f"{value:g}")


def size() -> Kind[int]:
    """Bytes: `262144`, `256KiB`, `256Ki`, `256k` are all the same."""

    def read(given: str, _: int) -> int:
        found = _SIZE.fullmatch(given.strip())
        if found is None or int(found[1]) == 0:
            raise ValueError("must be a number of bytes above 0, such as 1048576, 256MiB or 1Gi")
        return int(found[1]) * _UNITS[(found[2] or "").upper()]

    return Kind("BYTES", read, show=_shown_size)


def boolean() -> Kind[bool | None]:
    """on or off; the flag alone means on."""
    words = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}

    def read(given: str, _: object) -> bool:
        value = words.get(given.lower())
        if value is None:
            raise ValueError("must be on or off")
        return value

    return Kind("on|off", read, alone="on", show=lambda value: "on" if value else "off")


def address() -> Kind[Address]:
    """`host:port`. A host alone keeps the default's port, `:port` alone the default's host."""

    def read(given: str, default: Address) -> Address:
        host, port = _split_address(given, default)
        return Address(host, port)

    return Kind("HOST:PORT", read)


def rpc_address() -> Kind[str]:
    """An address as above, or a Unix socket: `unix:///path`."""

    def read(given: str, default: str) -> str:
        if given.startswith("unix:"):
            return given
        host, _, port = default.rpartition(":")
        return str(Address(*_split_address(given, Address(host, int(port)))))

    return Kind("HOST:PORT|unix:///PATH", read)


def replicas() -> Kind[str | None]:
    """Where the replicas of a service are (kit/rpc/target.py)."""

    def read(given: str, _: str | None) -> str:
        try:
            parse_target(given)
        except SettingsInvalid:
            raise ValueError("must be host:port, dns:///name:port or unix:///path, several with commas") from None
        return given

    return Kind("TARGET", read)


def url(*schemes: str) -> Kind[str | None]:
    """A URL with one of these schemes, and a host."""

    def read(given: str, _: str | None) -> str:
        found = _scheme_and_host(given)
        if found is None or found[0] not in schemes:
            raise ValueError(f"must be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return given

    return Kind("URL", read)


def proxy() -> Kind[str | None]:
    """A URL of an HTTP proxy; as everywhere, `host:port` alone means `http://host:port`."""
    of_url = url("http", "https")
    return Kind("URL", lambda given, default: of_url.read(given if "://" in given else f"http://{given}", default))


def _scheme_and_host(given: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        return None
    return (parts.scheme, parts.netloc) if (parts.netloc or parts.path) and port != 0 else None


def _split_address(given: str, default: Address) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(given)
    if found is None or (found["port"] and int(found["port"]) > PORT_MAX):
        raise ValueError("must be host:port, such as 127.0.0.1:8787 or [::1]:8787")
    return found["ip"] or found["name"] or default.host, int(found["port"]) if found["port"] else default.port


def _shown_size(value: int) -> str:
    for letter in "TGMK":
        if value >= _UNITS[letter] and value % _UNITS[letter] == 0:
            return f"{value // _UNITS[letter]} {letter}iB"
    return str(value)
