"""Embeddings: a unit vector per input, made of the input's own hash, as numbers or as packed floats in base64."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Any, Final

from services.simulator.answers.answer import Answer, whole
from services.simulator.answers.question import Question, tokens_in

DIMENSIONS_DEFAULT: Final = 256
DIMENSIONS_MAX: Final = 4_096
INPUTS_MAX: Final = 2_048


def embedding(question: Question) -> Answer:
    """`embeddings`."""
    inputs = _inputs(question.body.get("input"))
    wanted = question.body.get("dimensions")
    dimensions = min(wanted, DIMENSIONS_MAX) if isinstance(wanted, int) and wanted > 0 else DIMENSIONS_DEFAULT
    is_packed = question.body.get("encoding_format") == "base64"
    vectors = [_vector(repr(part), dimensions) for part in inputs]
    count = sum(len(part) if isinstance(part, list) else tokens_in(part) for part in inputs)
    items = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if is_packed else vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": count, "total_tokens": count}
    return whole({"object": "list", "data": items, "model": question.model, "usage": usage})


def _inputs(given: Any) -> list[Any]:  # whatever JSON the client sent
    """One text, several texts, one list of token ids or several."""
    is_several = isinstance(given, list) and given and not isinstance(given[0], int)
    return given[:INPUTS_MAX] if is_several else [given]


def _vector(text: str, dimensions: int) -> list[float]:
    raw = [byte - 127.5 for byte in hashlib.shake_256(text.encode("utf-8", "replace")).digest(dimensions)]
    length = math.sqrt(sum(value * value for value in raw))
    return [round(value / length, 8) for value in raw]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
