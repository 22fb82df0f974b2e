"""Tokens of answers of every dialect and vendor shape, whole and streamed, plain and coded, in any pieces."""

from __future__ import annotations

import gzip
import json
from typing import Any

import brotli
import pytest
import zstandard

from services.dialects.usage import UsageReaders
from tests.unit.dialects.reading import JSON, SSE, counts, facts, read, sse

CHAT = ("openai", "chat/completions")
RESPONSES = ("openai", "responses")
MESSAGES = ("anthropic", "v1/messages")
GENERATE = ("google", "v1beta/models/gemini-2.5-flash:generateContent")
TGI = ("huggingface", "gpt2")
PREDICTIONS = ("replicate", "predictions")


def said(text: str | None, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more}


OPENAI_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 30,
    "total_tokens": 130,
    "prompt_tokens_details": {"cached_tokens": 60},
    "completion_tokens_details": {"reasoning_tokens": 12},
}
COUNTED = (100, 30, 60, None, 12)
FINISHED = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

CHAT_STREAMS = {
    "usage in a last chunk without choices": [said("Hi", usage=None), FINISHED, {"choices": [], "usage": OPENAI_USAGE}],
    "usage in the finishing chunk": [said("Hi"), {**FINISHED, "usage": OPENAI_USAGE}],
    "usage in a last chunk with text": [said("Hi"), said("!", usage=OPENAI_USAGE)],
    "usage growing in each chunk": [
        said("a", usage={**OPENAI_USAGE, "completion_tokens": 1}),
        said("b", usage={**OPENAI_USAGE, "completion_tokens": 17}),
        said("c", usage=OPENAI_USAGE),
    ],
    "usage, then zeros": [
        said("Hi", usage=OPENAI_USAGE),
        {**FINISHED, "usage": dict.fromkeys(("prompt_tokens", "completion_tokens"), 0)},
    ],
    "usage, then null": [said("Hi", usage=OPENAI_USAGE), {**FINISHED, "usage": None}],
    "usage in a vendor's own object": [said("Hi"), {**FINISHED, "x_groq": {"usage": OPENAI_USAGE}}],
    "usage in the choice": [said("Hi"), {"choices": [{"delta": {}, "finish_reason": "stop", "usage": OPENAI_USAGE}]}],
    "usage as floats": [{"choices": [], "usage": {**OPENAI_USAGE, "prompt_tokens": 100.0}}],
    "content in parts": [
        {"choices": [{"delta": {"content": [{"type": "text", "text": "x"}]}}]},
        {**FINISHED, "usage": OPENAI_USAGE},
    ],
    "an odd member in between": [{"choices": "none", "usage": []}, {**FINISHED, "usage": OPENAI_USAGE}],
}


@pytest.mark.parametrize("shape", CHAT_STREAMS)
def test_every_vendors_shape_of_a_chat_stream_is_counted(shape: str) -> None:
    usage = read(CHAT, sse(*CHAT_STREAMS[shape], done=True), SSE)

    assert counts(usage) == COUNTED
    assert usage.source == "provider"
    assert usage.is_terminal_seen


WHOLE: list[tuple[str, tuple[str, str], Any, tuple[int | None, ...], str]] = [
    ("chat", CHAT, {"model": "gpt-4o-2024", "choices": [], "usage": OPENAI_USAGE}, COUNTED, "gpt-4o-2024"),
    (
        "chat of a vendor that counts cache hits apart",
        CHAT,
        {"usage": {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 5}},
        (9, 1, 5, None, None),
        "",
    ),
    (
        "chat of a vendor that leaves reasoning out of the output",
        CHAT,
        {"usage": {**OPENAI_USAGE, "total_tokens": 142}},
        (100, 42, 60, None, 12),
        "",
    ),
    (
        "completion",
        ("openai", "completions"),
        {"usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        (3, 4, None, None, None),
        "",
    ),
    (
        "embeddings",
        ("openai", "embeddings"),
        {"usage": {"prompt_tokens": 8, "total_tokens": 8}},
        (8, 0, None, None, None),
        "",
    ),
    (
        "responses",
        RESPONSES,
        {
            "model": "gpt-5",
            "status": "completed",
            "usage": {
                "input_tokens": 50,
                "output_tokens": 20,
                "input_tokens_details": {"cached_tokens": 40},
                "output_tokens_details": {"reasoning_tokens": 8},
            },
        },
        (50, 20, 40, None, 8),
        "gpt-5",
    ),
    (
        "messages",
        MESSAGES,
        {
            "model": "claude-sonnet-5",
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 100,
                "cache_read_input_tokens": 1000,
                "output_tokens": 7,
            },
        },
        (1110, 7, 1000, 100, None),
        "claude-sonnet-5",
    ),
    (
        "generateContent",
        GENERATE,
        {
            "modelVersion": "gemini-2.5-flash-001",
            "usageMetadata": {
                "promptTokenCount": 20,
                "toolUsePromptTokenCount": 5,
                "candidatesTokenCount": 6,
                "thoughtsTokenCount": 30,
                "cachedContentTokenCount": 12,
            },
        },
        (25, 36, 12, None, 30),
        "gemini-2.5-flash-001",
    ),
    (
        "text generation",
        TGI,
        [{"generated_text": "x", "details": {"generated_tokens": 5, "input_length": 3}}],
        (3, 5, None, None, None),
        "",
    ),
    (
        "prediction",
        PREDICTIONS,
        {"status": "succeeded", "metrics": {"input_token_count": 11, "output_token_count": 22}},
        (11, 22, None, None, None),
        "",
    ),
    (
        "cohere chat",
        ("cohere", "v2/chat"),
        {"usage": {"billed_units": {"input_tokens": 4, "output_tokens": 9}, "tokens": {"input_tokens": 70}}},
        (4, 9, None, None, None),
        "",
    ),
    (
        "converse",
        ("bedrock", "model/amazon.nova-lite-v1:0/converse"),
        {"usage": {"inputTokens": 4, "outputTokens": 9, "cacheReadInputTokens": 6}},
        (10, 9, 6, None, None),
        "",
    ),
    (
        "invoke of a Titan model",
        ("bedrock", "model/amazon.titan/invoke"),
        {"inputTextTokenCount": 5, "results": [{"tokenCount": 6, "outputText": "x"}]},
        (5, 6, None, None, None),
        "",
    ),
    (
        "Workers AI",
        ("workers-ai", "@cf/meta/llama"),
        {"result": {"response": "x", "usage": {"prompt_tokens": 2, "completion_tokens": 3}}},
        (2, 3, None, None, None),
        "",
    ),
]


@pytest.mark.parametrize(
    ("where", "answer", "counted", "model"), [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE]
)
def test_a_whole_answer_is_counted(
    where: tuple[str, str], answer: Any, counted: tuple[int | None, ...], model: str
) -> None:
    usage = read(where, json.dumps(answer).encode())

    assert (counts(usage), usage.source, usage.model) == (counted, "provider", model)
    assert usage.is_terminal_seen


STREAMS: list[tuple[str, tuple[str, str], bytes, tuple[int | None, ...]]] = [
    (
        "messages",
        MESSAGES,
        sse(
            {
                "type": "message_start",
                "message": {
                    "model": "claude",
                    "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1},
                },
            },
            {"type": "ping"},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 12}},
            {"type": "message_stop"},
        ),
        (100, 12, 90, None, None),
    ),
    (
        "messages with input only at the end",
        MESSAGES,
        sse(
            {"type": "message_start", "message": {"usage": {"input_tokens": 0, "output_tokens": 0}}},
            {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 33, "output_tokens": 12}},
            {"type": "message_stop"},
        ),
        (33, 12, None, None, None),
    ),
    (
        "responses",
        RESPONSES,
        sse(
            {"type": "response.created", "response": {"model": "gpt-5", "usage": None, "error": None}},
            {"type": "response.output_text.delta", "delta": "Hi"},
            {"type": "response.completed", "response": {"usage": {"input_tokens": 5, "output_tokens": 6}}},
        ),
        (5, 6, None, None, None),
    ),
    (
        "generateContent",
        GENERATE,
        sse(
            {"candidates": [{"content": {"parts": [{"text": "H"}]}}], "usageMetadata": {"promptTokenCount": 7}},
            {
                "candidates": [{"content": {"parts": [{"text": "i"}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2},
            },
        ),
        (7, 2, None, None, None),
    ),
    (
        "text generation",
        TGI,
        sse(
            {"token": {"text": "H"}, "generated_text": None, "details": None},
            {
                "token": {"text": "i"},
                "generated_text": "Hi",
                "details": {"generated_tokens": 2, "input_length": 4, "finish_reason": "length"},
            },
        ),
        (4, 2, None, None, None),
    ),
    (
        "cohere chat",
        ("cohere", "v2/chat"),
        sse(
            {"type": "content-delta", "delta": {"message": {"content": {"text": "Hi"}}}},
            {
                "type": "message-end",
                "delta": {
                    "finish_reason": "COMPLETE",
                    "usage": {"billed_units": {"input_tokens": 3, "output_tokens": 2}},
                },
            },
        ),
        (3, 2, None, None, None),
    ),
]


@pytest.mark.parametrize(("where", "stream", "counted"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
@pytest.mark.parametrize("size", [1, 50, 100_000])
def test_a_stream_is_counted_in_pieces_of_any_size(
    where: tuple[str, str], stream: bytes, counted: tuple[int | None, ...], size: int
) -> None:
    reader = UsageReaders().open(facts(*where), content_type=f"{SSE}; charset=utf-8")

    for at in range(0, len(stream), size):
        reader.feed(stream[at : at + size])

    assert reader.is_terminal_seen
    assert not reader.is_malformed
    usage = reader.finish()
    assert (counts(usage), usage.source) == (counted, "provider")
    assert reader.finish() is usage


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.compress)]
)
def test_a_coded_answer_is_counted(coding: str, compress: Any) -> None:
    whole = json.dumps({"usage": OPENAI_USAGE}).encode()
    stream = sse(*CHAT_STREAMS["usage in the finishing chunk"], done=True)

    assert counts(read(CHAT, compress(whole), content_encoding=coding)) == COUNTED
    assert counts(read(CHAT, compress(stream), SSE, content_encoding=coding)) == COUNTED


def test_a_gemini_stream_that_is_one_array_is_counted_by_its_last_item() -> None:
    items = [
        {"candidates": [{"content": {"parts": [{"text": "H"}]}}], "usageMetadata": {"promptTokenCount": 7}},
        {"candidates": [{}], "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3}},
    ]

    usage = read(GENERATE, json.dumps(items).encode())

    assert counts(usage) == (7, 3, None, None, None)


def test_text_generation_counts_stand_in_headers_too() -> None:
    headers = [(b"X-Prompt-Tokens", b"6"), (b"x-generated-tokens", b"20")]

    usage = read(TGI, b'[{"generated_text":"x"}]', headers=headers)

    assert (counts(usage)[:2], usage.source) == ((6, 20), "provider")


def test_a_stream_without_usage_is_estimated_from_its_text() -> None:
    stream = sse(said("x" * 40), said("y" * 40), FINISHED, done=True)

    usage = read(CHAT, stream, SSE)

    assert (usage.tokens_in, usage.tokens_out, usage.source) == (10, 20, "estimated")


def test_tool_calls_and_reasoning_are_text_too() -> None:
    call = {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "x" * 60}}]}}]}
    thought = {"choices": [{"delta": {"reasoning_content": "y" * 40}}]}

    usage = read(CHAT, sse(call, thought), SSE)

    assert usage.tokens_out is not None
    assert usage.tokens_out >= 25


def test_the_ratio_is_learned_from_answers_that_do_report() -> None:
    readers = UsageReaders()
    reporting = sse(said("x" * 200), {**FINISHED, "usage": {"prompt_tokens": 18, "completion_tokens": 100}})
    silent = sse(said("x" * 200), FINISHED)

    for stream in (reporting, silent):
        reader = readers.open(facts(*CHAT), content_type=SSE)
        reader.feed(stream)
        usage = reader.finish()

    assert (usage.tokens_in, usage.tokens_out, usage.source) == (18, 100, "estimated")


def test_a_cut_stream_is_estimated_as_far_as_it_came() -> None:
    stream = sse(
        {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x" * 80}},
    )
    reader = UsageReaders().open(facts(*MESSAGES), content_type=SSE)

    reader.feed(stream + b'data: {"type":"content_block_de')

    usage = reader.finish()
    assert (usage.tokens_in, usage.tokens_out, usage.source) == (10, 20, "estimated")
    assert not usage.is_terminal_seen
    assert not reader.is_malformed


@pytest.mark.parametrize(
    ("where", "content_type", "answer"),
    [
        (("openai", "files"), JSON, b'{"usage":{"prompt_tokens":3}}'),
        (("openai", "audio/speech"), "audio/mpeg", b"\xff\xfb"),
        (("plain", "x"), JSON, b"{}"),
        (PREDICTIONS, JSON, b'{"status":"starting"}'),
        (PREDICTIONS, JSON, b'{"status":"succeeded","output":"https://..."}'),
        (RESPONSES, JSON, b'{"status":"queued","usage":null}'),
        (("huggingface", "org/image-model"), "image/png", b"\x89PNG"),
    ],
)
def test_what_cannot_be_known_is_none(where: tuple[str, str], content_type: str, answer: bytes) -> None:
    usage = read(where, answer, content_type)

    assert (counts(usage), usage.source) == ((None,) * 5, "none")


def test_an_error_has_no_usage() -> None:
    usage = read(CHAT, b'{"error":{"message":"no"}}', status=429)

    assert (counts(usage), usage.source, usage.is_error) == ((None,) * 5, "none", True)


def test_a_request_without_a_body_is_not_estimated() -> None:
    reader = UsageReaders().open(facts(*CHAT, b""), content_type=JSON)
    reader.feed(b'{"object":"list","data":[]}')

    assert reader.finish().source == "none"


@pytest.mark.parametrize(
    ("where", "stream"),
    [
        (CHAT, b'data: {"error":{"message":"overloaded"}}\n\n'),
        (MESSAGES, b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'),
        (RESPONSES, b'event: error\ndata: {"type":"error","code":"x","message":"y"}\n\n'),
        (RESPONSES, b'data: {"type":"response.failed","response":{"error":{"code":"x"}}}\n\n'),
        (GENERATE, b'data: {"error":{"code":503}}\n\n'),
        (TGI, b'data: {"error":"oom","error_type":"generation"}\n\n'),
        (PREDICTIONS, b"event: error\ndata: it broke\n\n"),
    ],
)
def test_an_error_event_is_seen(where: tuple[str, str], stream: bytes) -> None:
    reader = UsageReaders().open(facts(*where), content_type=SSE)

    reader.feed(stream)

    assert reader.is_error
    assert not reader.is_malformed


@pytest.mark.parametrize("payload", [b'{"choices":', b"not json", b"{]", b'{"a":1}}'])
def test_an_event_that_is_not_json_is_malformed(payload: bytes) -> None:
    reader = UsageReaders().open(facts(*CHAT), content_type=SSE)
    reader.feed(b"data: {}\n\n")
    assert not reader.is_malformed

    reader.feed(b"data: " + payload + b"\n\n")

    assert reader.is_malformed


@pytest.mark.parametrize("payload", [b"[DONE]", b" [DONE] ", b"", b"{}", b"[]", b"null", b'"x"'])
def test_an_event_that_is_json_or_the_end_mark_is_fine(payload: bytes) -> None:
    reader = UsageReaders().open(facts(*CHAT), content_type=SSE)

    reader.feed(b": comment\n\nevent: x\ndata: " + payload + b"\n\n")

    assert not reader.is_malformed
    assert reader.is_terminal_seen == (payload.strip() == b"[DONE]")


def test_a_prediction_stream_is_plain_text_until_done() -> None:
    reader = UsageReaders().open(facts(*PREDICTIONS), content_type=SSE)

    reader.feed(b"event: output\nid: 1\ndata: {not json\n\nevent: done\ndata: {}\n\n")

    assert not reader.is_malformed
    assert reader.is_terminal_seen


@pytest.mark.parametrize(("where", "reason"), [(CHAT, "stop"), (CHAT, "length")])
def test_a_finish_reason_is_an_end(where: tuple[str, str], reason: str) -> None:
    reader = UsageReaders().open(facts(*where), content_type=SSE)
    reader.feed(sse({"choices": [{"delta": {}, "finish_reason": ""}]}))
    assert not reader.is_terminal_seen

    reader.feed(sse({"choices": [{"delta": {}, "finish_reason": reason}]}))

    assert reader.is_terminal_seen


def test_a_document_is_at_its_end_when_it_can_be_read() -> None:
    whole = UsageReaders().open(facts(*CHAT), content_type=JSON)
    whole.feed(b'{"choices":[]}')
    cut = UsageReaders().open(facts(*CHAT), content_type=JSON)
    cut.feed(b'{"choices":[')

    assert whole.is_terminal_seen
    assert not cut.is_terminal_seen


@pytest.mark.parametrize("is_usage_first", [True, False])
def test_a_document_beyond_its_bound_is_searched_at_both_ends(is_usage_first: bool) -> None:
    usage = b'"usage": {"prompt_tokens": 9, "total_tokens": 9}'
    vectors = b'"data": [' + b"0.123456789," * 800_000 + b"0]"
    document = b"{" + (usage + b"," + vectors if is_usage_first else vectors + b"," + usage) + b"}"
    reader = UsageReaders().open(facts("openai", "embeddings"), content_type=JSON)

    for at in range(0, len(document), 65_536):
        reader.feed(document[at : at + 65_536])

    assert counts(reader.finish()) == (9, 0, None, None, None)


def test_embedded_files_count_as_what_a_model_sees_of_them() -> None:
    url = b'{"model":"m","messages":[{"url":"data:image/png;base64,' + b"A" * 400_000 + b'"},{"text":"hi"}]}'
    member = b'{"source":{"type":"base64","data": "' + b"A" * 400_000 + b'"}}'

    assert facts(*CHAT, url).size_bytes < 5_000
    assert facts(*MESSAGES, member).size_bytes < 5_000


def test_what_opens_a_reader_is_remembered_and_bounded() -> None:
    readers = UsageReaders()
    for number in range(600):
        reader = readers.open(facts(*CHAT), content_type=f"application/json; n={number}")
        reader.feed(json.dumps({"usage": OPENAI_USAGE}).encode())
        assert counts(reader.finish()) == COUNTED

    assert len(readers._bodies) <= 256


@pytest.mark.parametrize("kind", [{"a": 1}, ["error"], 5])
def test_a_type_or_status_that_is_no_text_says_nothing(kind: object) -> None:
    assert not read(RESPONSES, sse({"type": "x"}).replace(b'"x"', json.dumps(kind).encode()), SSE).is_terminal_seen
    assert read(RESPONSES, json.dumps({"status": kind, "usage": {"input_tokens": 1}}).encode()).tokens_in == 1


def test_a_documents_size_is_what_came_however_much_of_it_is_kept() -> None:
    reader = UsageReaders().open(facts(*CHAT), content_type=JSON)
    for _ in range(40):
        reader.feed(b"x" * 500_000)

    assert reader.finish().tokens_out == 40 * 500_000 // 4


@pytest.mark.parametrize(
    ("count", "tokens_in"),
    [
        ("0", 0),
        ("160.0", 160),
        ("1e3", 1000),
        ("1000000000000", 1_000_000_000_000),
        ("1000000000001", None),
        ("99999999999999999999999999", None),
        ("-1", None),
        ("0.5", None),
        ("true", None),
        ('"7"', None),
        ("[7]", None),
        ("null", None),
    ],
)
def test_a_count_is_a_whole_number_from_0_up(count: str, tokens_in: int | None) -> None:
    usage = read(("rerank", "v1/images/generations"), f'{{"usage":{{"input_tokens":{count}}}}}'.encode())

    assert usage.tokens_in == tokens_in
