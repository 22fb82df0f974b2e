"""
What the provider received equals what was sent minus the list of docs/wire.md section 1, and what came back equals
what it said.

Raw sockets on both sides of a real Narrows, so nothing between hides a difference.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.measured import Measured
from tests.fakes.origin import Call, Origin, answer
from tests.harness.deployment import Together
from tests.harness.http import Connection, request

RESOURCES = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {{namespace: local, name: main}}
spec: {{providers: {{openai: {{baseURL: "{url}/v1"}}, aws-bedrock: {{baseURL: "{url}"}}}}}}
"""
OURS = ("cf-aig-", "server-timing")
DROPPED = [
    ("Connection", "X-Named"),
    ("X-Named", "dropped"),
    ("Keep-Alive", "timeout=5"),
    ("TE", "trailers"),
    ("Proxy-Authorization", "Basic x"),
    ("Forwarded", "for=1.2.3.4"),
    ("X-Forwarded-For", "1.2.3.4"),
    ("x-forwarded-proto", "https"),
    ("X-Real-IP", "1.2.3.4"),
    ("Via", "1.1 proxy"),
    ("Cookie", "a=b"),
    ("cf-aig-event-id", "e-1"),
    ("cf-aig-unheard-of", "x"),
]
KEPT = [
    ("Authorization", "Bearer sk-client"),
    ("X-Twice", "one"),
    ("x-lower", "b"),
    ("X-Twice", "two"),
    ("Accept-Encoding", "gzip;q=0.5, br"),
    ("User-Agent", "Some/1.0 (thing; \xe9)"),
    ("X-Empty", ""),
    ("Content-Type", "application/octet-stream"),
]


class Stage:
    """A Narrows in front of one scripted provider."""

    def __init__(self, origin: Origin, narrows: Together) -> None:
        self.origin = origin
        self.narrows = narrows
        self.base = "/v1/local/main/openai"

    def says(self, content: bytes) -> None:
        """The provider will answer so."""
        self.origin.forget()
        self.origin.script = lambda call: call.send(content)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("as-it-came")
    with (
        Origin(lambda call: call.send(answer())) as origin,
        Together(folder, resources=RESOURCES.format(url=origin.url)) as narrows,
    ):
        yield Stage(origin, narrows)


def theirs(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """An answer's headers without ours."""
    return [pair for pair in headers if not pair[0].lower().startswith(OURS)]


def received(call: Call) -> list[tuple[str, str]]:
    """A call's headers without the host, which is the provider's own, and the framing."""
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in call.headers
        if name.lower() not in (b"host", b"content-length", b"transfer-encoding")
    ]


def test_request_headers_keep_order_case_and_duplicates(stage: Stage, measured: Measured) -> None:
    stage.says(answer())

    request("POST", stage.narrows.url + stage.base + "/x", [*DROPPED, *KEPT], b"\x00\xff\r\n")

    call = stage.origin.wait_for_calls(1)[0]
    assert received(call) == KEPT
    assert call.body == b"\x00\xff\r\n"
    assert call.header(b"host") == f"127.0.0.1:{stage.origin.port}".encode()
    measured("headers kept", len(received(call)), f"== {len(KEPT)}")


@pytest.mark.parametrize(
    "target", ["/a%2Fb?x=%20&y=a+b&&=%zz", "/ü?q=ñ".encode().decode("latin-1"), "//d//?", "/x;p=1,2"]
)
def test_path_and_query_arrive_octet_for_octet(stage: Stage, target: str, measured: Measured) -> None:
    stage.says(answer())

    with Connection(stage.narrows.url) as connection:
        connection.send("GET", stage.base + target)
        connection.answer()

    came = stage.origin.wait_for_calls(1)[0].target
    wrong = [octets for octets in (came,) if octets != b"/v1" + target.encode("latin-1")]
    measured("targets wrong", len(wrong), "== 0")
    assert wrong == []


def test_answers_come_back_byte_for_byte(stage: Stage, measured: Measured) -> None:
    body = gzip.compress(b'{"some": "thing"}')
    said = [
        ("Server", "them"),
        ("Date", "Tue, 15 Nov 1994 08:12:31 GMT"),
        ("Set-Cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("Content-Encoding", "gzip"),
        ("X-RateLimit-Remaining", "7"),
        ("Retry-After", "120"),
        ("Content-Type", "application/json"),
    ]
    stage.says(answer(body, status=207, headers=tuple(said)))

    came = request("POST", stage.narrows.url + stage.base + "/x", body=b"{}")

    assert came.status == 207
    assert [pair for pair in theirs(came.headers) if pair[0] != "Content-Length"] == said
    assert came.body == body
    measured("answer bytes", len(came.body), f"== {len(body)}")


def test_a_chunked_answer_with_trailers_and_1xx_before_it(stage: Stage) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nContent-Type: text/plain\r\n\r\n"
    stage.says(early + head + b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n")

    came = request("GET", stage.narrows.url + stage.base + "/x")

    assert (came.status, came.body, came.is_whole) == (200, b"abcde", True)
    assert came.header("x-t") is None


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_answers_without_a_body(stage: Stage, method: str, status: int) -> None:
    length = b"Content-Length: 42\r\n" if status != 204 else b""
    stage.says(b'HTTP/1.1 %d Fine\r\n%bETag: "x"\r\n\r\n' % (status, length))

    with Connection(stage.narrows.url) as connection:
        for _ in range(2):
            connection.send(method, stage.base + "/x")
            came = connection.answer(method=method)

            assert came.status == status
            assert came.header("etag") == '"x"'
            assert came.header("content-length") == ("42" if length else None)
            assert came.body == b""


def test_expect_continue_is_answered_before_the_body_is_sent(stage: Stage) -> None:
    stage.says(answer())
    body = os.urandom(100_000)

    with Connection(stage.narrows.url) as connection:
        connection.send("POST", stage.base + "/x", {"Expect": "100-continue", "Content-Length": str(len(body))})
        interim = connection.head()
        connection.write(body)
        came = connection.answer()

    assert (interim.status, came.status) == (100, 200)
    assert stage.origin.calls[0].body == body


def test_a_chunked_upload_arrives_whole(stage: Stage) -> None:
    stage.says(answer())
    pieces = [os.urandom(size) for size in (1, 70_000, 5, 200_000)]

    with Connection(stage.narrows.url) as connection:
        connection.send("POST", stage.base + "/x", {"Transfer-Encoding": "chunked"})
        for piece in pieces:
            connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.write(b"0\r\n\r\n")
        came = connection.answer()

    assert came.status == 200
    assert stage.origin.calls[0].body == b"".join(pieces)


def test_twenty_mebibytes_of_multipart_stream_through(stage: Stage, measured: Measured) -> None:
    stage.says(answer())
    part = os.urandom(20 * 1024 * 1024)
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + part + b"\r\n--b--\r\n"

    came = request(
        "POST", stage.narrows.url + stage.base + "/files", {"Content-Type": "multipart/form-data; boundary=b"}, body
    )

    assert came.status == 200
    assert stage.origin.calls[0].body == body
    measured("multipart bytes", len(stage.origin.calls[0].body), f"== {len(body)}")


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "QUERY", "OPTIONS"])
def test_every_method_is_relayed(stage: Stage, method: str) -> None:
    stage.says(answer(b'{"deleted": true}'))

    came = request(method, stage.narrows.url + stage.base + "/things/1", body=b"{}" if method != "DELETE" else None)

    assert came.json() == {"deleted": True}
    assert stage.origin.calls[0].line == f"{method} /v1/things/1 HTTP/1.1".encode()


def test_a_request_that_the_client_signed_arrives_unchanged(stage: Stage, measured: Measured) -> None:
    stage.says(answer())
    signed = [
        ("X-Amz-Date", "20261122T000000Z"),
        ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("Authorization", "AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/bedrock/aws4_request, Signature=00"),
        ("Content-Type", "application/json"),
    ]
    path = "/v1/local/main/aws-bedrock/bedrock-runtime/us-east-1/model/anthropic.claude-3%3A0/invoke?a=b%20c"

    came = request("POST", stage.narrows.url + path, signed, b'{"a": 1}')

    call = stage.origin.wait_for_calls(1)[0]
    assert came.status == 200
    changed = set(received(call)) ^ set(signed)
    measured("signed headers changed", len(changed), "== 0")
    assert received(call) == signed
    assert call.target == b"/model/anthropic.claude-3%3A0/invoke?a=b%20c"
    assert call.body == b'{"a": 1}'


def test_a_redirect_is_passed_on(stage: Stage) -> None:
    stage.says(answer(b"", status=307, headers=(("Location", "https://elsewhere.test/"),)))

    came = request("GET", stage.narrows.url + stage.base + "/x")

    assert (came.status, came.header("location")) == (307, "https://elsewhere.test/")
    assert len(stage.origin.calls) == 1
