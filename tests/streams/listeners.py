"""Listeners: clients that read, that read slowly or never, and that leave, each at its own moment."""

from __future__ import annotations

import time

from tests.fakes.providers.streams import one
from tests.streams.stage import IDLE_MS, Asked

SIP_BYTES = 512 * 1024
PAUSE_S = 0.08
REST_S = 0.2


def reads(asked: Asked) -> None:
    asked.send()
    asked.hear_head()
    asked.hear()


def reads_and_rests(asked: Asked) -> None:
    """Nothing is asked of the provider for a moment, so that what it says unasked comes while nobody waits."""
    reads(asked)
    time.sleep(REST_S)


def reads_slowly(asked: Asked) -> None:
    """A sip and a pause, so that the provider has to wait most of the time."""
    asked.send()
    asked.hear_head()
    heard, left = 0, asked.connection.chunks(asked.heard)
    for chunk in left:
        asked.heard.chunks.append(chunk)
        heard += len(chunk)
        if heard >= SIP_BYTES:
            heard = 0
            time.sleep(PAUSE_S)


def never_reads(asked: Asked) -> None:
    """Looks only when the gateway must have given it up."""
    asked.send()
    asked.hear_head()
    time.sleep(IDLE_MS / 1000 + 1)
    asked.hear()


def leaves_while_asking(asked: Asked) -> None:
    asked.send_half()
    time.sleep(0.05)
    asked.leave()


def leaves_before_the_head(asked: Asked) -> None:
    asked.send()
    asked.stage.wait_for_call(asked.case)
    asked.leave()


def leaves_between_attempts(asked: Asked) -> None:
    """When the provider has refused once, and the gateway waits before it asks again."""
    leaves_before_the_head(asked)


def leaves_after_the_head(asked: Asked) -> None:
    asked.send()
    asked.hear_head()
    asked.leave()


def leaves_in_the_middle(asked: Asked) -> None:
    asked.send()
    asked.hear_head()
    asked.hear(len(one(asked.spoken.half)))
    asked.leave()


def leaves_before_the_end(asked: Asked) -> None:
    """All of the body has come, and not the framing's end."""
    asked.send()
    asked.hear_head()
    asked.hear(len(one(asked.spoken.events)))
    asked.leave()
