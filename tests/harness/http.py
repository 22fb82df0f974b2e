"""
HTTP as a test wants it: one request, raw headers in, raw headers out, nothing added behind its back.

The standard library's client adds headers of its own and hides chunks; this one writes what it is told and shows
what came, chunk by chunk, so tests can compare bytes.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass
class Answer:
    """One whole answer. `is_whole`: its framing came to its end. `chunks`: as they were framed."""

    status: int
    headers: list[tuple[str, str]]
    chunks: list[bytes] = field(default_factory=list)
    is_whole: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> object:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)


class Connection:
    """
    A connection to one server; requests on it one after the other. `receive_bytes`: what the kernel keeps for a client
    that does not read.
    """

    def __init__(self, url: str, *, timeout_s: float = 30, receive_bytes: int | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=timeout_s)
        if receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._file = self._socket.makefile("rb")
        self._host = parts.netloc

    def send(self, method: str, path: str, headers: Headers = (), body: bytes | None = None) -> None:
        """Write one request. A body gets its length unless the headers frame it."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        names = {name.lower() for name, _ in pairs}
        if "host" not in names:
            pairs.insert(0, ("Host", self._host))
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(body))))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in pairs) + "\r\n"
        self.write(head.encode("latin-1") + (body or b""))

    def write(self, content: bytes) -> None:
        """Write octets."""
        self._socket.sendall(content)

    def head(self) -> Answer:
        """Read the status line and headers of the next answer."""
        line = self._file.readline()
        if not line:
            raise ConnectionError("the server closed the connection before an answer")
        headers = []
        while (header := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = header.decode("latin-1").partition(":")
            headers.append((name, value.strip()))
        return Answer(int(line.split()[1]), headers)

    def chunks(self, answer: Answer, *, method: str = "GET") -> Iterator[bytes]:
        """The body as it comes; sets `is_whole` when the framing ends."""
        if method == "HEAD" or answer.status in (204, 304) or 100 <= answer.status < 200:
            answer.is_whole = True
            return
        length = answer.header("content-length")
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            yield from self._chunked(answer)
        elif length is not None:
            left = int(length)
            while left and (piece := self._file.read1(left)):
                left -= len(piece)
                yield piece
            answer.is_whole = left == 0
        else:
            while piece := self._file.read1(65536):
                yield piece
            answer.is_whole = True

    def _chunked(self, answer: Answer) -> Iterator[bytes]:
        while line := self._file.readline():
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while self._file.readline() not in (b"\r\n", b""):
                    pass
                answer.is_whole = True
                return
            piece = self._file.read(size)
            if len(piece) < size:
                return
            self._file.read(2)
            yield piece

    def answer(self, *, method: str = "GET") -> Answer:
        """Read one whole answer; 1xx answers before it are passed over."""
        answer = self.head()
        while 100 <= answer.status < 200 and answer.status != 101:
            answer = self.head()
        for chunk in self.chunks(answer, method=method):
            answer.chunks.append(chunk)
        return answer

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(
    method: str, url: str, headers: Headers = (), body: bytes | None = None, *, timeout_s: float = 30
) -> Answer:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with Connection(url, timeout_s=timeout_s) as connection:
        connection.send(method, path, headers, body)
        return connection.answer(method=method)


def post(url: str, document: object, headers: Mapping[str, str] | None = None, *, timeout_s: float = 30) -> Answer:
    """POST a JSON document."""
    all_headers = {"Content-Type": "application/json", **(headers or {})}
    return request("POST", url, all_headers, json.dumps(document).encode(), timeout_s=timeout_s)
