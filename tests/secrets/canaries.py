"""
Canaries: secrets that nothing else in the world contains, and how they would look if they leaked.

A secret that got away may be coded by then, or cut. So each is sought by pieces of its beginning, middle and end, as
they are, as hexadecimal digits and in base64, wherever the coding began. What stands for a secret on purpose (the
hash of a gateway token) is none of these.
"""

from __future__ import annotations

import base64
import secrets

PIECE_LENGTH = 24
"""Shorter than what any message keeps of a value that it shows."""
LARGE_BYTES = 9 * 1024
"""An `Authorization` as large as some identity providers make it; many parsers stop at 8 KiB."""

NAMES = (
    "authorization",
    "authorization of 9 KB",
    "x-api-key",
    "query key",
    "cookie",
    "gateway token",
    "wrong gateway token",
    "stored key",
    "key of a step",
    "body",
    "admin token",
    "wrong admin token",
    "snapshot key",
    "password of Redis",
    "password of the proxy",
    "header of the collector",
    "written into a resource",
)


class Canary:
    """One secret. It has letters and digits only, so that no quoting changes it."""

    def __init__(self, name: str, length: int = 40) -> None:
        self.name = name
        self.value = "sk" + secrets.token_hex(length // 2)
        middle = len(self.value) // 2
        pieces = (self.value[:PIECE_LENGTH], self.value[middle : middle + PIECE_LENGTH], self.value[-PIECE_LENGTH:])
        self._forms = tuple(form for piece in pieces for form in _forms(piece.encode()))

    def is_in(self, content: bytes) -> bool:
        """Whether any part of it stands there, in any form."""
        return any(form in content for form in self._forms)


def all_canaries() -> dict[str, Canary]:
    """A fresh one for every way in which a secret enters."""
    return {name: Canary(name, LARGE_BYTES if "9 KB" in name else 40) for name in NAMES}


def _forms(piece: bytes) -> list[bytes]:
    coded = [base64.b64encode(b"\0" * shift + piece) for shift in range(3)]
    # The outermost characters also hold what stood beside the piece.
    return [piece, piece.hex().encode(), piece.hex().upper().encode(), *(form[4:-4] for form in coded)]
