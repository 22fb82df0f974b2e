"""
Codings: a bounded look into answers that come gzipped or otherwise coded.

The client gets the provider's bytes as they came; whoever wants to know what is in them decodes a copy of its own
here. Decoding is bounded in what it makes, because a few coded bytes can mean gigabytes: the decoders are fed or
drained in small steps and stop at the bound; whoever reads a whole answer on its way also stops as soon as its bytes
mean far more than an answer's would. Hazard: what a decoder returns may end anywhere, also in the middle of a
character.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

import brotli
import zstandard

# What one step may make before the bound is looked at again, and how many coded bytes it may take.
_STEP_BYTES: Final = 262_144
_STEP_CODED_BYTES: Final = 4_096

ANSWER_RATIO_MAX: Final = 64
"""Decoded bytes for each coded one; beyond it is no answer: event streams, which repeat themselves most, reach 50."""
_FREE_BYTES: Final = 262_144
"""Decoded whatever their ratio."""

# A zstd block of four bytes may mean 128 KiB, and its decoder has no bound on output: it is fed in crumbs.
_CRUMB_BYTES: Final = 128
_ZSTD_WINDOW_BYTES_MAX: Final = 8_388_608


class _Step(Protocol):
    """A decoder of one coding."""

    @property
    def is_at_end(self) -> bool:
        """The coding's own end has come, or nothing at all."""
        ...

    def feed(self, chunk: bytes, room: int) -> bytes:
        """The decoded bytes of a chunk, about `room` of them at most. Raises an error of the coding's library."""
        ...


class BoundedDecoder:
    """
    Decodes one answer as it passes, up to `bytes_max` decoded bytes; with a `ratio_max` only while there are not far
    more of them than coded ones.
    """

    def __init__(self, coding: str, *, bytes_max: int, ratio_max: int | None = None) -> None:
        self._step = _step_of(coding.strip().lower())
        self._room = bytes_max
        self._ratio_max = ratio_max or bytes_max
        self._allowed = _FREE_BYTES if ratio_max else bytes_max
        self.is_blind = self._step is None
        """Nothing more is decoded: the coding is unknown, its bytes are broken or mean too much."""
        self.is_broken = False
        """The bytes are not in the coding."""

    @property
    def is_cut(self) -> bool:
        """So far the coding's own end is missing. Of what is not decoded to its end that cannot be told."""
        return self._step is not None and not self.is_blind and not self._step.is_at_end

    def feed(self, chunk: bytes) -> bytes:
        """The decoded bytes that this chunk completes; empty once blind."""
        if len(chunk) <= _STEP_CODED_BYTES:
            return self._feed(chunk)
        steps = range(0, len(chunk), _STEP_CODED_BYTES)
        return b"".join([self._feed(chunk[at : at + _STEP_CODED_BYTES]) for at in steps])

    def _feed(self, chunk: bytes) -> bytes:
        if self._step is None or self.is_blind:
            return b""
        self._allowed += self._ratio_max * len(chunk)
        room = min(self._room, self._allowed)
        try:
            decoded = self._step.feed(chunk, room)
        except (zlib.error, brotli.error, zstandard.ZstdError, EOFError):
            self.is_blind = self.is_broken = True
            return b""
        size_bytes = len(decoded)
        self._room -= size_bytes
        self._allowed -= size_bytes
        if size_bytes >= room:
            self.is_blind = True
            return decoded[:room]
        return decoded


def decode_bounded(coded: bytes, coding: str, *, bytes_max: int) -> bytes:
    """The first `bytes_max` decoded bytes; what cannot be decoded is left out."""
    return BoundedDecoder(coding, bytes_max=bytes_max).feed(coded)


def _step_of(coding: str) -> _Step | None:
    match coding:
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip" | "deflate":
            return _Zlib()
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()
        case _:
            return None


class _Identity:
    is_at_end = True

    def feed(self, chunk: bytes, room: int) -> bytes:
        return chunk[:room]


class _Zlib:
    """gzip (also several members in a row), zlib, and the bare deflate that some servers call `deflate`."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=47)
        self._is_begun = False
        self.is_at_end = True

    def feed(self, chunk: bytes, room: int) -> bytes:
        decoded = bytearray()
        while chunk and len(decoded) < room:
            decoded += self._decompress(chunk)
            chunk = self._decoder.unconsumed_tail
            self.is_at_end = self._decoder.eof
            if self.is_at_end:
                chunk = self._decoder.unused_data
                self._decoder = zlib.decompressobj(wbits=47)
        return bytes(decoded)

    def _decompress(self, chunk: bytes) -> bytes:
        try:
            decoded = self._decoder.decompress(chunk, _STEP_BYTES)
        except zlib.error:
            if self._is_begun:
                raise
            self._decoder = zlib.decompressobj(wbits=-15)
            decoded = self._decoder.decompress(chunk, _STEP_BYTES)
        self._is_begun = True
        return decoded


class _Brotli:
    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()
        self._is_begun = False

    @property
    def is_at_end(self) -> bool:
        return not self._is_begun or bool(self._decoder.is_finished())

    def feed(self, chunk: bytes, room: int) -> bytes:
        self._is_begun = True
        decoded = bytearray(self._decoder.process(chunk, output_buffer_limit=_STEP_BYTES))
        while not self._decoder.can_accept_more_data() and len(decoded) < room:
            decoded += self._decoder.process(b"", output_buffer_limit=_STEP_BYTES)
        return bytes(decoded)


class _Zstd:
    def __init__(self) -> None:
        self._decoder = self._fresh()
        self.is_at_end = True

    def feed(self, chunk: bytes, room: int) -> bytes:
        decoded = bytearray()
        for at in range(0, len(chunk), _CRUMB_BYTES):
            crumb = chunk[at : at + _CRUMB_BYTES]
            while crumb and len(decoded) < room:
                decoded += self._decoder.decompress(crumb)
                crumb = b""
                self.is_at_end = self._decoder.eof
                if self.is_at_end:
                    crumb = self._decoder.unused_data
                    self._decoder = self._fresh()
        return bytes(decoded)

    def _fresh(self) -> zstandard.ZstdDecompressionObj:
        return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX).decompressobj()
