"""
Trailing commas: published examples of universal bodies have them, JSON does not. Removes them outside of strings.

Hazard: this runs on every malformed body up to the body limit, on the event loop, so it is one pass in C. The
possessive quantifiers keep it one pass: nothing is tried twice.
"""

from __future__ import annotations

import re

_BETWEEN_TRAILING_COMMAS = re.compile(
    rb"""(?: [^",]++ | "(?: [^"\\]++ | \\. )*+"? | ,(?! [ \t\r\n]*+ [\]}] ) )++""", re.DOTALL | re.VERBOSE
)


def without_trailing_commas(text: bytes) -> bytes:
    """The same JSON text without commas that stand right before a closing bracket; anything else stays as it is."""
    return b"".join(_BETWEEN_TRAILING_COMMAS.findall(text))
