"""
Reference: the models as tables, for docs/configuration.md.

Made from the very types that documents are held against (strict.py), so the page cannot say anything else. Each
model becomes a section under the path where it stands; a field's type is put in words with its bounds.
"""

from __future__ import annotations

import inspect as python
import textwrap
from collections.abc import Iterator

import msgspec
from msgspec import inspect

from services.router.resources.documents import Envelope
from services.router.resources.faults import text_of
from services.router.resources.gateway import GatewaySpec
from services.router.resources.provider import ProviderSpec
from services.router.resources.route import RouteSpec
from services.router.resources.unbuilt import UNBUILT

WIDTH = 120

Named = tuple[str, inspect.StructType]
"""A model and the path where it stands."""

_KINDS: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("Gateway", GatewaySpec),
    ("Provider", ProviderSpec),
    ("Route", RouteSpec),
)


_RULES = (
    """**Strict.** An unknown key, a wrong type or an impossible pair is refused with its path, all faults of a document
    at once: `spec.limits[2].windowS: must be above 0, is -5`. Nothing is clamped, guessed or ignored.""",
    """**One by one.** A document that is refused never takes another one down. Its last good version stays live; if
    there is none, it is not there. A router that can read no gateway at all at its start tells edges nothing, and they
    keep what they have. Refusals are in the log, in `/status` and counted by `narrows_refused_resources`.""",
    """**Live.** A change of the file, or of a file that a secret comes from, is with every edge within a second. A
    document that is not YAML leaves the others alone; as long as one cannot be read, and while the file is empty or
    gone, no resource counts as removed.""",
    """**Names** of accounts (`metadata.namespace`), gateways, providers, limits, tokens and rules match
    `[a-z0-9_-]{1,64}`. Of two documents of one kind and name the first stands.""",
    """**Hosts.** A host that two gateways claim belongs to the older one, in a file the one further up; the other lives
    without it, and that is shown with the refusals.""",
    """**Secrets** never stand in a resource. `valueFrom` names exactly one place: `env`, `file` (a relative path starts
    at the folder of the resource file) or, for a gateway token, `sha256`. `secretKeyRef` is for custom resources,
    `env` and `file` are for files; the wrong one is refused as `SourceNotAllowed`. A secret that cannot be read
    refuses the gateway that asks for it.""",
    """**Addresses.** A base URL or webhook that is, or resolves to, a link-local or metadata address is refused
    everywhere, in whatever spelling. Plain http and private addresses need `NARROWS_PRIVATE_UPSTREAMS`, which is on for
    a file and off for custom resources.""",
    """**Patterns** of models and paths are those of a shell (`*`, `?`, `[...]`), in lower case.""",
    """**Health.** A target (gateway, provider, base URL) that fails 5 times in a row, or half of at least 10 times in
    10 s, is put last in every plan that has another, for 5 s, then twice as long each time up to 60 s.""",
)
"""What holds for all of them, and no table says."""


def rules_lines() -> Iterator[str]:
    """The rules, as lines of Markdown."""
    for rule in _RULES:
        yield from textwrap.wrap(" ".join(rule.split()), WIDTH, initial_indent="- ", subsequent_indent="  ")


def reference_lines() -> Iterator[str]:
    """The sections of all kinds, as lines of Markdown."""
    yield "## Every document"
    yield from _table(_struct(Envelope), "")
    for kind, model in _KINDS:
        yield from ("", f"## {kind}", "", _about(model))
        yield from _sections(("spec", _struct(model)))


def unbuilt_lines() -> Iterator[str]:
    """What documents can say and this version refuses."""
    for row in UNBUILT:
        path = text_of(("spec", *row.field)).replace('["*"]', "[]")
        words = f" of {' or '.join(sorted(row.words))}" if row.words else ""
        yield f"- {row.kind}: `{path}`{words}"


def _sections(named: Named) -> Iterator[str]:
    """A model's table, then those of the models in it. The spec itself has its heading already."""
    waiting = [named]
    while waiting:
        path, shape = waiting.pop(0)
        if path != "spec":
            tag = f" with `{shape.tag_field}: {shape.tag}`" if shape.tag_field else ""
            yield from ("", f"### `{path}`{tag}", "", _about(shape.cls))
        yield from _table(shape, path)
        waiting = [*_inner(shape, path), *waiting]


def _table(shape: inspect.StructType, path: str) -> Iterator[str]:
    yield from ("", "| key | value | default | |", "|---|---|---|---|")
    for field in shape.fields:
        yield f"| `{field.encode_name}` | {_words(field.type)} | {_default(field)} | {_meaning(field.type)} |"


def _inner(shape: inspect.StructType, path: str) -> Iterator[Named]:
    for field in shape.fields:
        here = f"{path}.{field.encode_name}" if path else field.encode_name
        yield from _models(field.type, here)


def _models(shape: inspect.Type, path: str) -> Iterator[Named]:
    """Models that stand at this path, also those in lists and mappings."""
    match shape:
        case inspect.Metadata():
            yield from _models(shape.type, path)
        case inspect.UnionType():
            for option in shape.types:
                yield from _models(option, path)
        case inspect.VarTupleType():
            yield from _models(shape.item_type, f"{path}[]")
        case inspect.DictType():
            yield from _models(shape.value_type, f"{path}.<name>")
        case inspect.StructType():
            yield path, shape
        case _:
            return


def _words(shape: inspect.Type, rule: str = "") -> str:
    """What a value must be."""
    match shape:
        case inspect.Metadata():
            return _words(shape.type, str((shape.extra or {}).get("rule", rule)))
        case inspect.UnionType():
            options = [option for option in shape.types if not isinstance(option, inspect.NoneType)]
            return "mapping" if len(options) > 1 else _words(options[0], rule)
        case inspect.VarTupleType():
            return f"list of: {_words(shape.item_type)}{_amount(shape)}"
        case inspect.DictType():
            return f"mapping to: {_words(shape.value_type)}{_amount(shape)}"
        case inspect.LiteralType():
            return ", ".join(f"`{word}`" for word in shape.values)
        case inspect.StrType():
            return _text_words(shape, rule)
        case inspect.IntType() | inspect.FloatType():
            return _number_words(shape)
        case inspect.BoolType():
            return "`true`, `false`"
        case inspect.StructType():
            return "mapping"
        case _:
            return "anything"


def _text_words(shape: inspect.StrType, rule: str) -> str:
    if rule:
        return rule.removeprefix("must be ").replace("|", "\\|")
    if shape.pattern:
        return f"`{shape.pattern.removeprefix('^').removesuffix('$')}`"
    return f"text of at most {shape.max_length} characters" if shape.max_length else "text"


def _number_words(shape: inspect.IntType | inspect.FloatType) -> str:
    bounds = [("above", shape.gt), ("at least", shape.ge), ("at most", shape.le)]
    words = [f"{word} {bound:,}" for word, bound in bounds if bound is not None]
    return ", ".join(["whole number" if isinstance(shape, inspect.IntType) else "number", *words])


def _amount(shape: inspect.VarTupleType | inspect.DictType) -> str:
    return f"; at most {shape.max_length:,}" if shape.max_length else ""


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    default = field.default
    if default is None or default is msgspec.NODEFAULT or default == () or isinstance(default, msgspec.Struct):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{', '.join(default) if isinstance(default, tuple) else default}`"


def _meaning(shape: inspect.Type) -> str:
    """The field's own description; an alias's annotation further in has none."""
    while isinstance(shape, inspect.Metadata):
        description = (shape.extra_json_schema or {}).get("description")
        if description:
            return str(description)
        shape = shape.type
    return ""


def _about(model: type) -> str:
    return " ".join((python.getdoc(model) or "").split())


def _struct(model: type[msgspec.Struct]) -> inspect.StructType:
    shape = inspect.type_info(model)
    assert isinstance(shape, inspect.StructType)
    return shape
