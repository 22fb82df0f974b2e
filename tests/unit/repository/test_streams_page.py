"""docs/streams.md says what every fault must come to; whether it does is measured by the acceptance test."""

from __future__ import annotations

from services.dialects.errors import array_error_item, stream_error_event
from services.dialects.request import request_form
from services.kit.errors import StreamBroken
from tests.fakes.providers.streams import SPOKEN, Spoken, one
from tests.streams.matrix import FAULTS
from tests.streams.page import PAGE, EveryByte, Findings, page

DIALECTS = {"google-ai-studio": "google"}
CUT = StreamBroken("the provider cut its answer before the end")


def told(spoken: Spoken) -> bytes:
    form = request_form(DIALECTS.get(spoken.provider, spoken.provider), spoken.path.partition("?")[0]).format
    return array_error_item(form, CUT, is_first=False) if spoken.is_array else stream_error_event(form, CUT)


def every_byte(spoken: Spoken) -> EveryByte:
    body = one(spoken.events)
    positions = range(len(body) + 1)
    whole = sum(spoken.has_ended(body[:position]) for position in positions)
    return EveryByte(len(body) - 1, len(positions), len(positions), whole)


def test_the_page_of_streams_is_what_the_faults_say() -> None:
    expected = Findings(
        ends={fault: [fault.end] * len(SPOKEN) for fault in FAULTS},
        everywhere=[every_byte(spoken) for spoken in SPOKEN],
        told=[told(spoken) for spoken in SPOKEN],
    )

    assert PAGE.read_text() == page(expected), "`make acceptance NAME=honest_streams` measures it and writes it anew"
