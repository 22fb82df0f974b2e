"""
Questions: a request as the answers see it, and the text they make from it.

Everything in an answer comes from here: ids and times from the request's own hash, words from a fixed list, token
counts by counting words. The same question therefore gets the same bytes, on any machine, for ever. One word of
output is one token, so a test that asks for ten words knows what will be counted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from services.simulator.knobs import Knobs

WORDS_DEFAULT: Final = 12

# 32 of them, so that a byte of the hash picks each equally often.
_WORDS: Final = (
    *("water", "strait", "tide", "harbor", "pilot", "current", "narrow", "passage"),
    *("vessel", "signal", "lantern", "channel", "anchor", "compass", "sail", "keel"),
    *("north", "wind", "steady", "course", "depth", "shoal", "beacon", "chart"),
    *("cargo", "deck", "rope", "mast", "crew", "watch", "dawn", "gull"),
)

_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Question:
    """A request: its JSON body, the knobs that shape its answer, and the hash that ids are made of."""

    body: dict[str, Any]
    knobs: Knobs
    digest: bytes

    @property
    def model(self) -> str:
        model = self.body.get("model")
        return model if isinstance(model, str) and model else "simulator-small"

    @property
    def created(self) -> int:
        """A moment in the summer of 2025 or after: fixed by the request, not by the clock."""
        return 1_750_000_000 + int.from_bytes(self.digest[:3], "big")

    def identifier(self, prefix: str) -> str:
        """An id of that kind."""
        return prefix + self.digest.hex()[:24]

    def text(self, tokens_max: object = None) -> Text:
        """The words of the answer. The client's own bound holds unless the words are asked for."""
        words = self.knobs.words or max(WORDS_DEFAULT, self.knobs.chunks or 0)
        is_cut = False
        if self.knobs.words is None and type(tokens_max) is int and 0 < tokens_max < words:
            words, is_cut = tokens_max, True
        picks = hashlib.shake_256(self.digest).digest(words)
        return Text(tuple(_WORDS[pick % len(_WORDS)] for pick in picks), self.knobs.chunks or words, is_cut)


@dataclass(frozen=True, slots=True)
class Text:
    """The generated words, and in how many pieces a stream brings them."""

    words: tuple[str, ...]
    chunks: int
    is_cut: bool

    @property
    def whole(self) -> str:
        return " ".join(self.words)

    @property
    def tokens(self) -> int:
        return len(self.words)

    def pieces(self) -> Iterator[str]:
        """Exactly `chunks` pieces that make up the whole: by words while there are enough, then by characters."""
        units = [self.words[0], *(" " + word for word in self.words[1:])]
        if self.chunks > len(units):
            units = list(self.whole)
        begin = 0
        for piece in range(1, self.chunks + 1):
            end = len(units) * piece // self.chunks
            yield "".join(units[begin:end])
            begin = end


def question_of(path: str, body: bytes, fields: dict[str, Any], knobs: Knobs) -> Question:
    """`path` is the one without `v1/`: it and the body decide."""
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape") + b"\n" + body).digest()
    return Question(fields, knobs, digest)


def tokens_in(*parts: Any) -> int:  # whatever JSON the client sent
    """Words and punctuation marks in all the text of these; at least one."""
    return max(1, sum(len(_TOKEN.findall(text)) for part in parts for text in _texts(part)))


def _texts(part: Any) -> Iterator[str]:  # whatever JSON the client sent
    """The strings that are text: messages' contents, however deep, but neither roles nor embedded files."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        for item in part:
            yield from _texts(item)
    elif isinstance(part, dict):
        for key in ("content", "text", "input", "arguments"):
            yield from _texts(part.get(key))
