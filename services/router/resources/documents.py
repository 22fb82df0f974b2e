"""
Documents: the resources of a text, told apart before any is judged.

A text holds several YAML documents. One that is not YAML, or does not say what it is, must not take the others with
it: the text is cut at its document markers and the pieces are read alone. Then nobody can know which resource the
broken piece was, so the reading `is_whole` no longer and nothing that is missing from it counts as removed.

Hazards: YAML lets a key stand twice and keeps the last; here that is a fault. A name that is an alias of an alias
of an alias can make a small text huge; the number of values is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import yaml
from msgspec import Meta, Struct
from msgspec import field as named

from services.contracts.router.values import Refusal
from services.router.resources.faults import Fault, reason_of
from services.router.resources.scalars import Name
from services.router.resources.strict import parse

API_VERSION: Literal["narrows.dev/v1alpha1"] = "narrows.dev/v1alpha1"
DOCUMENTS_MAX = 10_000
TEXT_BYTES_MAX = 8 * 1024 * 1024
_VALUES_MAX = 1_000_000
_PROBLEM_LENGTH_MAX = 200

Kind = Literal["Gateway", "Provider", "Route"]
Identity = tuple[str, str, str]
"""Kind, namespace, name."""


class Metadata(Struct, frozen=True, forbid_unknown_fields=True):
    """Which resource it is. Labels and annotations are the operator's own."""

    namespace: Annotated[Name, Meta(description="The `{account}` of the URL.")]
    name: Annotated[Name, Meta(description="Unique for the kind in its namespace.")]
    labels: Annotated[dict[str, str], Meta(description="Not read.")] = {}
    annotations: Annotated[dict[str, str], Meta(description="Not read.")] = {}


class Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    """What every document has around its spec."""

    kind: Annotated[Kind, Meta(description="What it declares.")]
    metadata: Annotated[Metadata, Meta(description="Which one it is.")]
    api_version: Annotated[Literal["narrows.dev/v1alpha1"], Meta(description="May be left out of a file.")] = named(
        name="apiVersion", default=API_VERSION
    )
    spec: Annotated[Any, Meta(description="What it says; absent or empty: all defaults.")] = None


@dataclass(frozen=True, slots=True)
class Document:
    """One resource as written; its spec is not judged yet. `age` sorts the older one first: of a file, by its place."""

    kind: Kind
    namespace: str
    name: str
    spec: object
    age: tuple[float, str]

    @property
    def identity(self) -> Identity:
        """What makes it the same resource from one reading to the next."""
        return self.kind, self.namespace, self.name

    @property
    def title(self) -> str:
        """How people call it: `Gateway local/main`."""
        return title_of(self.identity)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text holds. Without `is_whole`, a resource that is missing here may be one that could not be read."""

    documents: tuple[Document, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    is_whole: bool = True


@dataclass(slots=True)
class _Collected:
    documents: dict[Identity, Document] = field(default_factory=dict)
    positions: dict[Identity, int] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    is_whole: bool = True

    def unreadable(self, resource: str, reason: str) -> None:
        self.refusals.append(Refusal(resource, reason))
        self.is_whole = False


def title_of(identity: Identity) -> str:
    """`Gateway local/main`."""
    kind, namespace, name = identity
    return f"{kind} {namespace}/{name}"


def read_documents(text: str, *, title: str) -> Reading:
    """All documents of a text; `title` is what refusals of the text as a whole call it."""
    if len(text) > TEXT_BYTES_MAX:
        return Reading((), (Refusal(title, f"must be at most {TEXT_BYTES_MAX} bytes long"),), is_whole=False)
    collected = _Collected()
    count = 0
    for position, (content, problem) in enumerate(_contents(text), start=1):
        if problem:
            collected.unreadable(title, f"document {position}: {problem}")
        elif content is not None:
            count += 1
            _collect(content, position, collected)
        if count >= DOCUMENTS_MAX:
            collected.unreadable(title, f"must hold at most {DOCUMENTS_MAX} documents")
            break
    if count == 0 and collected.is_whole:
        # An editor that empties a file before it writes it looks just like this.
        collected.unreadable(title, "holds no document; to remove everything, leave one gateway")
    return Reading(tuple(collected.documents.values()), tuple(collected.refusals), is_whole=collected.is_whole)


def _collect(content: object, position: int, collected: _Collected) -> None:
    spec = content.get("spec") if isinstance(content, Mapping) else None
    outside = {**content, "spec": None} if isinstance(content, Mapping) else content
    envelope = parse(outside, Envelope, path=())
    if isinstance(envelope, list):
        collected.unreadable(_label(content, position), reason_of(envelope))
        return
    name = envelope.metadata.name
    age = (float(position), name)
    document = Document(envelope.kind, envelope.metadata.namespace, name, {} if spec is None else spec, age)
    first = collected.positions.setdefault(document.identity, position)
    if first != position:
        fault = Fault(("metadata", "name"), f"declared again by document {position}; document {first} stands")
        collected.refusals.append(Refusal(document.title, str(fault)))
        return
    collected.documents[document.identity] = document


def _label(content: object, position: int) -> str:
    """What to call a document whose envelope is wrong: as much as it says of itself."""
    kind = content.get("kind") if isinstance(content, Mapping) else None
    metadata = content.get("metadata") if isinstance(content, Mapping) else None
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    told = " ".join(" ".join(part.split())[:64] for part in (kind, name) if isinstance(part, str))
    return f"document {position} ({told})" if told else f"document {position}"


def _contents(text: str) -> Iterator[tuple[object, str]]:
    """The value of each document, or what is wrong with it."""
    try:
        contents = list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, ValueError, RecursionError):
        yield from (_content(piece) for piece in _pieces(text))
        return
    yield from ((content, _size_fault(content)) for content in contents)


def _content(piece: str) -> tuple[object, str]:
    try:
        content = yaml.load(piece, Loader=_Loader)  # noqa: S506 (safe, and stricter)
    except yaml.MarkedYAMLError as error:
        return None, _syntax_fault(error)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None, "is not valid YAML"
    return content, _size_fault(content)


def _syntax_fault(error: yaml.MarkedYAMLError) -> str:
    """Where and why; the line itself is not repeated, a secret may stand on it."""
    mark = error.problem_mark
    place = f" at its line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    problem = " ".join((error.problem or error.context or "syntax error").split())
    return f"is not valid YAML{place}: {problem[:_PROBLEM_LENGTH_MAX]}"


def _pieces(text: str) -> Iterator[str]:
    """The text cut at its document markers, which YAML forbids anywhere else at the start of a line."""
    for piece in re.split(r"(?m)^(?:---(?=\s|$)|\.\.\.(?=\s|$))", text):
        if any(line.strip() and not line.lstrip().startswith(("#", "%")) for line in piece.splitlines()):
            yield piece


def _size_fault(content: object) -> str:
    """Counts without recursion, aliases as often as they are used: so often the checks would walk them."""
    waiting, count = [content], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if count > _VALUES_MAX:
            return f"must hold at most {_VALUES_MAX} values, aliases counted wherever they are used"
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return ""


class _Loader(yaml.CSafeLoader):
    """The safe loader, without keys that stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a string", key.start_mark)
            if (key.tag, key.value) in seen:
                message = f"the key {key.value} stands twice"
                raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep=deep)
