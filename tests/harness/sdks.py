"""
SDKs: the providers' own clients, and the calls that are made with them.

A client is told its base URL and a key, nothing else. The libraries are imported when a client is made, since only
`make acceptance` installs them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.sdk_calls import Call, call, refused

QUESTION = "Where to?"
MESSAGES = [{"role": "user", "content": QUESTION}]
CHAT = {"model": "gpt-5-mini", "messages": MESSAGES}
MESSAGE = {"model": "claude-sonnet-5", "max_tokens": 64, "messages": MESSAGES}
GENERATION = {"model": "gemini-2.5-flash", "contents": QUESTION}
REFUSALS = (400, 401, 403, 404, 409, 422, 429, 500, 503)

OPENAI = (
    call("chat", "chat.completions.create", **CHAT),
    call("chat stream", "chat.completions.create", **CHAT, stream=True),
    call("usage", "chat.completions.create", **CHAT, stream=True, stream_options={"include_usage": True}),
    call("completion", "completions.create", model="gpt-3.5-turbo-instruct", prompt=QUESTION),
    call("completion stream", "completions.create", model="gpt-3.5-turbo-instruct", prompt=QUESTION, stream=True),
    call("response", "responses.create", model="gpt-5-mini", input=QUESTION),
    call("response stream", "responses.create", model="gpt-5-mini", input=QUESTION, stream=True),
    call("embeddings", "embeddings.create", model="text-embedding-3-small", input=["one", "two"]),
    call("moderation", "moderations.create", input=QUESTION),
    call("image", "images.generate", model="gpt-image-1", prompt="a strait"),
    call("speech", "audio.speech.create", model="tts-1", voice="alloy", input=QUESTION),
    call("transcript", "audio.transcriptions.create", model="whisper-1", file=("a.mp3", b"ID3" + bytes(9000))),
    call("upload", "files.create", file=Path(__file__), purpose="batch"),
    call("large upload", "files.create", file=("a.jsonl", b"x" * 400_000), purpose="batch"),
    call("files", "files.list"),
    call("file", "files.retrieve", file_id="file-1"),
    call("file content", "files.content", file_id="file-1"),
    call("file deleted", "files.delete", file_id="file-1"),
    call("models", "models.list"),
    call("model deleted", "models.delete", model="ft:gpt-5-mini:x"),
    *(refused(f"{status}", "chat.completions.create", **{**CHAT, "model": f"error-{status}"}) for status in REFUSALS),
    refused("500 stream", "chat.completions.create", **{**CHAT, "model": "error-500"}, stream=True),
)
ANTHROPIC = (
    call("message", "messages.create", **MESSAGE),
    call("message stream", "messages.create", **MESSAGE, stream=True),
    call("token count", "messages.count_tokens", model="claude-sonnet-5", messages=MESSAGES),
    call("models", "models.list"),
    call("model", "models.retrieve", model_id="claude-sonnet-5"),
    *(
        refused(f"{status}", "messages.create", **{**MESSAGE, "model": f"error-{status}"})
        for status in (*REFUSALS, 413, 529)
    ),
    refused("529 stream", "messages.create", **{**MESSAGE, "model": "error-529"}, stream=True),
)
GOOGLE = (
    call("content", "models.generate_content", **GENERATION),
    call("content stream", "models.generate_content_stream", **GENERATION),
    call("embedding", "models.embed_content", model="gemini-embedding-001", contents=["one", "two"]),
    call("token count", "models.count_tokens", **GENERATION),
    call("models", "models.list"),
    call("model", "models.get", model="gemini-2.5-flash"),
    *(
        refused(f"{status}", "models.generate_content", **{**GENERATION, "model": f"error-{status}"})
        for status in REFUSALS
    ),
    refused("503 stream", "models.generate_content_stream", **{**GENERATION, "model": "error-503"}),
)
GENERATED = (
    call("text", "text_generation", prompt=QUESTION),
    call("text with details", "text_generation", prompt=QUESTION, details=True, max_new_tokens=20),
    call("text stream", "text_generation", prompt=QUESTION, stream=True),
    call("text stream with details", "text_generation", prompt=QUESTION, stream=True, details=True),
)
ROUTED = (
    call("chat", "chat_completion", messages=MESSAGES, model="meta-llama/Llama-3.1-8B-Instruct"),
    call("chat stream", "chat_completion", messages=MESSAGES, model="meta-llama/Llama-3.1-8B-Instruct", stream=True),
    *(refused(f"{status}", "chat_completion", messages=MESSAGES, model=f"error-{status}") for status in REFUSALS),
    refused("500 stream", "chat_completion", messages=MESSAGES, model="error-500", stream=True),
)
REFUSED_TEXT = (
    refused("503", "text_generation", prompt=QUESTION),
    refused("503 stream", "text_generation", prompt=QUESTION, stream=True),
)
REPLICATE = (
    call("run", "run", "async_run", ref="fake/model", input={"prompt": QUESTION}),
    call("run a version", "run", "async_run", ref="fake/model:abc", input={"prompt": QUESTION}),
    call("polling", "run", "async_run", ref="fake/model", input={"prompt": QUESTION}, wait=False),
    call("stream", "stream", "async_stream", ref="fake/model", input={"prompt": QUESTION}),
    call("prediction", "predictions.create", "predictions.async_create", version="abc", input={"prompt": QUESTION}),
    call("prediction read", "predictions.get", "predictions.async_get", id="p1"),
    call("prediction cancelled", "predictions.cancel", "predictions.async_cancel", id="p1"),
    call("search", "models.search", "models.async_search", query="narrow straits"),
    call("models", "models.list", "models.async_list"),
    call("upload", "files.create", "files.async_create", file=Path(__file__)),
    call("file deleted", "files.delete", "files.async_delete", file_id="file1"),
    *(
        refused(f"{status}", "run", "async_run", ref=f"error/{status}", input={})
        for status in (400, 401, 403, 404, 422, 429, 500, 503)
    ),
)


@contextmanager
def openai_client(url: str) -> Iterator[Any]:
    from openai import OpenAI

    with OpenAI(base_url=url, api_key="sk-test", max_retries=0) as client:
        yield client


@asynccontextmanager
async def openai_awaiting(url: str) -> AsyncIterator[Any]:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=url, api_key="sk-test", max_retries=0) as client:
        yield client


@contextmanager
def anthropic_client(url: str) -> Iterator[Any]:
    from anthropic import Anthropic

    with Anthropic(base_url=url, api_key="sk-ant-test", max_retries=0) as client:
        yield client


@asynccontextmanager
async def anthropic_awaiting(url: str) -> AsyncIterator[Any]:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(base_url=url, api_key="sk-ant-test", max_retries=0) as client:
        yield client


@contextmanager
def google_client(url: str) -> Iterator[Any]:
    from google.genai import Client

    client = Client(api_key="test", http_options={"base_url": url})
    yield client
    client.close()


@asynccontextmanager
async def google_awaiting(url: str) -> AsyncIterator[Any]:
    from google.genai import Client

    client = Client(api_key="test", http_options={"base_url": url})
    yield client.aio
    await client.aio.aclose()
    client.close()


@contextmanager
def huggingface_client(url: str) -> Iterator[Any]:
    from huggingface_hub import InferenceClient, close_session

    with InferenceClient(base_url=url, token="hf_test") as client:
        yield client
    close_session()


@asynccontextmanager
async def huggingface_awaiting(url: str) -> AsyncIterator[Any]:
    from huggingface_hub import AsyncInferenceClient

    async with AsyncInferenceClient(base_url=url, token="hf_test") as client:
        yield client


@contextmanager
def replicate_client(url: str) -> Iterator[Any]:
    from replicate.client import Client

    client = Client(api_token="r8_test", base_url=url)
    yield client
    client._client.close()


@asynccontextmanager
async def replicate_awaiting(url: str) -> AsyncIterator[Any]:
    from replicate.client import Client

    client = Client(api_token="r8_test", base_url=url)
    yield client
    await client._async_client.aclose()


@dataclass(frozen=True)
class Sdk:
    """A client library and its calls. `direct` follows the provider's URL in a base URL, `through` the gateway's."""

    name: str
    provider: str
    calls: tuple[Call, ...]
    client: Callable[[str], AbstractContextManager[Any]]
    awaiting: Callable[[str], AbstractAsyncContextManager[Any]]
    direct: str = ""
    through: str = ""


SDKS = (
    Sdk("openai", "openai", OPENAI, openai_client, openai_awaiting, "/v1"),
    Sdk("openai with v1", "openai", OPENAI, openai_client, openai_awaiting, "/v1", "/v1"),
    Sdk("anthropic", "anthropic", ANTHROPIC, anthropic_client, anthropic_awaiting),
    Sdk("google-genai", "google-ai-studio", GOOGLE, google_client, google_awaiting),
    Sdk("huggingface_hub", "huggingface", GENERATED, huggingface_client, huggingface_awaiting, "/gpt2", "/gpt2"),
    Sdk(
        "huggingface_hub refused",
        "huggingface",
        REFUSED_TEXT,
        huggingface_client,
        huggingface_awaiting,
        "/error-503",
        "/error-503",
    ),
    Sdk("huggingface_hub chat", "huggingface", ROUTED, huggingface_client, huggingface_awaiting, "/v1", "/router/v1"),
    Sdk("replicate", "replicate", REPLICATE, replicate_client, replicate_awaiting),
)
AT_THE_SIMULATOR = (
    Sdk("openai", "simulator", OPENAI[:8], openai_client, openai_awaiting, "/v1"),
    Sdk("anthropic", "simulator", ANTHROPIC[:3], anthropic_client, anthropic_awaiting),
    Sdk(
        "huggingface_hub",
        "simulator",
        GENERATED,
        huggingface_client,
        huggingface_awaiting,
        "/models/gpt2",
        "/models/gpt2",
    ),
)
