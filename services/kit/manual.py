"""
Manual: settings as people read them, in a terminal (`--help`) and in docs/settings.md.

Both are made from the same table as the settings themselves, so neither can say what the program does not do.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from services.kit.settings import Setting, every_setting

WIDTH = 110


def groups_of(settings: Any) -> Iterator[tuple[str, str, list[Setting]]]:
    """Each group: its name, what it is about, and the settings that stand directly in it."""
    own = [described for group, described in every_setting(settings) if group == type(settings).__name__]
    yield type(settings).__name__, (type(settings).__doc__ or "").strip(), own
    for each in fields(settings):
        value = getattr(settings, each.name)
        if is_dataclass(value) and any(True for _ in every_setting(value)):
            yield from groups_of(value)


def help_text(settings: Any) -> str:
    """All settings, for a terminal."""
    lines: list[str] = []
    for _, about, group in groups_of(settings):
        lines += ["", about]
        for each in group:
            lines.append(f"  {each.flag} {each.kind.form}")
            lines += textwrap.wrap(
                f"{each.meaning} [{each.variable}; {_default(each)}]",
                WIDTH,
                initial_indent=" " * 6,
                subsequent_indent=" " * 6,
            )
    return "\n".join(lines[1:]) + "\n"


def document(settings: Any) -> str:
    """All settings, as the tables of a page."""
    lines: list[str] = []
    for name, about, group in groups_of(settings):
        lines += ["", f"## {name}", "", about, "", "| variable | flag | value | default | |", "|---|---|---|---|---|"]
        for each in group:
            form = f"`{each.kind.form}`".replace("|", "\\|")
            lines.append(f"| `{each.variable}` | `{each.flag}` | {form} | {each.default} | {each.meaning} |")
    return "\n".join(lines[1:]) + "\n"


def _default(each: Setting) -> str:
    return each.default if each.default.startswith(("unset", "built in")) else f"default {each.default}"
