"""
Command line: `narrows run`, `narrows check FILE`, `narrows version`.

Settings come from flags and variables (docs/settings.md); what is wrong with them is said on standard error, one
line for each thing, and nothing is started. The event loop is uvloop.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from services.app import App
from services.config import Settings, read_settings
from services.kit.errors import SettingsInvalid
from services.kit.manual import help_text
from services.kit.modules import run
from services.kit.telemetry import logs
from services.version import VERSION

EXIT_USAGE = 2
EXIT_REFUSED = 1

_USAGE = """\
narrows run [SETTINGS]   serve; `narrows run --help` lists every setting
narrows check FILE       what the router would refuse of a resource file
narrows version
"""

_GARBAGE_OBJECTS_MAX = 10_000
"""Objects that were made and not freed since the collector last looked."""
_GARBAGE_ROUNDS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    command, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or ["--help"]
    match command:
        case "run":
            return _run(rest)
        case "check":
            return _check(rest)
        case "version" | "--version":
            sys.stdout.write(f"narrows {VERSION}\n")
            return 0
        case "help" | "--help" | "-h":
            sys.stdout.write(_USAGE)
            return 0
        case _:
            sys.stderr.write(f"{command}: no such command\n{_USAGE}")
            return EXIT_USAGE


def _run(arguments: list[str]) -> int:
    if any(argument in ("--help", "-h") for argument in arguments):
        sys.stdout.write(f"narrows run [SETTINGS]\n{help_text(Settings())}\n")
        return 0
    try:
        settings = read_settings(os.environ, arguments)
    except SettingsInvalid as error:
        sys.stderr.write(f"{error.message}\n")
        return EXIT_USAGE
    logs.configure(level=settings.logs.level, format=settings.logs.format)
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    app = App(settings, environment=dict(os.environ))

    def announce(is_open: bool) -> None:  # noqa: FBT001 - `run` passes it as its one argument
        if is_open:
            _collect_less()
        app.announce(is_open)

    return await run(app.modules(), announce=announce)


def _collect_less() -> None:
    """
    What stands at the start is never garbage, and requests leave few cycles behind: look for them less often.

    With Python's own thresholds the edge spends about 6 % of its time looking.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_OBJECTS_MAX, _GARBAGE_ROUNDS, _GARBAGE_ROUNDS)


def _check(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("narrows check FILE\n")
        return EXIT_USAGE
    from services.router.check import check_resources

    try:
        allowed = read_settings(os.environ, []).upstream.are_private_allowed
    except SettingsInvalid as error:
        sys.stderr.write(f"{error.message}\n")
        return EXIT_USAGE
    refusals = check_resources(
        Path(arguments[0]), environment=os.environ, are_private_allowed=True if allowed is None else allowed
    )
    for refusal in refusals:
        sys.stdout.write(f"{refusal.resource}: {refusal.reason}\n")
    if not refusals:
        sys.stdout.write(f"{arguments[0]}: every resource is accepted\n")
    return EXIT_REFUSED if refusals else 0


if __name__ == "__main__":
    sys.exit(main())
