"""The fake providers, read over HTTP as the edge reads real ones: all of them tell the same tokens."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from services.dialects.request import RequestReader, request_form
from services.dialects.usage import Usage, UsageReaders
from tests.fakes.providers import anthropic, gemini, huggingface, openai, replicate
from tests.fakes.providers.server import TOKENS_IN, TOKENS_OUT, Answering, serve

REQUESTS = RequestReader()
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ASKED = {"stream": True, "stream_options": {"include_usage": True}}
EVERY = [
    (openai.answer, "openai", "v1/chat/completions", CHAT),
    (openai.answer, "openai", "chat/completions", {**CHAT, **ASKED}),
    (openai.answer, "openai", "completions", {"prompt": "hi"}),
    (openai.answer, "openai", "responses", {"input": "hi"}),
    (openai.answer, "openai", "responses", {"input": "hi", "stream": True}),
    (anthropic.answer, "anthropic", "v1/messages", CHAT),
    (anthropic.answer, "anthropic", "v1/messages", {**CHAT, "stream": True}),
    (gemini.answer, "google", "v1beta/models/g:generateContent", {}),
    (gemini.answer, "google", "v1beta/models/g:streamGenerateContent?alt=sse", {}),
    (gemini.answer, "google", "v1beta/models/g:streamGenerateContent", {}),
    (huggingface.answer, "huggingface", "gpt2", {"inputs": "hi"}),
    (huggingface.answer, "huggingface", "gpt2", {"inputs": "hi", "stream": True}),
    (huggingface.answer, "huggingface", "router/v1/chat/completions", CHAT),
    (replicate.answer, "replicate", "v1/predictions/p1", None),
]


@pytest.mark.parametrize("is_gzipping", [False, True])
@pytest.mark.parametrize(("answering", "dialect", "path", "body"), EVERY, ids=[f"{row[2]} {row[3]}" for row in EVERY])
async def test_every_fake_tells_its_tokens(
    answering: Answering, dialect: str, path: str, body: Any, is_gzipping: bool
) -> None:
    async with serve(answering, is_gzipping=is_gzipping) as fake:
        usage = await _usage(fake.url, dialect, path, body)

    assert (usage.tokens_in, usage.tokens_out, usage.source) == (TOKENS_IN, TOKENS_OUT, "provider")
    assert usage.is_terminal_seen
    assert fake.requests[0].target == f"/{path}"
    assert fake.requests[0].json == (body or {})


async def test_a_stream_of_predictions_is_text_with_an_end() -> None:
    async with serve(replicate.answer) as fake:
        usage = await _usage(fake.url, "replicate", "stream/p1", None)

    assert usage.source == "none"


async def _usage(url: str, dialect: str, path: str, body: Any) -> Usage:
    async with (
        aiohttp.ClientSession(auto_decompress=False, headers={"accept-encoding": "gzip"}) as session,
        session.request("GET" if body is None else "POST", f"{url}/{path}", json=body) as answer,
    ):
        form = request_form(dialect, path.partition("?")[0])
        facts = REQUESTS.read(form, b"{}" if body is None else str(body).encode())
        reader = UsageReaders().open(
            facts,
            status=answer.status,
            content_type=answer.headers["content-type"],
            content_encoding=answer.headers.get("content-encoding", ""),
            headers=answer.raw_headers,
        )
        async for chunk in answer.content.iter_any():
            reader.feed(chunk)
    return reader.finish()
