"""Frames: what is read back is what was written, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.spool import frames
from services.edge.spool.frames import AckedPosition, Header, Records

RECORDS = st.builds(Records, rows=st.binary(), bodies=st.binary(), traceparents=st.binary())


@given(RECORDS, st.integers(0, 1000), st.floats(0, 2e9))
def test_records_are_read_as_they_were_written(records: Records, row_count: int, wall_s: float) -> None:
    frame = frames.decode_frame(frames.encode_records(records, row_count=row_count, wall_s=wall_s))

    assert frame is not None
    assert (frame.kind, frame.row_count, frame.wall_s) == ("records", row_count, wall_s)
    assert frames.decode_records(frame.payload) == records


@given(RECORDS, st.data())
def test_a_cut_frame_is_none(records: Records, chance: st.DataObject) -> None:
    encoded = frames.encode_records(records, row_count=1, wall_s=0.0)
    cut = chance.draw(st.integers(0, len(encoded) - 1))

    assert frames.decode_frame(encoded[:cut]) is None


@given(RECORDS, st.data())
def test_a_frame_with_a_flipped_bit_is_none(records: Records, chance: st.DataObject) -> None:
    encoded = bytearray(frames.encode_records(records, row_count=1, wall_s=0.0))
    encoded[chance.draw(st.integers(0, len(encoded) - 1))] ^= 1 << chance.draw(st.integers(0, 7))

    assert frames.decode_frame(bytes(encoded)) is None


@given(st.text(min_size=1, max_size=40), st.integers(0, 2**63), st.integers(0, 9))
def test_a_header_is_read_as_it_was_written(edge: str, first_sequence: int, columns_version: int) -> None:
    header = Header(edge=edge, first_sequence=first_sequence, columns_version=columns_version)
    encoded = frames.encode_header(header)

    assert len(encoded) == frames.HEADER_BYTES
    assert frames.decode_header(encoded) == header
    assert frames.decode_acked(encoded) == AckedPosition()


@pytest.mark.parametrize("encoded", [b"", b"x" * frames.HEADER_BYTES, bytes(frames.HEADER_BYTES)])
def test_what_is_no_header_is_refused(encoded: bytes) -> None:
    with pytest.raises(frames.Unreadable):
        frames.decode_header(encoded)


def test_an_edge_name_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="edge: must be 1 to 192 bytes, is 193"):
        frames.encode_header(Header(edge="e" * 193, first_sequence=1, columns_version=1))


def test_a_half_written_acknowledgement_counts_from_the_beginning() -> None:
    header = bytearray(frames.encode_header(Header(edge="e", first_sequence=1, columns_version=1)))
    acked = frames.encode_acked(AckedPosition(offset=900, batch_count=2, row_count=7))
    header[frames.ACKED_OFFSET : frames.ACKED_OFFSET + 4] = acked[:4]

    assert frames.decode_acked(bytes(header)) == AckedPosition()
