"""
Logs: what a process says of itself, on standard error, as lines for people or one JSON object a line.

    2026-11-22T15:00:00.123Z INFO  router  a resource was refused  resource=local/main
    {"time": "...", "level": "info", "logger": "router", "message": "a resource was refused", "resource": "local/main"}

What is said goes through `logging` as usual; fields come as `extra={"resource": ...}`. Hazard: a message is made when
it is written, so a `Secret` in it prints as `***`; a secret that was revealed before is beyond help, and libraries
that print headers or URLs at debug level are held to warnings.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

FIELDS_MAX = 32
VALUE_CHARACTERS_MAX = 4_096
"""Of one message or field: more is cut, so that nobody's log line becomes a document."""

QUIET: Mapping[str, int] = {
    "aiohttp.access": logging.CRITICAL,
    "aiohttp.server": logging.CRITICAL,  # repeats header bytes of requests it cannot parse
    "asyncio": logging.WARNING,
    "grpc": logging.WARNING,
    "kubernetes": logging.WARNING,  # bodies and tokens at debug level
    "opentelemetry": logging.CRITICAL,  # a traceback for each batch it cannot send; otlp.py says it once
    "urllib3": logging.WARNING,
}
"""Libraries that say too much, or what nobody may read."""

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(*, level: str, format: str | None = None, stream: TextIO | None = None) -> None:  # noqa: A002
    """Send everything to one stream. `format`: text or json; None: text on a terminal, else json."""
    output = stream if stream is not None else sys.stderr
    is_text = format == "text" or (format is None and output.isatty())
    handler = logging.StreamHandler(output)
    handler.setFormatter(TextLines() if is_text else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(least, _LEVELS[level]))
    logging.captureWarnings(capture=True)


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": moment(record.created),
            "level": record.levelname.lower(),
            "logger": logger_name(record),
            "message": cut(record.getMessage()),
        }
        line.update(fields_of(record))
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = cut("".join(traceback.format_exception(*record.exc_info)))
        return json.dumps(line, default=lambda value: cut(str(value)), ensure_ascii=False)


class TextLines(logging.Formatter):
    """A line for people, and a traceback below it where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        words = [moment(record.created), f"{record.levelname:<7}", logger_name(record), " ", _one_line(record)]
        words += [f" {name}={value}" for name, value in fields_of(record).items()]
        line = " ".join(words)
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return line


def _one_line(record: logging.LogRecord) -> str:
    """A line break in a message would let a client write log lines of its own."""
    return cut(record.getMessage()).replace("\r", "\\r").replace("\n", "\\n")


def moment(epoch_s: float) -> str:
    """RFC 3339 with milliseconds, UTC."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def logger_name(record: logging.LogRecord) -> str:
    """`router.watch` for `services.router.watch`; the prefix says nothing."""
    return record.name.removeprefix("services.").removeprefix("kit.")


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What came as `extra`, bounded."""
    extra = [(name, value) for name, value in vars(record).items() if name not in _OWN]
    return {
        name: value if isinstance(value, int | float | None) else cut(str(value)) for name, value in extra[:FIELDS_MAX]
    }


def cut(text: str) -> str:
    """The text, or its beginning and how much is missing."""
    if len(text) <= VALUE_CHARACTERS_MAX:
        return text
    return f"{text[:VALUE_CHARACTERS_MAX]}... ({len(text) - VALUE_CHARACTERS_MAX} more characters)"
