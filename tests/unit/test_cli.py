"""The command line, without a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli import main

PLAIN_HTTP = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: main}
spec: {providers: {openai: {baseURL: "http://127.0.0.1:4020/v1"}}}
"""


@pytest.mark.parametrize(("setting", "status"), [(None, 0), ("on", 0), ("off", 1)])
def test_check_judges_private_base_urls_as_the_router_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str | None, status: int
) -> None:
    file = tmp_path / "resources.yaml"
    file.write_text(PLAIN_HTTP)
    monkeypatch.delenv("NARROWS_PRIVATE_UPSTREAMS", raising=False)
    if setting is not None:
        monkeypatch.setenv("NARROWS_PRIVATE_UPSTREAMS", setting)

    assert main(["check", str(file)]) == status
