"""
Recordings: exchanges with every provider whose usage Narrows reads, and what a provider that counted so means.

All input counts, with what the prompt cache served or kept as parts of it; all output counts, with its reasoning.
A request names the recording it wants in the header `x-recording`.
"""

from __future__ import annotations

from tests.fakes.providers import shapes
from tests.fakes.providers.failures import FAILING, REFUSING
from tests.fakes.providers.recording import (
    CHAT,
    CHAT_STREAM,
    CLAUDE,
    CONTENT,
    GEMINI,
    GPT,
    MESSAGE,
    Counts,
    Recording,
)
from tests.fakes.providers.server import Canned, Recorded, document, events
from tests.fakes.providers.vendor_recordings import VENDORS


def answer(request: Recorded, url: str) -> Canned | None:
    """The recording that the request asks for."""
    return ANSWERS.get(request.header("x-recording"))


OPENAI = (
    Recording(
        "chat",
        "openai",
        "chat/completions",
        CHAT,
        shapes.chat(usage=shapes.chat_usage(1117, 46, cached=1024, reasoning=32)),
        Counts(1117, 46, 1024, None, 32),
        "gpt-5-mini-2025-08-07",
        GPT,
    ),
    Recording(
        "chat stream",
        "openai",
        "v1/chat/completions",
        CHAT_STREAM,
        shapes.chat_stream(usage=shapes.chat_usage(31, 19, reasoning=7)),
        Counts(31, 19, 0, None, 7),
        "gpt-5-mini-2025-08-07",
        GPT,
    ),
    Recording(
        "chat stream with a tool",
        "openai",
        "chat/completions",
        CHAT_STREAM,
        shapes.chat_stream(usage=shapes.chat_usage(88, 23, cached=64), deltas=shapes.tool_deltas()),
        Counts(88, 23, 64, None, 0),
        "gpt-5-mini-2025-08-07",
        GPT,
    ),
    Recording(
        "completion",
        "openai",
        "completions",
        {"model": "gpt-3.5-turbo-instruct", "prompt": "Where to?"},
        shapes.completion({"prompt_tokens": 5, "completion_tokens": 17, "total_tokens": 22}),
        Counts(5, 17),
        "gpt-3.5-turbo-instruct:20230824-v2",
        ("openai", "gpt-3.5-turbo-instruct"),
    ),
    Recording(
        "completion stream",
        "openai",
        "completions",
        {"model": "gpt-3.5-turbo-instruct", "prompt": "Where to?", "stream": True},
        shapes.completion_stream({"prompt_tokens": 5, "completion_tokens": 18, "total_tokens": 23}),
        Counts(5, 18),
        "gpt-3.5-turbo-instruct:20230824-v2",
        ("openai", "gpt-3.5-turbo-instruct"),
    ),
    Recording(
        "embeddings",
        "openai",
        "embeddings",
        {"model": "text-embedding-3-small", "input": "Where to?"},
        shapes.embeddings(2048),
        Counts(2048, 0),
        "text-embedding-3-small",
        ("openai", "text-embedding-3-small"),
    ),
    Recording(
        "response",
        "openai",
        "responses",
        {"model": "gpt-5-mini", "input": "Where to?"},
        document(shapes.response(status="completed", usage=shapes.response_usage(75, 1186, cached=64, reasoning=1024))),
        Counts(75, 1186, 64, None, 1024),
        "gpt-5-mini-2025-08-07",
        GPT,
    ),
    Recording(
        "response stream",
        "openai",
        "v1/responses",
        {"model": "gpt-5-mini", "input": "Where to?", "stream": True},
        shapes.response_stream(shapes.response_usage(37, 211, reasoning=192)),
        Counts(37, 211, 0, None, 192),
        "gpt-5-mini-2025-08-07",
        GPT,
    ),
    Recording(
        "chat that speaks",
        "openai",
        "chat/completions",
        {**CHAT, "model": "gpt-audio", "modalities": ["text", "audio"]},
        shapes.chat(usage=shapes.chat_usage(140, 220, audio_in=100, audio_out=180), model="gpt-audio-2025-08-28"),
        Counts(140, 220, 0, None, 0),
        "gpt-audio-2025-08-28",
        ("openai", "gpt-audio"),
        parts={"input_audio_tokens": 100, "output_audio_tokens": 180},
    ),
    Recording(
        "groq stream",
        "groq",
        "chat/completions",
        {**CHAT, "model": "llama-3.1-8b-instant", "stream": True},
        shapes.chat_stream(
            model="llama-3.1-8b-instant",
            last={
                "x_groq": {"id": "req_1", "usage": {"prompt_tokens": 40, "completion_tokens": 15, "total_tokens": 55}}
            },
        ),
        Counts(40, 15),
        "llama-3.1-8b-instant",
        ("groq", "llama-3.1-8b-instant"),
    ),
)
ANTHROPIC = (
    Recording(
        "message",
        "anthropic",
        "v1/messages",
        MESSAGE,
        shapes.message(shapes.message_usage(12, 503, read=2051, write=188)),
        Counts(12 + 2051 + 188, 503, 2051, 188),
        "claude-sonnet-4-5-20250929",
        CLAUDE,
    ),
    Recording(
        "message stream",
        "anthropic",
        "v1/messages",
        {**MESSAGE, "stream": True},
        shapes.message_stream(shapes.message_usage(25, 1, read=900), output_tokens=21),
        Counts(25 + 900, 21, 900, 0),
        "claude-sonnet-4-5-20250929",
        CLAUDE,
    ),
    Recording(
        "message with searches, kept for an hour",
        "anthropic",
        "v1/messages",
        MESSAGE,
        shapes.message(shapes.message_usage(12, 60, write=1500, write_long=1200, searches=2)),
        Counts(12 + 1500, 60, 0, 1500),
        "claude-sonnet-4-5-20250929",
        CLAUDE,
        parts={"cache_write_1h_tokens": 1200, "web_searches": 2},
    ),
    Recording(
        "message stream with thinking",
        "anthropic",
        "v1/messages",
        {**MESSAGE, "stream": True, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        shapes.message_stream(shapes.message_usage(52, 4), output_tokens=310, thought="The tide turns at six. " * 40),
        Counts(52, 310, 0, 0),
        "claude-sonnet-4-5-20250929",
        CLAUDE,
    ),
)
GOOGLE = (
    Recording(
        "content",
        "google-ai-studio",
        "v1beta/models/gemini-2.5-flash:generateContent",
        CONTENT,
        document(shapes.content(shapes.TEXT, shapes.content_usage(2207, 20, thoughts=155, cached=2048))),
        Counts(2207, 175, 2048, None, 155),
        "gemini-2.5-flash",
        GEMINI,
    ),
    Recording(
        "content events",
        "google-ai-studio",
        "v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        CONTENT,
        events(shapes.content_chunks(9, 28, thoughts=33), end="\r\n\r\n"),
        Counts(9, 61, None, None, 33),
        "gemini-2.5-flash",
        GEMINI,
    ),
    Recording(
        "content of a recording",
        "google-ai-studio",
        "v1beta/models/gemini-2.5-flash:generateContent",
        CONTENT,
        document(shapes.content(shapes.TEXT, shapes.content_usage(1000, 20, audio_in=900))),
        Counts(1000, 20),
        "gemini-2.5-flash",
        GEMINI,
        parts={"input_audio_tokens": 900},
    ),
    Recording(
        "content array",
        "google-ai-studio",
        "v1beta/models/gemini-2.5-flash:streamGenerateContent",
        CONTENT,
        shapes.content_array(shapes.content_chunks(4100, 28, thoughts=0, cached=4096)),
        Counts(4100, 28, 4096),
        "gemini-2.5-flash",
        GEMINI,
    ),
)
TGI = {"inputs": "Where to?", "parameters": {"details": True}}
HUGGINGFACE = (
    Recording(
        "generation",
        "huggingface",
        "org/model",
        TGI,
        document([{"generated_text": shapes.TEXT, "details": shapes.generation_details(6, 16)}]),
        Counts(6, 16),
        "org/model",
    ),
    Recording(
        "generation counted by headers",
        "custom-tgi",
        "models/org/model",
        {"inputs": "Where to?"},
        document([{"generated_text": shapes.TEXT}], x_prompt_tokens="7", x_generated_tokens="14", x_compute_type="gpu"),
        Counts(7, 14),
        "org/model",
        ("own", "tgi"),
    ),
    Recording(
        "generation stream",
        "custom-tgi",
        "models/org/model",
        {**TGI, "stream": True},
        shapes.generation_stream(shapes.generation_details(6, 13)),
        Counts(6, 13),
        "org/model",
        ("own", "tgi"),
    ),
    Recording(
        "router chat",
        "huggingface",
        "router/v1/chat/completions",
        {**CHAT, "model": "openai/gpt-oss-20b:groq"},
        shapes.chat(usage=shapes.chat_usage(22, 18), model="openai/gpt-oss-20b"),
        Counts(22, 18, 0, None, 0),
        "openai/gpt-oss-20b",
        ("huggingface_groq", "openai/gpt-oss-20b"),
    ),
    Recording(
        "router chat stream",
        "huggingface",
        "router/v1/chat/completions",
        {**CHAT_STREAM, "model": "openai/gpt-oss-20b:groq"},
        shapes.chat_stream(usage=shapes.chat_usage(23, 17), model="openai/gpt-oss-20b"),
        Counts(23, 17, 0, None, 0),
        "openai/gpt-oss-20b",
        ("huggingface_groq", "openai/gpt-oss-20b"),
    ),
)
REPLICATE = (
    Recording(
        "prediction",
        "custom-cog",
        "models/meta/meta-llama-3-8b-instruct/predictions",
        {"input": {"prompt": "Where to?"}},
        shapes.prediction({"input_token_count": 18, "output_token_count": 44, "predict_time": 0.7, "total_time": 0.8}),
        Counts(18, 44),
        "meta/meta-llama-3-8b-instruct",
        ("own", "cog"),
        headers={"Prefer": "wait"},
    ),
    Recording(
        "prediction without a price",
        "replicate",
        "v1/predictions",
        {"version": "meta/meta-llama-3-8b-instruct", "input": {"prompt": "Where to?"}},
        shapes.prediction({"input_token_count": 18, "output_token_count": 44, "predict_time": 0.7}),
        Counts(18, 44),
        "meta/meta-llama-3-8b-instruct",
    ),
    Recording(
        "prediction of a picture",
        "replicate",
        "v1/models/black-forest-labs/flux/predictions",
        {"input": {"prompt": "a strait"}},
        shapes.prediction({"image_count": 1, "predict_time": 0.7}),
        Counts(None, None, usage_source="none"),
        "meta/meta-llama-3-8b-instruct",
    ),
    Recording(
        "prediction stream",
        "custom-cog",
        "predictions/stream/p9",
        {},
        shapes.prediction_stream(),
        Counts(None, None, usage_source="none"),
        "",
        method="GET",
    ),
)
UNPRICED = (
    Recording(
        "unknown model",
        "openai",
        "chat/completions",
        {**CHAT, "model": "nobody-knows-it"},
        shapes.chat(usage=shapes.chat_usage(10, 20), model="nobody-knows-it"),
        Counts(10, 20, 0, None, 0),
        "nobody-knows-it",
    ),
)
RECORDINGS = (*OPENAI, *ANTHROPIC, *GOOGLE, *HUGGINGFACE, *REPLICATE, *UNPRICED, *VENDORS)
BY_NAME = {recording.name: recording for recording in RECORDINGS}
ANSWERS = {recording.name: recording.answer for recording in (*RECORDINGS, *FAILING, *REFUSING)}
