"""
The catalogue: every provider Narrows knows by itself, as rows.

A row says where paths go, which header carries the provider's key and which dialect its answers are in. Adding
a provider is adding a row. The router reads the table once, applies what operators override and puts the result
into the snapshot; nothing else reads it. Hazard: a placeholder in the host part of a url is filled from the
client's path, so `target.py` lets only host-safe parts through, and no row may take a whole host from a path.
"""

from __future__ import annotations

import msgspec

from services.contracts.router.values import Base, Provider

BEARER = "Bearer "

# A path that begins with one of these names the API version twice: the base url has it already.
_V1 = ("v1/",)
_GROQ = ("openai/v1/",)

_AZURE = Base(
    url="https://{resource}.openai.azure.com/openai/deployments/{deployment}",
    pattern=r"(?P<resource>[^/]*)/(?P<deployment>[^/]+)/(?P<rest>.*)",
)
_BEDROCK = Base(
    url="https://bedrock-runtime.{region}.amazonaws.com",
    pattern=r"bedrock-runtime/(?P<region>[^/]*)/(?P<rest>.*)",
)
_VERTEX = (
    Base(url="https://aiplatform.googleapis.com", pattern=r"(?P<rest>[^/]+/projects/[^/]+/locations/global(?:/.*)?)"),
    Base(
        url="https://{region}-aiplatform.googleapis.com",
        pattern=r"(?P<rest>[^/]+/projects/[^/]+/locations/(?P<region>[^/]*)(?:/.*)?)",
    ),
    # A path without a project is for an API key ("express mode"), which only the global host serves.
    Base(url="https://aiplatform.googleapis.com", pattern=r"(?P<rest>[^/]+/publishers/.*)"),
)
_HUGGINGFACE = (
    Base(url="https://router.huggingface.co", pattern=r"router/(?P<rest>.*)"),
    Base(url="https://api-inference.huggingface.co/models"),
)
_WORKERS_AI = (
    Base(
        url="https://api.cloudflare.com/client/v4/accounts/{account}/ai",
        pattern=r"(?P<rest>v1/(?:chat/completions|completions|embeddings|responses|models).*)",
    ),
    Base(url="https://api.cloudflare.com/client/v4/accounts/{account}/ai/run"),
)

SIMULATOR = "simulator"

# Which price lists hold for a provider: names as the price data knows them, and what a model's name must end in
# for that list to be meant (the Hugging Face router picks its own provider unless the model names one).
PRICE_LISTS: dict[str, tuple[tuple[str, str], ...]] = {
    "openai": (("openai", ""),),
    "anthropic": (("anthropic", ""),),
    "google-ai-studio": (("google", ""),),
    "google-vertex-ai": (("google", ""),),
    "azure-openai": (("azure", ""),),
    "aws-bedrock": (("aws", ""),),
    "groq": (("groq", ""),),
    "mistral": (("mistral", ""),),
    "cohere": (("cohere", ""),),
    "perplexity-ai": (("perplexity", ""),),
    "deepseek": (("deepseek", ""),),
    "cerebras": (("cerebras", ""),),
    "grok": (("x-ai", ""),),
    "openrouter": (("openrouter", ""),),
    "fireworks": (("fireworks", ""),),
    "baseten": (("baseten", ""),),
    "workers-ai": (("cloudflare", ""),),
    "huggingface": (
        ("huggingface_cerebras", ":cerebras"),
        ("huggingface_fireworks-ai", ":fireworks-ai"),
        ("huggingface_groq", ":groq"),
        ("huggingface_hyperbolic", ":hyperbolic"),
        ("huggingface_nebius", ":nebius"),
        ("huggingface_novita", ":novita"),
        ("huggingface_nscale", ":nscale"),
        ("huggingface_ovhcloud", ":ovhcloud"),
        ("huggingface_publicai", ":publicai"),
        ("huggingface_sambanova", ":sambanova"),
        ("huggingface_together", ":together"),
    ),
}

# The simulator's own prices: USD per million tokens, the same in and out.
SIMULATOR_PRICES: dict[str, float] = {"simulator-small": 1.0, "simulator-large": 2.0}


_AUTHORIZATION = ("authorization",)

# Names of dialects that a custom provider may declare; `plain` is relayed and never read.
DIALECTS: tuple[str, ...] = (
    "openai",
    "anthropic",
    "google",
    "azure",
    "bedrock",
    "huggingface",
    "replicate",
    "cohere",
    "mistral",
    "openrouter",
    "perplexity",
    "workers-ai",
    "xai",
    "simulator",
    "plain",
)


def catalogue(*, simulator_url: str | None = None) -> dict[str, Provider]:
    """All providers by name. The simulator is known only when its address is."""
    rows = {provider.name: provider for provider in (*_speaking_openai(), *_with_a_dialect(), *_plain())}
    if simulator_url is not None:
        simulator = _bearer(SIMULATOR, simulator_url, dialect=SIMULATOR, strip=_V1)
        rows[SIMULATOR] = msgspec.structs.replace(simulator, is_private_allowed=True)
    return rows


def _bearer(name: str, url: str, *, dialect: str = "openai", strip: tuple[str, ...] = ()) -> Provider:
    """A provider with one base that takes `Authorization: Bearer`, as most do."""
    return Provider(name, dialect, (Base(url.rstrip("/"), strip=strip),), "authorization", BEARER, _AUTHORIZATION)


def _speaking_openai() -> list[Provider]:
    """Those whose paths and bodies are OpenAI's, or near enough."""
    return [
        _bearer("openai", "https://api.openai.com/v1", strip=_V1),
        _bearer("groq", "https://api.groq.com/openai/v1", strip=_GROQ),
        _bearer("mistral", "https://api.mistral.ai", dialect="mistral"),
        _bearer("perplexity-ai", "https://api.perplexity.ai", dialect="perplexity"),
        _bearer("deepseek", "https://api.deepseek.com"),
        _bearer("cerebras", "https://api.cerebras.ai"),
        _bearer("grok", "https://api.x.ai", dialect="xai"),
        _bearer("openrouter", "https://openrouter.ai/api", dialect="openrouter"),
        _bearer("fireworks", "https://api.fireworks.ai/inference/v1"),
        Provider("baseten", "openai", (), "authorization", BEARER, _AUTHORIZATION),
        Provider("azure-openai", "azure", (_AZURE,), "api-key", "", ("api-key", "authorization")),
    ]


def _with_a_dialect() -> list[Provider]:
    """Those with paths and bodies of their own that Narrows reads."""
    return [
        Provider(
            "anthropic",
            "anthropic",
            (Base("https://api.anthropic.com"),),
            "x-api-key",
            client_key_headers=("x-api-key", "authorization"),
        ),
        Provider(
            "google-ai-studio",
            "google",
            (Base("https://generativelanguage.googleapis.com"),),
            "x-goog-api-key",
            client_key_headers=("x-goog-api-key", "authorization"),
            client_key_query="key",
        ),
        Provider("google-vertex-ai", "google", _VERTEX, "authorization", BEARER, _AUTHORIZATION),
        # No prefix: a stored key is a pair that signs (SigV4) or a bearer token that says so itself.
        Provider("aws-bedrock", "bedrock", (_BEDROCK,), "authorization", "", _AUTHORIZATION),
        Provider("huggingface", "huggingface", _HUGGINGFACE, "authorization", BEARER, _AUTHORIZATION),
        _bearer("replicate", "https://api.replicate.com/v1", dialect="replicate", strip=_V1),
        _bearer("cohere", "https://api.cohere.com", dialect="cohere"),
        Provider("workers-ai", "workers-ai", _WORKERS_AI, "authorization", BEARER, _AUTHORIZATION),
    ]


def _plain() -> list[Provider]:
    """Those that are relayed without reading usage: images, speech, search."""
    return [
        Provider("parallel", "plain", (Base("https://api.parallel.ai"),), "x-api-key", "", ("x-api-key",)),
        Provider("fal", "plain", (Base("https://fal.run"),), "authorization", "Key ", _AUTHORIZATION),
        Provider("ideogram", "plain", (Base("https://api.ideogram.ai"),), "api-key", "", ("api-key",)),
        Provider("cartesia", "plain", (Base("https://api.cartesia.ai"),), "x-api-key", "", ("x-api-key",)),
        Provider("deepgram", "plain", (Base("https://api.deepgram.com"),), "authorization", "Token ", _AUTHORIZATION),
        Provider("elevenlabs", "plain", (Base("https://api.elevenlabs.io"),), "xi-api-key", "", ("xi-api-key",)),
    ]
