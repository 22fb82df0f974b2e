"""
The format of an entry in Redis: one byte of version, then the entry as a MessagePack array.

One value an entry, so that a ttl, an eviction or a purge takes all of it or nothing; chunk boundaries are array
boundaries. Whatever does not decode (another version, a damaged value) is no entry: the caller fills anew
and overwrites it.
"""

from __future__ import annotations

import msgspec

from services.cache.store.answers import Entry

_VERSION = b"\x01"


def pack_entry(entry: Entry) -> bytes:
    """The value stored for an entry."""
    return _VERSION + msgspec.msgpack.encode(entry)


def unpack_entry(packed: bytes) -> Entry | None:
    """The entry in a stored value; None when this version cannot read it."""
    if packed[:1] != _VERSION:
        return None
    try:
        return msgspec.msgpack.decode(memoryview(packed)[1:], type=Entry)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
