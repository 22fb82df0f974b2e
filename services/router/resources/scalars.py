"""
Scalars: the words and numbers that resources are made of, each with its bounds.

A bound stands here once; the check of a document (strict.py), docs/configuration.md and the custom resource
definitions all read it. `extra` says two things that a bound cannot: `rule`, how to put a pattern in words, and
`is_secret`, that a wrong value must not be repeated in a message (somebody may have pasted a token there).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

COUNT_MAX = 1_000_000_000_000
DAY_MS = 86_400_000

Name = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,64}$")]
"""What may stand in a URL as account or gateway, in a header as the name of a limit, in a log as the name of a rule."""

HostName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$",
        extra={"rule": "must be a host name without scheme, port or wildcard"},
    ),
]
HeaderName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_|~-]{1,128}$", extra={"rule": "must be a header name"}),
]
HeaderValue = Annotated[
    str,
    Meta(
        pattern=r"^[\t -~]{0,4096}$",
        extra={"rule": "must be printable ASCII of at most 4096 characters", "is_secret": True},
    ),
]
ShellPattern = Annotated[str, Meta(min_length=1, max_length=256)]
"""`*`, `?` and `[...]` as in a shell; compared in lower case."""

KeyItem = Annotated[
    str,
    Meta(
        pattern=r"^(token|provider|model|metadata\.[^\s]{1,128}|header\.[A-Za-z0-9!#$%&'*+.^_|~-]{1,128})$",
        extra={"rule": "must be token, provider, model, metadata.<name> or header.<name>"},
    ),
]
EnvironmentName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$",
        extra={"rule": "must be the name of an environment variable", "is_secret": True},
    ),
]
FilePath = Annotated[str, Meta(min_length=1, max_length=4096, extra={"is_secret": True})]
Sha256 = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-fA-F]{64}$",
        extra={"rule": "must be the SHA-256 of the token, 64 hexadecimal digits", "is_secret": True},
    ),
]
Url = Annotated[str, Meta(min_length=1, max_length=2048, extra={"is_secret": True})]
"""Checked by addresses.py; never repeated in a message, since a password may stand in it."""

Milliseconds = Annotated[int, Meta(gt=0, le=DAY_MS)]
RegularExpression = Annotated[str, Meta(min_length=1, max_length=1024)]

FailMode = Literal["open", "closed"]
Technique = Literal["fixed", "sliding"]
Action = Literal["redact", "block", "flag"]
Side = Literal["request", "response"]
