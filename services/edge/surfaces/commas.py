"""Trailing commas: published examples of universal bodies have them, JSON does not. Removes them outside of strings."""

from __future__ import annotations


def without_trailing_commas(text: bytes) -> bytes:
    """The same JSON text without commas that stand right before a closing bracket; anything else stays as it is."""
    kept = bytearray()
    comma_at = -1
    is_in_string = is_escaped = False
    for octet in text:
        if is_in_string:
            is_in_string = octet != 0x22 or is_escaped
            is_escaped = octet == 0x5C and not is_escaped
        elif octet in b" \t\r\n":
            pass
        else:
            if octet in b"]}" and comma_at >= 0:
                del kept[comma_at]
            comma_at = len(kept) if octet == 0x2C else -1
            is_in_string = octet == 0x22
        kept.append(octet)
    return bytes(kept)
