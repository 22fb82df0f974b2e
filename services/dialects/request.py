"""
Requests: the few facts of a body that limits, cache rules and the log need before it is sent.

A partial decode of the fields below, never a full parse; the bytes that go to the provider are the bytes that
came. Tolerant to the last: a body that is no JSON, has another shape or is only a beginning gives fewer facts,
never an error, because judging a request is the provider's business. Where the path names the model (Gemini,
Azure, Bedrock, Replicate), the path is right and the body is not asked.
"""

from __future__ import annotations

import re
from itertools import islice

import msgspec

from services.dialects.fields import Found, NotJson
from services.dialects.formats import Format
from services.dialects.paths import format_of, is_stream_path, model_in_path
from services.dialects.shapes import ShapeReader, Values
from services.dialects.text_size import text_size_bytes

# How far into a form, or into a body of which only the beginning is here, a model's name is looked for.
_LOOK_BYTES_MAX = 65_536
_MODEL_BYTES_MAX = 256

# Of a beginning that is nothing but brackets no more are looked at: a chat's has a tenth of it.
_TOKENS_MAX = 8_192

# A model's name becomes a header, a metric's label and a part of counters' keys; no provider has a longer one.
MODEL_LENGTH_MAX = 256

# Strings and brackets are all it takes to know which members of a cut-off object are its own.
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*(:?)|[{}\[\]]|\b(true|false|\d+)\b', re.DOTALL)

_PATHS: dict[str, tuple[str, ...]] = {
    "model": ("model", "modelId", "version"),
    "stream": ("stream",),
    "tokens_out_max": (
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "max_tokens_to_sample",
        "max_gen_len",
        "generationConfig.maxOutputTokens",
        "generation_config.max_output_tokens",
        "parameters.max_new_tokens",
        "input.max_completion_tokens",
        "input.max_new_tokens",
        "input.max_tokens",
        "inferenceConfig.maxTokens",
        "textGenerationConfig.maxTokenCount",
    ),
    "answers": ("n", "generationConfig.candidateCount", "generation_config.candidate_count"),
}

_NOTHING: Values = (None,) * len(_PATHS)

# These name the model in the path; a `model` in the body is at most an echo.
_PATH_FIRST = frozenset({"google", "azure", "bedrock", "replicate"})


class RequestFacts(msgspec.Struct, frozen=True):
    """What a request says of itself. Empty or None: it does not say."""

    format: Format
    model: str = ""
    is_stream: bool = False
    tokens_out_max: int | None = None
    """Most output tokens of all answers it asks for together."""
    size_bytes: int = 0
    """Of the body, embedded files counted as what a model sees of them; of a body that streams, of its beginning."""

    @property
    def model_type(self) -> str:
        """chat, completion, embedding, response, image, audio, ... or empty."""
        return self.format.model_type


class RequestForm(msgspec.Struct, frozen=True):
    """What a request's path and content type say of it, whatever its body."""

    format: Format
    path_model: str
    is_path_first: bool
    """The path's model goes before the body's."""
    is_stream: bool
    is_multipart: bool


def request_form(dialect: str, path: str, content_type: str = "application/json") -> RequestForm:
    """The form of requests to `path` (after the provider, without query). Never raises."""
    return RequestForm(
        format_of(dialect, path),
        _bounded(model_in_path(dialect, path)),
        dialect in _PATH_FIRST,
        is_stream_path(path),
        content_type.lower().startswith("multipart/"),
    )


class RequestReader:
    """Reads requests. One for the life of the process: its decoder is made once."""

    def __init__(self) -> None:
        self._fields = ShapeReader(_PATHS)

    def read(
        self, form: RequestForm, body: bytes, *, is_prefix: bool = False, size_bytes: int | None = None
    ) -> RequestFacts:
        """
        The facts of a request. Never raises. `is_prefix`: the body streams, and these are only its first bytes;
        `size_bytes`: its text has been counted already.
        """
        is_whole = body and not (is_prefix or form.is_multipart)
        try:
            values = self._fields.read(body)[0] if is_whole else _found_in_beginning(body, form)
        except NotJson:
            values = _NOTHING
        named, stream, most, answers = values
        model = form.path_model
        if named and type(named) is str and not (model and form.is_path_first):
            model = _bounded(named)
        if type(most) is not int or most <= 0:
            most = None
        elif type(answers) is int and answers > 1:
            most *= answers
        if size_bytes is None:
            size_bytes = text_size_bytes(body)
        return RequestFacts(form.format, model, form.is_stream or stream is True, most, size_bytes)


def _found_in_beginning(body: bytes, form: RequestForm) -> Values:
    """What the beginning of a form, or of a body that streams, says."""
    beginning = body[:_LOOK_BYTES_MAX]
    found = _found_in_form(beginning) if form.is_multipart else _found_in_prefix(beginning)
    return tuple(map(found.get, _PATHS))


def _bounded(model: str) -> str:
    """The name, short enough and fit for any encoding: a path may hold octets that are no UTF-8."""
    if len(model) <= MODEL_LENGTH_MAX and model.isascii():
        return model
    return model[:MODEL_LENGTH_MAX].encode("utf-8", "replace").decode()


def _found_in_form(body: bytes) -> Found:
    """The form's `model` field, if it stands before the files, as the SDKs write it."""
    at = body.find(b'name="model"')
    begin = body.find(b"\r\n\r\n", at) + 4
    end = body.find(b"\r\n", begin)
    if at < 0 or begin < 4 or not 0 < end - begin <= _MODEL_BYTES_MAX:
        return {}
    return {"model": body[begin:end].decode("utf-8", "replace")}


def _found_in_prefix(body: bytes) -> Found:
    """The object's own members among the first bytes; what stands deeper belongs to something else."""
    found: Found = {}
    depth = 0
    name = b""
    for token in islice(_TOKEN.finditer(body), _TOKENS_MAX):
        text = token[0]
        if text in b"{[":
            depth += 1
        elif text in b"}]":
            depth -= 1
        elif depth == 1 and token[2]:
            name = token[1]
            continue
        elif depth == 1 and name:
            _note_member(name, token, found)
        if depth == 1:
            name = b""
    return found


def _note_member(name: bytes, token: re.Match[bytes], found: Found) -> None:
    if token[1] is not None and name in (b"model", b"version"):
        found.setdefault("model", token[1].decode("utf-8", "replace"))
    elif token[3] is None:
        return
    elif name == b"stream":
        found["stream"] = token[3] == b"true"
    elif name in (b"max_tokens", b"max_completion_tokens", b"max_output_tokens") and token[3].isdigit():
        found.setdefault("tokens_out_max", int(token[3]))
