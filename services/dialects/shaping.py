"""
Shaping: request headers that change what a provider answers, and those that say for whom it answers.

The cache asks here what beside the body belongs to an answer's key. Both lists are the union over all providers: a
header that only one of them knows is not sent to the others. Headers that differ from call to call and say
nothing about the answer (user agents, SDK versions, request ids, traces) are on neither; a header that is missing here
can be named in a gateway's `keyHeaders`. Hazard: a missing name is a wrong answer from the cache, a needless
one only costs hits.
"""

from __future__ import annotations

SHAPING_HEADERS = frozenset(
    (
        # HTTP's own
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"content-encoding",
        b"content-type",
        b"prefer",
        b"range",
        # Versions and beta features of the providers' interfaces
        b"anthropic-beta",
        b"anthropic-version",
        b"api-version",
        b"cartesia-version",
        b"openai-beta",
        b"openai-version",
        b"x-goog-fieldmask",
        # Models, guardrails and ways of answering that are chosen by header
        b"x-amzn-bedrock-accept",
        b"x-amzn-bedrock-guardrailidentifier",
        b"x-amzn-bedrock-guardrailversion",
        b"x-amzn-bedrock-performanceconfig-latency",
        b"x-amzn-bedrock-trace",
        b"x-use-cache",
    )
)

CALLER_HEADERS = frozenset(
    (
        b"authorization",
        b"cookie",
        b"openai-organization",
        b"openai-project",
        b"x-amz-security-token",
        b"x-goog-user-project",
        b"x-hf-bill-to",
    )
)
"""Beside the headers in which the catalogue says a provider takes keys."""
