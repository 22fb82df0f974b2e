from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from services.kit.secret import Secret
from services.kit.telemetry.logs import VALUE_CHARACTERS_MAX, configure

log = logging.getLogger("services.router.watch")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)


def test_a_line_of_json_says_when_who_what_and_its_fields() -> None:
    stream = io.StringIO()
    configure(level="info", format="json", stream=stream)

    log.warning("a resource was %s", "refused", extra={"resource": "local/main", "count": 3})

    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "router.watch",
        "message": "a resource was refused",
        "resource": "local/main",
        "count": 3,
    }


def test_a_line_for_people_is_one_line() -> None:
    stream = io.StringIO()
    configure(level="info", format="text", stream=stream)

    log.info("a client sent\nINFO forged", extra={"count": 3})

    (line,) = stream.getvalue().splitlines()
    assert line.split(" ", 1)[1] == "INFO    router.watch   a client sent\\nINFO forged  count=3"


def test_a_terminal_gets_text_and_everything_else_json() -> None:
    terminal, file = Terminal(), io.StringIO()

    configure(level="info", stream=terminal)
    log.info("hello")
    configure(level="info", stream=file)
    log.info("hello")

    assert "INFO" in terminal.getvalue()
    assert json.loads(file.getvalue())["message"] == "hello"


def test_what_is_below_the_level_is_not_said() -> None:
    stream = io.StringIO()
    configure(level="warning", format="json", stream=stream)

    log.info("too quiet")

    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_secret_never_shows(form: str) -> None:
    stream = io.StringIO()
    configure(level="debug", format=form, stream=stream)
    secret = Secret("hunter2")

    log.info("key %s of %r", secret, {"key": secret}, extra={"key": secret, "keys": [secret]})

    assert "hunter2" not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_an_exception_is_part_of_its_line() -> None:
    stream = io.StringIO()
    configure(level="info", format="json", stream=stream)

    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("could not")

    assert json.loads(stream.getvalue())["error"].endswith("ValueError: broken\n")


def test_a_message_is_bounded() -> None:
    stream = io.StringIO()
    configure(level="info", format="json", stream=stream)

    log.info("x" * (VALUE_CHARACTERS_MAX + 10))

    assert json.loads(stream.getvalue())["message"].endswith("x... (10 more characters)")


@pytest.mark.parametrize("library", ["aiohttp.server", "opentelemetry.sdk", "kubernetes.client.rest", "urllib3"])
def test_libraries_that_repeat_secrets_are_quiet_even_at_debug_level(library: str) -> None:
    stream = io.StringIO()
    configure(level="debug", format="json", stream=stream)

    logging.getLogger(library).debug("authorization: hunter2")

    assert stream.getvalue() == ""
