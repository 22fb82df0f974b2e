"""Replicate's API: predictions created, fetched, streamed and cancelled; models, searched with QUERY; files."""

from __future__ import annotations

from typing import Any

from tests.fakes.providers.server import PIECES, TOKENS_IN, TOKENS_OUT, Canned, Recorded, document, stream

MODEL = {
    "url": "https://replicate.com/fake/model",
    "owner": "fake",
    "name": "model",
    "description": "A model that does not exist",
    "visibility": "public",
    "github_url": None,
    "paper_url": None,
    "license_url": None,
    "run_count": 7,
    "cover_image_url": None,
    "default_example": None,
    "latest_version": None,
}
VERSION = {
    "id": "abc",
    "created_at": "2026-05-22T00:00:00.000Z",
    "cog_version": "0.9",
    "openapi_schema": {
        "components": {
            "schemas": {
                "Output": {
                    "type": "array",
                    "items": {"type": "string"},
                    "x-cog-array-type": "iterator",
                    "x-cog-array-display": "concatenate",
                }
            }
        }
    },
}
FILE = {
    "id": "file1",
    "name": "a.txt",
    "content_type": "text/plain",
    "size": 5,
    "etag": "e",
    "checksums": {"sha256": "s", "md5": "m"},
    "metadata": {},
    "created_at": "2026-05-22T00:00:00.000Z",
    "expires_at": None,
    "urls": {"get": "https://api.replicate.com/v1/files/file1"},
}


def answer(request: Recorded, url: str) -> Canned | None:
    """A prediction made with `Prefer: wait` comes finished; a model called `error/422` is refused with that status."""
    path = request.path.removeprefix("/v1").strip("/")
    match request.method, path.split("/"):
        case "POST", ["models", "error", status, "predictions"]:
            return document({"detail": f"refused with {status}", "status": int(status)}, status=int(status))
        case "POST", ["predictions"] | ["models", _, _, "predictions"] | ["deployments", _, _, "predictions"]:
            is_waiting = "wait" in request.header("prefer")
            status = "succeeded" if is_waiting else "starting"
            return document(_prediction(request.json, url, status), status=201)
        case "GET", ["predictions", _]:
            return document(_prediction({}, url, "succeeded"))
        case "POST", ["predictions", _, "cancel"]:
            return document(_prediction({}, url, "canceled"))
        case "GET", ["stream", _]:
            output = [f"event: output\nid: {index}\ndata: {piece}\n\n" for index, piece in enumerate(PIECES)]
            return stream(piece.encode() for piece in (*output, "event: done\ndata: {}\n\n"))
        case "POST", ["files"]:
            return document({**FILE, "size": len(request.body)}, status=201)
        case "DELETE", ["files", _]:
            return Canned((b"",), status=204)
        case _, ["models", *rest]:
            return _models(request, rest)
        case _:
            return None


def _models(request: Recorded, rest: list[str]) -> Canned | None:
    page = {"next": None, "previous": None}
    match request.method, rest:
        case "GET", []:
            return document({**page, "results": [MODEL]})
        case "QUERY", []:
            return document({**page, "results": [{**MODEL, "description": request.body.decode()}]})
        case "GET", [owner, name]:
            return document({**MODEL, "owner": owner, "name": name})
        case "GET", [_, _, "versions", version]:
            return document({**VERSION, "id": version})
        case "GET", [_, _, "versions"]:
            return document({**page, "results": [VERSION]})
        case _:
            return None


def _prediction(body: dict[str, Any], url: str, status: str) -> dict[str, Any]:
    is_done = status == "succeeded"
    counts = {"input_token_count": TOKENS_IN, "output_token_count": TOKENS_OUT, "predict_time": 0.5}
    return {
        "id": "p1",
        "model": "fake/model",
        "version": body.get("version", "v1"),
        "input": body.get("input", {}),
        "output": list(PIECES) if is_done else None,
        "logs": "",
        "error": None,
        "status": status,
        "created_at": "2026-05-22T00:00:00.000Z",
        "started_at": "2026-05-22T00:00:01.000Z" if is_done else None,
        "completed_at": "2026-05-22T00:00:02.000Z" if is_done else None,
        "metrics": counts if is_done else None,
        "urls": {
            "get": f"{url}/v1/predictions/p1",
            "cancel": f"{url}/v1/predictions/p1/cancel",
            "stream": f"{url}/stream/p1",
        },
    }
