"""
Bodies: how an answer's bytes fall into documents, by their content type.

One class a framing, all alike: bytes in, what each event says into the tally. Memory is bounded everywhere; a
document that is too large to be read is searched at both ends for its usage instead.
"""

from __future__ import annotations

import json
from typing import ClassVar, Final, Literal, Protocol

import msgspec

from services.dialects.alike import Alike
from services.dialects.codings import BoundedDecoder
from services.dialects.fields import TEXT, FieldReader, NotJson
from services.dialects.frames import Frame, FrameScanner
from services.dialects.shapes import ShapeReader
from services.dialects.sse import SseScanner, up_to_payload
from services.dialects.tally import Tally

DOCUMENT_BYTES_MAX: Final = 8_388_608

# Of a document beyond its bound, both ends of this size are looked through.
_END_BYTES: Final = 65_536

# A line beyond this is skipped.
_LINE_BYTES_MAX: Final = 1_048_576

_DONE: Final = b"[DONE]"

# An event with nothing but these says the same as the next one like it, but for its text.
_TELLS_NOTHING_NEW: Final = frozenset({TEXT, "model", "type"})


Framing = Literal["events", "document", "lines", "frames", "opaque"]


def framing_of(content_type: str) -> Framing:
    """How an answer of that content type falls into documents; opaque: it is no text."""
    kind = content_type.partition(";")[0].strip().lower()
    match kind:
        case "text/event-stream":
            return "events"
        case "application/x-ndjson" | "application/jsonl" | "application/stream+json":
            return "lines"
        case "application/vnd.amazon.eventstream":
            return "frames"
        case _:
            is_document = kind in ("", "text/plain") or kind.endswith(("/json", "+json"))
            return "document" if is_document else "opaque"


class Body(Protocol):
    """The bytes of one answer, decoded."""

    @property
    def is_malformed(self) -> bool:
        """An event whose dialect says that it is JSON was not."""
        ...

    @property
    def is_mid_event(self) -> bool:
        """The beginning of an event has come and not its end."""
        ...

    @property
    def is_torn(self) -> bool:
        """Once it is finished: it ends in what cannot be read, half an event, half a document or broken coding."""
        ...

    @property
    def is_unread(self) -> bool:
        """Something was not read: the tally may lack text and usage."""
        ...

    @property
    def can_tell_end(self) -> bool:
        """Whether a missing end would be noticed."""
        ...

    @property
    def is_document(self) -> bool:
        """It is at its end when it can be read."""
        ...

    @property
    def size_bytes(self) -> int:
        """Of what has come, as it came."""
        ...

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        ...

    def finish(self) -> None:
        """There are no more."""
        ...


class CodedBody:
    """A body in a content coding; what it holds is read by the body behind it."""

    def __init__(self, body: Body, decoder: BoundedDecoder) -> None:
        self.inner = body
        self._decoder = decoder
        self.is_document = body.is_document
        self.size_bytes = 0

    @property
    def is_cut(self) -> bool:
        """Once it is finished: the coding's own end is missing."""
        return self._decoder.is_cut

    @property
    def is_malformed(self) -> bool:
        return self.inner.is_malformed

    @property
    def is_mid_event(self) -> bool:
        return self.inner.is_mid_event

    @property
    def is_torn(self) -> bool:
        return self._decoder.is_broken or (self.inner.is_torn and not self._decoder.is_blind)

    @property
    def is_unread(self) -> bool:
        return self._decoder.is_blind or self.inner.is_unread

    @property
    def can_tell_end(self) -> bool:
        return self._decoder.is_broken or not self._decoder.is_blind

    def feed(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        decoded = self._decoder.feed(chunk)
        if decoded:
            self.inner.feed(decoded)

    def finish(self) -> None:
        self.inner.finish()


class EventsBody:
    """`text/event-stream`."""

    __slots__ = (
        "_alike",
        "_fault",
        "_is_json",
        "_reader",
        "_scanner",
        "_tally",
        "is_malformed",
        "is_torn",
        "size_bytes",
    )

    can_tell_end = True
    is_document = False

    def __init__(self, tally: Tally, reader: FieldReader) -> None:
        self._tally = tally
        self._reader = reader
        self._scanner = SseScanner()
        self._is_json = tally.form.are_events_json
        self._alike = Alike(tally.form.event_text)
        self.is_malformed = False
        self.is_torn = False
        self._fault = b""
        """The payload that made it malformed."""
        self.size_bytes = 0

    @property
    def is_mid_event(self) -> bool:
        return self._scanner.is_mid_event

    @property
    def is_unread(self) -> bool:
        return self._scanner.oversized_count > 0

    def feed(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        if self._scanner.is_clean and self._alike.takes(chunk):
            return
        for name, payload in self._scanner.feed(chunk):
            if not self._alike.takes_payload(payload):
                self._read(name, payload)
                if self.is_malformed:
                    return

    def up_to_fault(self, chunk: bytes) -> bytes:
        """Of the chunk that made it malformed: what came before the end of the event that did."""
        return up_to_payload(chunk, self._fault)

    def finish(self) -> None:
        # A last event without its blank line is taken for what it says, and not blamed: the stream may have been cut.
        if not self.is_malformed:
            for name, payload in self._scanner.finish():
                self._read(name, payload)
            self.is_torn, self.is_malformed = self.is_malformed, False
        self._tally.text_bytes += self._alike.text_bytes

    def _read(self, name: bytes, payload: bytes) -> None:
        if not self._is_json:
            self._tally.note({}, name.decode("latin-1"))
        elif payload.startswith(b"{"):
            try:
                found = self._reader.read(payload)
            except NotJson:
                self._blame(payload)
                return
            if found.keys() <= _TELLS_NOTHING_NEW:
                self._alike.learn(payload, found.get(TEXT, 0))
            self._tally.note(found, name.decode("latin-1"))
        elif payload.strip() == _DONE:
            self._tally.is_terminal_seen = True
        elif payload.strip():
            self._check(payload)

    def _check(self, payload: bytes) -> None:
        """Not an object, but maybe JSON all the same."""
        try:
            msgspec.json.decode(payload, type=msgspec.Raw)
        except msgspec.DecodeError:
            self._blame(payload)

    def _blame(self, payload: bytes) -> None:
        self.is_malformed = True
        self._fault = payload


class DocumentBody(msgspec.Struct):
    """One JSON document: an object, or the array that Gemini streams without `alt=sse`."""

    can_tell_end: ClassVar[bool] = True
    is_document: ClassVar[bool] = True
    is_malformed: ClassVar[bool] = False
    is_mid_event: ClassVar[bool] = False

    tally: Tally
    reader: ShapeReader
    array_reader: FieldReader
    is_unread: bool = False
    is_torn: bool = False
    """What begins as JSON is none. A document of another kind (plain text has no type of its own) is not judged."""
    document: bytes | bytearray = b""
    tail: bytearray | None = None
    """Of a document that is too large; `document` is its beginning."""
    dropped_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        return len(self.document) + len(self.tail or b"") + self.dropped_bytes

    def feed(self, chunk: bytes) -> None:
        if self.document or len(chunk) > DOCUMENT_BYTES_MAX:
            self._add(chunk)
        else:
            # Most documents come in one piece, which is read as it is.
            self.document = chunk

    def finish(self) -> None:
        if self.tail is not None:
            self.is_unread = True
            for end in (self.document, self.tail):
                self._search(bytes(end))
        elif self.document:
            try:
                self._read(bytes(self.document))
            except NotJson:
                self.is_unread = True
                self.is_torn = self.document.lstrip().startswith((b"{", b"["))

    @property
    def is_array(self) -> bool:
        """It begins as a stream that is one array."""
        return self.document.lstrip().startswith(b"[")

    def _add(self, chunk: bytes) -> None:
        if self.tail is not None:
            self.tail += chunk
            if len(self.tail) > 4 * _END_BYTES:
                self.dropped_bytes += len(self.tail) - _END_BYTES
                del self.tail[:-_END_BYTES]
            return
        if not isinstance(self.document, bytearray):
            self.document = bytearray(self.document)
        self.document += chunk
        if len(self.document) > DOCUMENT_BYTES_MAX:
            self.tail = self.document[-_END_BYTES:]
            self.dropped_bytes = len(self.document) - 2 * _END_BYTES
            del self.document[_END_BYTES:]

    def _read(self, document: bytes) -> None:
        """Raises NotJson."""
        if document.startswith(b"{") or not document.lstrip().startswith(b"["):
            self._note(document)
        else:
            for found in self.array_reader.read_list(document):
                self.tally.note(found)
        self.tally.is_terminal_seen = True

    def _note(self, document: bytes) -> None:
        """Raises NotJson."""
        self.tally.note_whole(self.reader.slots, *self.reader.read(document))

    def _search(self, end: bytes) -> None:
        """The last usage object among these bytes, if there is one."""
        for root in dict.fromkeys(path.partition(".")[0] for path in self.tally.form.tokens.input):
            mark = b'"' + root.encode() + b'":'
            at = end.rfind(mark)
            if at < 0:
                continue
            text = end[at + len(mark) :].decode("utf-8", "replace").lstrip()
            try:
                usage, _ = json.JSONDecoder().raw_decode(text)
                self._note(msgspec.json.encode({root: usage}))
            except (ValueError, RecursionError):
                continue


class LinesBody:
    """One JSON document a line."""

    can_tell_end = True
    is_document = False

    def __init__(self, tally: Tally, reader: FieldReader) -> None:
        self._tally = tally
        self._reader = reader
        self._pending = b""
        self._is_skipping = False
        """The rest of a line beyond its bound."""
        self.is_malformed = False
        self.is_torn = False
        self.is_unread = False
        self.size_bytes = 0

    @property
    def is_mid_event(self) -> bool:
        return self._is_skipping or bool(self._pending)

    def feed(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        for line in lines:
            if not self._read(line):
                self.is_malformed = self.is_unread = True
        if len(self._pending) > _LINE_BYTES_MAX:
            self._pending = b""
            self.is_unread = self._is_skipping = True

    def finish(self) -> None:
        # A last line without its end is taken for what it says, and not blamed: the stream may have been cut.
        if not self._read(self._pending):
            self.is_torn = self.is_unread = True

    def _read(self, line: bytes) -> bool:
        """False: it is no JSON."""
        if self._is_skipping or not line.strip():
            self._is_skipping = False
            return True
        try:
            self._tally.note(self._reader.read(line))
        except NotJson:
            return False
        return True


class FramesBody:
    """Amazon's binary event stream."""

    can_tell_end = True
    is_document = False

    def __init__(self, tally: Tally, reader: FieldReader) -> None:
        self._tally = tally
        self._reader = reader
        self._scanner = FrameScanner()
        self._is_unlike_json = False
        self.size_bytes = 0

    @property
    def is_malformed(self) -> bool:
        return self._scanner.is_broken or self._is_unlike_json

    @property
    def is_mid_event(self) -> bool:
        return self._scanner.is_mid_frame

    @property
    def is_unread(self) -> bool:
        return self.is_malformed

    @property
    def is_torn(self) -> bool:
        return self._scanner.is_mid_frame

    def feed(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        for frame in self._scanner.feed(chunk):
            if frame.is_exception:
                self._tally.is_error = True
            elif frame.payload:
                self._read(frame)

    def finish(self) -> None:
        """Frames are whole or they are nothing."""

    def _read(self, frame: Frame) -> None:
        try:
            found = self._reader.read(frame.payload)
        except NotJson:
            self._is_unlike_json = True
        else:
            self._tally.note(found, frame.name.decode("latin-1"))
