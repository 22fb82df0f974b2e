"""
Paths: which format a provider's path speaks, and the model where the path names it.

The same endings mean the same everywhere (`.../chat/completions`), so they are looked up first; what is left
belongs to the dialect. A path is the one after the provider, as the client sent it or as a universal step's
`endpoint` names it, without query; version prefixes and provider prefixes before the ending do not matter.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from services.dialects import bedrock, cohere, formats, vendors
from services.dialects.formats import Format

_BY_ENDING: dict[str, Format] = {
    "chat/completions": formats.CHAT,
    "completions": formats.COMPLETION,
    "fim/completions": formats.CHAT,
    "agents/completions": formats.CHAT,
    "embeddings": formats.EMBEDDING,
    "responses": formats.RESPONSE,
    "moderations": formats.MODERATION,
    "images/generations": formats.IMAGE,
    "images/edits": formats.IMAGE,
    "images/variations": formats.IMAGE,
    "audio/speech": formats.AUDIO,
    "audio/transcriptions": formats.AUDIO,
    "audio/translations": formats.AUDIO,
}

# Vendors with OpenAI's paths offer Anthropic's Messages API beside them; `threads/{id}/messages` is another thing.
_MESSAGES = re.compile(r"(?:^|.*/)(?:v1/)?messages(?P<other>/.+)?$")
_THREADS = ("threads/", "conversations/")

_GOOGLE_METHODS: dict[str, Format] = {
    "generateContent": formats.GENERATE,
    "streamGenerateContent": formats.GENERATE,
    "embedContent": formats.GOOGLE_EMBEDDING,
    "batchEmbedContents": formats.GOOGLE_EMBEDDING,
}
_GOOGLE_MODEL = re.compile(r"(?:^|/)(?:models|tunedModels)/([^/:]+)")
# A model's name may be a whole ARN, whose slashes some clients leave as they are.
_BEDROCK_MODEL = re.compile(r"(?:^|/)model/(.+)/[^/]+$")
_CONVERSATION = re.compile(r"(?:^|/)conversations(?:/[^/]+(?:/restart)?)?$")
_AZURE_MODEL = re.compile(r"^[^/]*/([^/]+)/")
_REPLICATE_MODEL = re.compile(r"(?:^|/)(?:models|deployments)/([^/]+/[^/]+)/predictions$")
_ROUTER = re.compile(r"router/(?:hf-inference/)?")
_TASKS = re.compile(r"(?:^|/)(?:pipeline/[a-z-]+|v1/.+|generate|generate_stream)$")


def format_of(dialect: str, path: str) -> Format:
    """The format that the path speaks in that dialect; `PLAIN` when nothing is known of it."""
    if dialect == "plain":
        return formats.PLAIN
    form = _shared_format(dialect, path)
    variants = vendors.VARIANTS.get(dialect)
    return form if variants is None else variants.get(form.name, form)


def _shared_format(dialect: str, path: str) -> Format:
    """The format before a vendor's own row takes its place."""
    head, _, last = path.rpartition("/")
    ending = f"{head.rpartition('/')[2]}/{last}"
    known = _BY_ENDING.get(ending) or _BY_ENDING.get(last)
    if known is not None:
        return known
    match dialect:
        case "openai" | "azure" | "openrouter" | "xai" | "perplexity":
            return _messages_or(path, formats.OPENAI_OTHER)
        case "mistral":
            return vendors.CONVERSATION if _CONVERSATION.search(path) else _messages_or(path, formats.OPENAI_OTHER)
        case "anthropic":
            return _messages_or(path, formats.ANTHROPIC_OTHER)
        case "google":
            return _google(path)
        case "bedrock":
            form = bedrock.METHODS.get(last, formats.PLAIN)
            return bedrock.INVOKE_EMBEDDING if form is bedrock.INVOKE and "embed" in head else form
        case "cohere":
            return cohere.PATHS.get(ending) or cohere.PATHS.get(last, formats.PLAIN)
        case "replicate":
            return formats.PREDICTION if "predictions" in path else formats.PLAIN
        case "huggingface":
            return _messages_or(path, formats.TEXT_GENERATION)
        case "workers-ai":
            return vendors.RUN
        case "simulator":
            is_generation = path.removeprefix("v1/").startswith("models/")
            return _messages_or(path, formats.TEXT_GENERATION if is_generation else formats.OPENAI_OTHER)
        case _:
            return formats.PLAIN


def model_in_path(dialect: str, path: str) -> str:
    """The model that the path itself names; empty when it names none."""
    match dialect:
        case "google":
            return _first(_GOOGLE_MODEL, path)
        case "azure":
            return _first(_AZURE_MODEL, path)
        case "bedrock":
            return _first(_BEDROCK_MODEL, path)
        case "replicate":
            return _first(_REPLICATE_MODEL, path)
        case "huggingface" | "simulator":
            return _repository(dialect, path)
        case "workers-ai":
            return "" if path.startswith("v1/") else unquote(path)
        case _:
            return ""


def is_stream_path(path: str) -> bool:
    """The path itself asks for a stream, whatever the body says."""
    ending = path.rpartition("/")[2].rpartition(":")[2]
    return ending in ("streamGenerateContent", "streamRawPredict", "invoke-with-response-stream", "converse-stream")


def _messages_or(path: str, otherwise: Format) -> Format:
    match = _MESSAGES.match(path)
    if match is None or any(word in path for word in _THREADS):
        return otherwise
    return formats.ANTHROPIC_OTHER if match["other"] else formats.MESSAGES


def _google(path: str) -> Format:
    """A method after the model's colon; a guest's model (`rawPredict`) speaks as its own maker does."""
    method = path.rpartition(":")[2]
    if method in ("rawPredict", "streamRawPredict"):
        return formats.MESSAGES if "publishers/anthropic/" in path else formats.CHAT
    return _GOOGLE_METHODS.get(method, formats.GOOGLE_OTHER)


def _first(pattern: re.Pattern[str], path: str) -> str:
    match = pattern.search(path)
    return unquote(match[1]) if match else ""


def _repository(dialect: str, path: str) -> str:
    """The Hugging Face repository that a path is: `gpt2`, `models/org/name`, `router/hf-inference/models/org/name`."""
    is_bare_allowed = dialect == "huggingface" and not path.startswith("router/")
    path = _ROUTER.sub("", path, count=1) if dialect == "huggingface" else path.removeprefix("v1/")
    if not path.startswith("models/") and not is_bare_allowed:
        return ""
    return unquote(_TASKS.sub("", path.removeprefix("models/"), count=1))
