"""
Settings: how a process is told to run, from flags and environment variables only, strictly.

A group of settings is a frozen dataclass whose fields are made by `setting(...)`: the name of its variable, what
kind of value it has, its default and its meaning stand in one place, and reading, `--help` and docs/settings.md
all work from that. `NARROWS_DATA_ADDRESS` is also `--data-address`; a flag wins. An empty variable is an unset one.

Hazard: an unknown NARROWS_* variable is refused, since it is a typing mistake more often than not; only the
variables that Kubernetes adds for every service of a namespace are passed over.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from services.kit.errors import SettingsInvalid
from services.kit.kinds import Kind

T = TypeVar("T")
S = TypeVar("S")

PREFIX = "NARROWS_"
_KEY = "narrows.setting"
_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: everything about it but its value."""

    variable: str
    kind: Kind[Any]
    meaning: str
    default: str
    """As people read it."""
    also: tuple[str, ...]
    """Other names of the variable; the first that is set wins, before `variable`."""
    is_secret: bool

    @property
    def flag(self) -> str:
        """`--data-address` for NARROWS_DATA_ADDRESS."""
        return "--" + self.variable.removeprefix(PREFIX).lower().replace("_", "-")


def setting(
    variable: str,
    kind: Kind[Any],
    default: T,
    *,
    meaning: str,
    shown: str = "",
    also: tuple[str, ...] = (),
    is_secret: bool = False,
) -> T:
    """A field of a group of settings. `shown`: the default in words, where its value does not say it."""
    if not shown:
        shown = "unset" if default is None else kind.show(default)
    described = Setting(variable, kind, meaning, shown, also, is_secret)
    return field(default=default, repr=not is_secret, metadata={_KEY: described})


def every_setting(group: Any) -> Iterator[tuple[str, Setting]]:
    """Each setting below a group (an instance), with the name of the group it stands in, in order."""
    for each in fields(group):
        described = each.metadata.get(_KEY)
        if described is not None:
            yield type(group).__name__, described
        elif is_dataclass(value := getattr(group, each.name)):
            yield from every_setting(value)


def load(defaults: S, environ: Mapping[str, str], arguments: Sequence[str]) -> S:
    """
    The settings: `defaults`, changed by what the environment and the flags say.

    Raises SettingsInvalid with one line for each thing that is wrong.
    """
    known = [described for _, described in every_setting(defaults)]
    given, faults = _from_flags(known, arguments)
    faults += _unknown_variables(known, environ)
    loaded = _changed(defaults, environ, given, faults)
    if faults:
        raise SettingsInvalid("\n".join(faults))
    return loaded


def _changed(group: S, environ: Mapping[str, str], given: Mapping[str, str], faults: list[str]) -> S:
    changes: dict[str, object] = {}
    for each in fields(group):  # type: ignore[arg-type]  # a group is a dataclass instance
        value = getattr(group, each.name)
        described: Setting | None = each.metadata.get(_KEY)
        if described is None:
            changes[each.name] = _changed(value, environ, given, faults)
            continue
        source, text = _given(described, environ, given)
        if text is None:
            continue
        try:
            changes[each.name] = described.kind.read(text, value)
        except ValueError as error:
            faults.append(f"{source}: {error}" + ("" if described.is_secret else f", is {text!r}"))
    return replace(group, **changes)  # type: ignore[type-var]


def _given(described: Setting, environ: Mapping[str, str], given: Mapping[str, str]) -> tuple[str, str | None]:
    """Where a value comes from, and the value; None: from nowhere."""
    if described.flag in given:
        return described.flag, given[described.flag]
    for variable in (*described.also, described.variable):
        if environ.get(variable):
            return variable, environ[variable]
    return described.variable, None


def _from_flags(known: Sequence[Setting], arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    by_flag = {described.flag: described for described in known}
    given: dict[str, str] = {}
    faults: list[str] = []
    waiting = list(arguments)
    while waiting:
        flag, equals, value = waiting.pop(0).partition("=")
        if flag not in by_flag:
            faults.append(_unknown(flag, by_flag))
            while waiting and not waiting[0].startswith("--"):
                del waiting[0]  # meant for the flag nobody knows
        elif flag in given:
            faults.append(f"{flag}: given twice")
        elif equals:
            given[flag] = value
        elif waiting and not waiting[0].startswith("--"):
            given[flag] = waiting.pop(0)
        elif by_flag[flag].kind.alone:
            given[flag] = by_flag[flag].kind.alone
        else:
            faults.append(f"{flag}: needs a value ({by_flag[flag].kind.form})")
    return given, faults


def _unknown_variables(known: Sequence[Setting], environ: Mapping[str, str]) -> list[str]:
    variables = {name for described in known for name in (described.variable, *described.also)}
    strange = (
        name
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in variables and not _OF_KUBERNETES.search(name)
    )
    return [_unknown(name, variables) for name in strange]


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"{name}: no such setting" + (f"; did you mean {near[0]}?" if near else "; --help lists all")
