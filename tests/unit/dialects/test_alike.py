"""Events alike but for their text are measured without being read, and never measured wrong."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from services.dialects.alike import Alike
from services.dialects.fields import TEXT
from services.dialects.formats import CHAT
from services.dialects.request import RequestReader, request_form
from services.dialects.tally import event_reader
from services.dialects.usage import UsageReaders

FACTS = RequestReader().read(request_form("openai", "chat/completions"), b'{"model":"m"}')


def event(text: str, **more: object) -> bytes:
    return json.dumps({"model": "m", "choices": [{"delta": {"content": text}, "finish_reason": None}], **more}).encode()


def learned(payload: bytes) -> Alike:
    alike = Alike(CHAT.event_text)
    alike.learn(payload, event_reader(CHAT).read(payload)[TEXT])
    return alike


def test_an_event_like_the_learned_one_is_measured() -> None:
    alike = learned(event("hello"))

    assert alike.takes_payload(event("good morning"))
    assert alike.takes_payload(event(""))
    assert alike.takes(b"data: " + event("night") + b"\n\n")
    assert alike.text_bytes == len("good morning") + len("night")


def test_an_event_that_tells_more_must_be_read() -> None:
    alike = learned(event("hello"))

    assert not alike.takes_payload(event("hello", usage={"prompt_tokens": 1}))
    assert not alike.takes_payload(event('a "quoted" word'))
    assert not alike.takes_payload(event("line\nbreak"))
    assert not alike.takes_payload(event("x").replace(b"null", b'"stop"'))
    assert not alike.takes_payload(b'{"model')
    assert not alike.takes_payload(b"")
    assert alike.text_bytes == 0


def test_a_piece_of_more_or_less_than_one_event_must_be_scanned() -> None:
    alike = learned(event("hello"))
    whole = b"data: " + event("night") + b"\n\n"

    assert not alike.takes(whole + whole)
    assert not alike.takes(whole.replace(b"night", b"ni\r\nght"))
    assert not alike.takes(whole[:-1])
    assert not alike.takes(whole[1:])
    assert not alike.takes(b"event: x\n" + whole)
    assert alike.text_bytes == 0


def test_nothing_is_alike_before_anything_was_learned() -> None:
    alike = Alike(CHAT.event_text)

    assert not alike.takes_payload(event("x"))
    assert not alike.takes_payload(b"")
    assert not alike.takes(b"")


@given(st.lists(st.text(max_size=20), min_size=1, max_size=20))
def test_a_stream_has_the_same_text_with_and_without_looking_alike(texts: list[str]) -> None:
    events = [event(text) for text in texts]
    reader = UsageReaders().open(FACTS, content_type="text/event-stream")
    for payload in events:
        reader.feed(b"data: " + payload + b"\n\n")

    measured = reader.finish().tokens_out

    assert measured == -(-sum(len(json.dumps(text)) - 2 for text in texts) // 4)
    assert not reader.is_malformed
