"""
Boundaries that no type checker sees.

Two rules hold the design together and are only kept by looking: a provider's name stands in the catalogue and the
dialects and nowhere else, and there is one loop that waits longer and longer (kit/rpc, reconnecting) beside the one
loop that attempts a provider again (edge/stages/attempt.py). `make check` runs this over every file of services/.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROVIDERS_LIVE_IN = "services/dialects/"
LOOPS_LIVE_IN = ("services/kit/rpc/", "services/edge/stages/attempt.py")

DISTINCT_NAMES = (
    "openai|anthropic|claude|gemini|vertex|bedrock|hugging_?face|groq|mistral|cohere|perplexity|deepseek"
    "|cerebras|openrouter|fireworks|baseten|ideogram|cartesia|deepgram|elevenlabs|workers-ai"
)
"""Names that mean a provider wherever they stand, also inside another word."""
ORDINARY_WORDS = "replicate|grok|parallel|fal|google|azure|aws|xai|tgi"
"""Names that mean other things too: only a string that is nothing else means the provider."""

NAMED = re.compile(rf"{DISTINCT_NAMES}|[\"'](?:{ORDINARY_WORDS})[\"']", re.IGNORECASE)
WAITS = {"sleep", "wait_for", "wait", "timeout"}
LATER = {"call_later", "call_at"}
GROWS = (ast.Mult, ast.Pow, ast.LShift)


def provider_names(source: str) -> Iterator[tuple[int, str]]:
    """Lines that name a provider."""
    for number, line in enumerate(source.splitlines(), 1):
        found = NAMED.search(line)
        if found:
            yield number, f"names a provider ({found.group().strip(chr(34))}); that is data of {PROVIDERS_LIVE_IN}"


def backoff_loops(source: str) -> Iterator[tuple[int, str]]:
    """Loops that wait, and in which a wait is made from the last one or from how often it was tried."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.While | ast.For | ast.AsyncFor):
            waits = list(_waits(node))
            if waits and (_grows(node) or any(_differs(wait, node) for wait in waits)):
                yield node.lineno, f"is a second backoff loop; the ones there are live in {' and '.join(LOOPS_LIVE_IN)}"


def _waits(loop: ast.AST) -> Iterator[ast.Call]:
    """Calls that wait, awaited or not, and those that ask to be called later."""
    awaited = {node.value for node in ast.walk(loop) if isinstance(node, ast.Await)}
    for node in ast.walk(loop):
        if isinstance(node, ast.Call):
            name = _called(node)
            if name in LATER or name == "sleep" or (name in WAITS and node in awaited):
                yield node


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _differs(wait: ast.Call, loop: ast.While | ast.For | ast.AsyncFor) -> bool:
    """How long it waits is computed on the spot, or is what a `for` goes through: `for delay_s in DELAYS_S`."""
    arguments = [*wait.args, *(keyword.value for keyword in wait.keywords)]
    inside = [node for argument in arguments for node in ast.walk(argument)]
    if any(isinstance(node, ast.BinOp) and isinstance(node.op, GROWS) and _has_name(node) for node in inside):
        return True
    through = set() if isinstance(loop, ast.While) else _names(loop.target)
    return any(isinstance(node, ast.Name) and node.id in through for node in inside)


def _has_name(operation: ast.BinOp) -> bool:
    """A product of two literals does not change."""
    return bool(_names(operation))


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _grows(loop: ast.AST) -> bool:
    for node in ast.walk(loop):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, GROWS):
            return True
        if isinstance(node, ast.Assign) and _is_made_from_itself(node):
            return True
    return False


def _is_made_from_itself(assignment: ast.Assign) -> bool:
    targets = {ast.unparse(target) for target in assignment.targets}
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, GROWS)
        and bool(targets & {ast.unparse(side) for side in (node.left, node.right)})
        for node in ast.walk(assignment.value)
    )


def breaches(root: Path) -> Iterator[str]:
    """Everything that is wrong below `root`, as `path:line reason`."""
    for path in sorted((root / "services").rglob("*.py")):
        relative = path.relative_to(root).as_posix()
        source = path.read_text()
        found: list[tuple[int, str]] = []
        if not relative.startswith(PROVIDERS_LIVE_IN):
            found.extend(provider_names(source))
        if not relative.startswith(LOOPS_LIVE_IN):
            found.extend(backoff_loops(source))
        yield from (f"{relative}:{line} {reason}" for line, reason in found)


def main() -> None:
    """Say all of it, and fail if there is any."""
    found = list(breaches(ROOT))
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
