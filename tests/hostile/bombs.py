"""
Bombs: a few coded octets that mean a gigabyte.

What they mean is a chat completion with a very long text, so that whoever decodes it finds nothing to stop at. Many
equal members in a row make a bomb quickly: gzip and zstd take them for one body.
"""

from __future__ import annotations

import gzip
from functools import lru_cache

import brotli
import zstandard

BOMB_BYTES = 2**30
_MEMBER_BYTES = 2**24
_BEGINNING = b'{"object":"chat.completion","model":"m","choices":[{"message":{"content":"'
CODINGS = ("gzip", "br", "zstd")


@lru_cache
def bomb(coding: str) -> bytes:
    """The octets of a body of that coding which means `BOMB_BYTES`."""
    member = b"a" * _MEMBER_BYTES
    repeats = BOMB_BYTES // _MEMBER_BYTES
    match coding:
        case "gzip":
            return gzip.compress(_BEGINNING, mtime=0) + gzip.compress(member, mtime=0) * repeats
        case "zstd":
            compressor = zstandard.ZstdCompressor()
            return compressor.compress(_BEGINNING) + compressor.compress(member) * repeats
        case _:
            shrink = brotli.Compressor(quality=1)
            coded = [shrink.process(_BEGINNING), *(shrink.process(member) for _ in range(repeats))]
            return b"".join(coded) + bytes(shrink.finish())
