"""Facts of requests, dialect by dialect, and of bodies that are no such thing."""

from __future__ import annotations

import pytest

from services.dialects.request import RequestReader, request_form

READER = RequestReader()
FORM = request_form("openai", "audio/transcriptions", "multipart/form-data; boundary=b")
CHAT = b'{"messages":[{"role":"user","content":"hi"}],"model":"gpt-5-mini","stream":true,"max_tokens":40}'


@pytest.mark.parametrize(
    ("dialect", "path", "body", "model", "model_type"),
    [
        ("openai", "chat/completions", CHAT, "gpt-5-mini", "chat"),
        ("openai", "v1/responses", b'{"model":"gpt-5","input":"x"}', "gpt-5", "response"),
        (
            "openai",
            "embeddings",
            b'{"model":"text-embedding-3-small","input":"x"}',
            "text-embedding-3-small",
            "embedding",
        ),
        ("openai", "images/generations", b'{"model":"gpt-image-1"}', "gpt-image-1", "image"),
        ("openai", "files", b"{}", "", ""),
        ("openai", "threads/t_1/messages", b"{}", "", ""),
        ("openai", "v1/messages", b'{"model":"deepseek-chat"}', "deepseek-chat", "chat"),
        ("anthropic", "v1/messages", b'{"model":"claude-sonnet-5"}', "claude-sonnet-5", "chat"),
        ("anthropic", "v1/messages/count_tokens", b'{"model":"claude-sonnet-5"}', "claude-sonnet-5", ""),
        ("google", "v1beta/models/gemini-2.5-flash:generateContent", b"{}", "gemini-2.5-flash", "chat"),
        ("google", "v1beta/models/gemini-embedding-001:embedContent", b"{}", "gemini-embedding-001", "embedding"),
        ("google", "v1beta/openai/chat/completions", b'{"model":"gemini-2.5-pro"}', "gemini-2.5-pro", "chat"),
        (
            "google",
            "v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4@20250514:rawPredict",
            b"{}",
            "claude-sonnet-4@20250514",
            "chat",
        ),
        ("azure", "resource/gpt-4o-eu/chat/completions", b'{"model":"echo"}', "gpt-4o-eu", "chat"),
        (
            "bedrock",
            "bedrock-runtime/eu-west-1/model/anthropic.claude-v2%3A1/invoke",
            b"{}",
            "anthropic.claude-v2:1",
            "chat",
        ),
        ("bedrock", "model/amazon.nova-lite-v1:0/converse", b"{}", "amazon.nova-lite-v1:0", "chat"),
        ("huggingface", "gpt2", b'{"inputs":"x"}', "gpt2", "completion"),
        ("huggingface", "models/org/name", b'{"inputs":"x"}', "org/name", "completion"),
        ("huggingface", "router/hf-inference/models/org/name", b'{"inputs":"x"}', "org/name", "completion"),
        ("huggingface", "router/v1/chat/completions", b'{"model":"org/name:groq"}', "org/name:groq", "chat"),
        ("huggingface", "models/org/name/v1/chat/completions", b"{}", "org/name", "chat"),
        ("replicate", "v1/models/meta/llama/predictions", b'{"input":{}}', "meta/llama", "prediction"),
        ("replicate", "predictions", b'{"version":"abc123","input":{}}', "abc123", "prediction"),
        ("cohere", "v2/chat", b'{"model":"command-r"}', "command-r", "chat"),
        ("workers-ai", "@cf/meta/llama-3.1-8b-instruct", b'{"prompt":"x"}', "@cf/meta/llama-3.1-8b-instruct", "chat"),
        ("simulator", "v1/messages", b'{"model":"simulator-small"}', "simulator-small", "chat"),
        ("simulator", "models/simulator-small", b'{"inputs":"x"}', "simulator-small", "completion"),
        ("simulator", "chat/completions", b'{"model":"simulator-small"}', "simulator-small", "chat"),
        ("plain", "text-to-speech/voice", b'{"model":"ignored"}', "ignored", ""),
    ],
)
def test_the_model_is_read_where_the_dialect_has_it(
    dialect: str, path: str, body: bytes, model: str, model_type: str
) -> None:
    facts = READER.read(request_form(dialect, path), body)

    assert (facts.model, facts.model_type) == (model, model_type)


@pytest.mark.parametrize(
    ("dialect", "path", "body"),
    [
        ("openai", "chat/completions", b'{"stream":true}'),
        ("google", "v1beta/models/g:streamGenerateContent", b"{}"),
        ("bedrock", "model/m/invoke-with-response-stream", b"{}"),
        ("bedrock", "model/m/converse-stream", b"{}"),
    ],
)
def test_a_stream_is_asked_for_in_the_body_or_the_path(dialect: str, path: str, body: bytes) -> None:
    assert READER.read(request_form(dialect, path), body).is_stream


@pytest.mark.parametrize("body", [b'{"stream":false}', b'{"stream":"true"}', b'{"stream":1}', b"{}"])
def test_anything_but_true_is_no_stream(body: bytes) -> None:
    assert not READER.read(request_form("openai", "chat/completions"), body).is_stream


@pytest.mark.parametrize(
    ("body", "tokens_out_max"),
    [
        (b'{"max_tokens":10}', 10),
        (b'{"max_completion_tokens":10,"n":3}', 30),
        (b'{"max_output_tokens":7}', 7),
        (b'{"generationConfig":{"maxOutputTokens":9,"candidateCount":2}}', 18),
        (b'{"parameters":{"max_new_tokens":5}}', 5),
        (b'{"input":{"max_tokens":6}}', 6),
        (b'{"inferenceConfig":{"maxTokens":8}}', 8),
        (b'{"max_tokens":null}', None),
        (b'{"max_tokens":"10"}', None),
        (b'{"max_tokens":-1}', None),
        (b'{"max_tokens":true}', None),
    ],
)
def test_the_most_output_tokens_are_those_of_all_answers(body: bytes, tokens_out_max: int | None) -> None:
    assert READER.read(request_form("openai", "chat/completions"), body).tokens_out_max == tokens_out_max


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[1,2]", b'"x"', b"\xff\xfe", b'{"model":5,"stream":[]}', b'{"model":']
)
def test_a_body_of_another_shape_gives_fewer_facts_and_no_error(body: bytes) -> None:
    facts = READER.read(request_form("openai", "chat/completions"), body)

    assert (facts.model, facts.is_stream, facts.tokens_out_max) == ("", False, None)


def test_one_field_of_a_wrong_type_leaves_the_others() -> None:
    facts = READER.read(request_form("openai", "chat/completions"), b'{"parameters":"odd","model":"m","max_tokens":3}')

    assert (facts.model, facts.tokens_out_max) == ("m", 3)


def test_a_form_names_its_model_before_its_files() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\x00\x01\r\n--b--\r\n'
    )

    facts = READER.read(FORM, body)

    assert (facts.model, facts.model_type) == ("whisper-1", "audio")


@pytest.mark.parametrize(
    "body",
    [b"", b'name="model"', b'name="model"\r\n\r\n', b'name="model"\r\n\r\n' + b"x" * 300 + b"\r\n", b"\r\n\r\nx\r\n"],
)
def test_a_broken_form_names_no_model(body: bytes) -> None:
    assert READER.read(FORM, body).model == ""


def test_the_beginning_of_a_body_tells_what_stands_in_it() -> None:
    body = b'{"messages":[{"model":"no","content":"a \\"model\\": { ["}],"model":"yes","stream":true,"max_tokens":12,"'

    facts = READER.read(request_form("openai", "chat/completions"), body, is_prefix=True)

    assert (facts.model, facts.is_stream, facts.tokens_out_max) == ("yes", True, 12)
