"""
Request lines with octets above 127: raw UTF-8 in a path, as some clients send it.

A target goes on octet for octet, but the parser refuses such octets. So it is shown a line with a placeholder for each
of them, and the target is put back afterwards. Hazard: only a line that is whole in its segment is found; one that is
split there is refused by the parser, as it would be without this.
"""

from __future__ import annotations

import re

_LINE = re.compile(rb"[A-Z]{1,32} ([\x21-\x7e\x80-\xff]+) HTTP/1\.[01]\r\n")
_PLAIN = bytes(octet if octet < 0x80 else 0x5F for octet in range(256))


def plain_line(segment: bytes) -> tuple[bytes, str]:
    """The segment in a form that the parser takes, and the target that really stands in it; empty: nothing to mend."""
    found = _LINE.match(segment)
    if found is None or found[1].isascii():
        return segment, ""
    line = found[0]
    return line.translate(_PLAIN) + segment[len(line) :], found[1].decode("utf-8", "surrogateescape")
