from __future__ import annotations

from pathlib import Path

from services.generate import drift, errors_page, settings_page, telemetry_page, write


def test_a_file_that_is_not_what_the_code_says_is_found(tmp_path: Path) -> None:
    files = {"docs/a.md": lambda: "a\n", "docs/b.md": lambda: "b\n"}
    write(tmp_path, files)
    (tmp_path / "docs" / "a.md").write_text("edited by hand\n")

    assert drift(tmp_path, files) == ["docs/a.md"]


def test_a_file_that_is_missing_is_found(tmp_path: Path) -> None:
    assert drift(tmp_path, {"docs/a.md": lambda: "a\n"}) == ["docs/a.md"]


def test_the_errors_that_other_clients_read_are_in_the_table() -> None:
    page = errors_page()

    assert "| 2001 | 400 | `UnknownGatewayForUniversal` | Unknown gateway on the universal endpoint;" in page
    assert "| 2009 | 401 | `Unauthenticated` | Missing or wrong gateway token;" in page


def test_every_page_says_what_it_lists() -> None:
    assert "| `NARROWS_DATA_ADDRESS` | `--data-address` | `HOST:PORT` | 127.0.0.1:8787 |" in settings_page()
    assert "| `limiter.lease` | the limiter decides an ask for units |" in telemetry_page()
    assert "| `narrows_errors_total` | counter | `code` |" in telemetry_page()
