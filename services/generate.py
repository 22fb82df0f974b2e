"""
Generate: the files that are made from code, so that they cannot say anything else.

    python -m services.generate           writes them (`make generated`)
    python -m services.generate --check   fails where one is not what the code says (part of `make check`)

A file is a path and a function that gives its text. Adding one is a line in `FILES`.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from services.config import Settings
from services.kit.errors import every_error
from services.kit.manual import document
from services.kit.names import Attribute, Name, SpanName, StatusField, every_metric, names_of
from services.router.resources.reference import reference_lines, rules_lines, unbuilt_lines

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 120
NOTE = "<!-- Made from code by `make generated`. -->"


def errors_page() -> str:
    """Every error that a client can read the code of."""
    rows = [
        f"| {kind.code} | {kind.http_status} | `{kind.__name__}` | {_first_paragraph(kind)} |" for kind in every_error()
    ]
    return _page(
        "Errors",
        """What Narrows itself refuses. The code is in the header `cf-aig-error-code`, in the body where its shape has
        a place for it, in the log row, and it labels `narrows_errors_total`. A code never changes its meaning. Errors
        that providers make are passed on as they came and have none.""",
        ["| code | status | name | meaning |", "|---|---|---|---|", *rows],
    )


def telemetry_page() -> str:
    """Every name that traces, metrics and `/status` use."""
    metrics = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.meaning} |"
        for metric in every_metric()
    ]
    return _page(
        "Telemetry",
        """What traces, metrics and `/status` call things. A trace is sampled at its head; an unsampled request makes no
        span. Streams between services are spans of their own, named `<contract>/<stream>`, with links to the requests
        they carry; the service's span for one request is a child of the edge's. Bodies, prompts and keys are in none
        of it.""",
        ["## Spans", "", *_names(names_of(SpanName))],
        ["## Attributes", "", *_names(names_of(Attribute))],
        [
            "## Metrics",
            "",
            *_paragraph("""On `/metrics` of every process; each shows those of the services that run in it. More
            combinations of label values than a metric may hold are counted under `other`."""),
            "",
            "| name | kind | labels | meaning |",
            "|---|---|---|---|",
            *metrics,
        ],
        ["## Status", "", *_paragraph(STATUS), "", *_names(names_of(StatusField))],
    )


def settings_page() -> str:
    """Every setting."""
    return _page(
        "Settings",
        """How a process runs: from flags and environment variables only, listed by `narrows run --help`. A flag wins
        over its variable, an empty variable is an unset one, and an unknown flag or `NARROWS_*` variable is refused.
        An address may be a host alone or `:port` alone; the default gives the rest. What the gateway does is written
        in resources (docs/configuration.md), not here.""",
        document(Settings()).splitlines(),
    )


def configuration_page() -> str:
    """Every field of every resource."""
    return _page(
        "Configuration",
        """What the gateway does is written in resources: a YAML file for `narrows run --resources FILE` (several
        documents, told apart by `---`), read again when it changes. How a process runs is said by settings
        (docs/settings.md), not here. `narrows check FILE` tells what a router would refuse. Examples stand in
        deploy/resources.""",
        ["## What holds for all of them", "", *rules_lines()],
        ["## Not built yet", "", *_paragraph(NOT_BUILT), "", *unbuilt_lines()],
        reference_lines(),
    )


STATUS = """On `/status` of every process, as JSON; each shows what it knows. It carries nothing of a tenant but names
of resources. `/readyz` says 503 with the reasons while a process is not ready: an edge without a snapshot or
in its first three seconds, while it has not tried its services yet, a router that has no resources to publish. What is
down never counts."""

NOT_BUILT = """These can be written and are checked, but a document that uses one is refused, so that nobody believes
in a rule that does not hold."""

FILES: Mapping[str, Callable[[], str]] = {
    "docs/configuration.md": configuration_page,
    "docs/errors.md": errors_page,
    "docs/settings.md": settings_page,
    "docs/telemetry.md": telemetry_page,
}


def drift(root: Path, files: Mapping[str, Callable[[], str]] = FILES) -> list[str]:
    """Paths of files that are not what the code says."""
    return [path for path, render in files.items() if not _is_same(root / path, render())]


def write(root: Path, files: Mapping[str, Callable[[], str]] = FILES) -> None:
    """Write all of them."""
    for path, render in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(render())


def main() -> None:
    """`--check` or nothing."""
    if sys.argv[1:] != ["--check"]:
        write(ROOT)
        return
    stale = drift(ROOT)
    if stale:
        sys.exit(f"{', '.join(stale)}: not what the code says; run `make generated`")


def _is_same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def _page(title: str, about: str, *sections: Iterable[str]) -> str:
    lines = [NOTE, f"# {title}", "", *_paragraph(about)]
    for section in sections:
        lines += ["", *section]
    return "\n".join(lines) + "\n"


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), WIDTH)


def _names(names: Iterable[Name]) -> list[str]:
    return ["| name | meaning |", "|---|---|", *(f"| `{name}` | {name.meaning} |" for name in names)]


def _first_paragraph(kind: type) -> str:
    text = inspect.getdoc(kind) or ""
    return " ".join(text.split("\n\n")[0].split())


if __name__ == "__main__":
    main()
