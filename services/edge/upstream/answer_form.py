"""
Answer form: the head of a provider's answers, and how the next answer with such a head is read without parsing it.

A provider writes the same lines before each of its answers; a date, an id or a length is all that differs. So an
origin keeps the forms of the answers that were parsed, and a whole answer that comes in one segment is compared with
them: the lines that decide something (status, connection, content type and the like) octet for octet, the others by
the spelling of their names. What the parser would find cannot differ then, and is not looked for again.

Hazard: whoever sees the end of an answer elsewhere than the provider gives one client the answer of another. So only
what cannot be read in two ways is taken for the same: HTTP/1.1, one `Content-Length` in plain digits that is exactly
what came, each line as `Name: value`, no control octet but the line ends. Whatever else comes is parsed
(docs/decisions/0016).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING

from services.edge.upstream.answer import UpstreamAnswer

if TYPE_CHECKING:
    from services.edge.headers import KeptForm

LINES_MAX = 64
"""Of a head that is remembered. It also bounds how many are: there is one for each number of lines."""
MISFITS_PER_FORM = 8
"""A form gives way to every eighth answer that it does not fit, so that answers of many forms cost little more."""
_HEAD_BYTES_MAX = 16 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_CONTROLS = bytes(range(32)) + b"\x7f"
_LENGTH = b"content-length"
_DECIDING = frozenset(
    (
        b"connection",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"keep-alive",
        b"proxy-connection",
        b"trailer",
        b"upgrade",
    )
)
"""Headers whose values somebody here decides by. Of the others only the names matter, or each value is looked at."""
_BODILESS = frozenset((101, 204, 304))
_is_begun_by: Callable[[bytes, bytes], bool] = bytes.startswith
_slice_of: Callable[[bytes, slice], bytes] = bytes.__getitem__


class AnswerForm:
    """One kind of head. `kept`: what the edge makes of it, worked out once."""

    __slots__ = (
        "_before_length",
        "_beginnings",
        "_controls_bytes",
        "_fixed",
        "_fixed_of",
        "_length_at",
        "_names",
        "_values",
        "kept",
        "reason",
        "status",
    )

    def __init__(self, answer: UpstreamAnswer, lines: list[bytes], *, length_at: int) -> None:
        """`lines`: of its head, from the status line to the empty piece behind the last line's end."""
        fixed = [0, *(at for at, (name, _) in enumerate(answer.headers, 1) if name.lower() in _DECIDING)]
        self.status = answer.status
        self.reason = answer.reason
        self.kept: KeptForm | None = None
        self._names = [name for name, _ in answer.headers]
        self._beginnings = [lines[0], *(name + b": " for name in self._names), b""]
        self._values = [slice(len(name) + 2, None) for name in self._names]
        self._length_at = length_at
        self._before_length = self._beginnings[length_at]
        self._controls_bytes = 2 * (len(lines) - 1)
        # The empty last piece is there so that these are two at least, and a tuple comes of them.
        self._fixed_of = itemgetter(*fixed, len(lines) - 1)
        self._fixed = self._fixed_of(lines)

    def is_form_of(self, head: bytes, lines: list[bytes], size_bytes: int) -> bool:
        """Whether the parser would find the same in this answer, but for values that decide nothing."""
        return (
            self._fixed_of(lines) == self._fixed
            and lines[self._length_at] == b"%b%d" % (self._before_length, size_bytes)
            and all(map(_is_begun_by, lines, self._beginnings))
            and len(head) - len(head.translate(None, _CONTROLS)) == self._controls_bytes
            and b" \r\n" not in head
            and b":  " not in head
        )

    def headers(self, lines: list[bytes]) -> list[tuple[bytes, bytes]]:
        """What the parser would find in a head of this form."""
        return list(zip(self._names, map(_slice_of, lines[1:], self._values), strict=False))


KnownHead = tuple[AnswerForm, list[bytes]]
"""A head that was recognised: its form and its lines, from the status line to an empty piece behind the last one."""


class AnswerForms:
    """The forms of one origin, one for each number of lines."""

    __slots__ = ("_forms", "_misfits")

    def __init__(self) -> None:
        self._forms: dict[int, AnswerForm] = {}
        self._misfits = 0

    def read(self, segment: bytes, answer: UpstreamAnswer) -> bool:
        """Fill the answer, if this segment is the whole of it and has a form that is known."""
        end = segment.find(_END_OF_HEAD, 0, _HEAD_BYTES_MAX)
        head = segment[: end + 2]
        lines = head.split(b"\r\n")
        form = self._forms.get(len(lines))
        size_bytes = len(segment) - end - 4
        if form is None or end < 0 or not form.is_form_of(head, lines, size_bytes):
            return False
        answer.status = form.status
        answer.reason = form.reason
        answer.known_head = form, lines
        answer.is_finished = True
        if size_bytes:
            answer.parts.append(segment[end + 4 :])
        return True

    def learn(self, segment: bytes, answer: UpstreamAnswer) -> None:
        """Remember the form of an answer that was all in this segment and nothing else with it, as the parser says."""
        end = segment.find(_END_OF_HEAD, 0, _HEAD_BYTES_MAX)
        lines = segment[: end + 2].split(b"\r\n")
        if len(lines) in self._forms:
            self._misfits += 1
            if self._misfits % MISFITS_PER_FORM:
                return
        expected = [b"HTTP/1.1 %d %b" % (answer.status, answer.reason), *map(b"%b: %b".__mod__, answer.headers), b""]
        names = [name.lower() for name, _ in answer.headers]
        is_plain = lines == expected and names.count(_LENGTH) == 1 and answer.status not in _BODILESS
        if end < 0 or not answer.reason or not is_plain or b"transfer-encoding" in names or len(lines) > LINES_MAX:
            return
        form = AnswerForm(answer, lines, length_at=names.index(_LENGTH) + 1)
        if form.is_form_of(segment[: end + 2], lines, len(segment) - end - 4):
            self._forms[len(lines)] = form
