"""Which headers pass, stop, or are for the gateway."""

from __future__ import annotations

from services.edge.headers import AnswerHeaders, HeaderSorter


def test_order_case_and_duplicates_of_what_passes_stay() -> None:
    raw = [(b"X-B", b"1"), (b"x-a", b"2"), (b"X-B", b"3"), (b"Authorization", b"Bearer k")]

    assert HeaderSorter().sort(raw).passing == raw


def test_hop_by_hop_headers_and_traces_of_proxies_stop() -> None:
    names = [
        b"Host",
        b"Connection",
        b"Keep-Alive",
        b"TE",
        b"Trailer",
        b"Transfer-Encoding",
        b"Upgrade",
        b"Proxy-Authorization",
        b"Forwarded",
        b"X-Forwarded-For",
        b"x-forwarded-anything",
        b"X-Real-IP",
        b"Via",
        b"Cookie",
    ]

    assert HeaderSorter().sort([(name, b"x") for name in names]).passing == []


def test_a_header_that_connection_names_stops_wherever_it_stands() -> None:
    raw = [(b"X-Hop", b"1"), (b"Connection", b"close, x-hop"), (b"X-End", b"2"), (b"x-HOP", b"3")]

    assert HeaderSorter().sort(raw).passing == [(b"X-End", b"2")]


def test_cookies_pass_only_where_the_operator_allows_them() -> None:
    raw = [(b"Cookie", b"a=b")]

    assert HeaderSorter().sort(raw, are_cookies_forwarded=True).passing == raw


def test_options_are_taken_out_under_their_short_names_and_old_ones_too() -> None:
    sorted_headers = HeaderSorter().sort(
        [
            (b"cf-aig-max-attempts", b" 3 "),
            (b"CF-AIG-Event-Id", b"e"),
            (b"cf-skip-cache", b"true"),
            (b"cf-aig-new", b""),
        ]
    )

    assert sorted_headers.options == {"max-attempts": "3", "event-id": "e", "skip-cache": "true", "new": ""}
    assert sorted_headers.passing == []


def test_the_callers_trace_passes_and_is_known() -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    sorted_headers = HeaderSorter().sort([(b"Traceparent", trace), (b"tracestate", b"a=b")])

    assert sorted_headers.traceparent == trace.decode()
    assert [name for name, _ in sorted_headers.passing] == [b"Traceparent", b"tracestate"]


def test_what_is_remembered_about_spellings_is_bounded() -> None:
    sorter = HeaderSorter()

    for number in range(10_000):
        sorter.sort([(b"x-%d" % number, b"")])

    assert len(sorter._fates) <= 4096


def test_of_an_answer_only_hop_by_hop_headers_and_our_own_names_stop_and_cookies_are_not_stored() -> None:
    raw = [
        (b"Date", b"today"),
        (b"Set-Cookie", b"a"),
        (b"Set-Cookie", b"b"),
        (b"Connection", b"x-hop"),
        (b"X-Hop", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"cf-aig-step", b"9"),
        (b"Server", b"them"),
    ]

    kept = AnswerHeaders().keep(200, b"Fine", raw)

    assert kept.stored() == (raw[0], raw[7])
    assert kept.beginning == b"HTTP/1.1 200 Fine\r\nDate: today\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nServer: them\r\n"


def test_the_first_values_of_what_the_gateway_looks_at_are_noted() -> None:
    raw = [(b"Content-Type", b"a/b"), (b"content-type", b"c/d"), (b"X-Other", b"1"), (b"CONTENT-LENGTH", b"7")]

    assert HeaderSorter().sort(raw).noted == {"content-type": b"a/b", "content-length": b"7"}

    meaning = AnswerHeaders().keep(200, b"", raw).meaning
    assert (meaning.content_type, meaning.has_length, meaning.coding) == ("a/b", True, "")


def test_the_head_of_a_stored_answer_is_sorted_once() -> None:
    headers = AnswerHeaders()
    stored = ((b"Content-Type", b"application/json"), (b"Connection", b"close"))

    first, again = headers.keep(200, b"", stored), headers.keep(200, b"", (*stored,))

    assert again is first
    assert headers.keep(404, b"", stored).beginning == b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"


def test_few_heads_of_stored_answers_are_remembered_and_no_large_ones() -> None:
    headers = AnswerHeaders()

    headers.keep(200, b"", ((b"X-Large", b"x" * 5000),))
    assert len(headers._remembered) == 0
    for number in range(1000):
        headers.keep(200, b"", ((b"X-Number", b"%d" % number),))
    assert len(headers._remembered) <= 256


def test_what_connection_names_is_not_noted() -> None:
    raw = [(b"Content-Length", b"7"), (b"Connection", b"content-length")]

    assert HeaderSorter().sort(raw).noted == {}


def test_a_name_too_long_to_be_usual_is_sorted_and_not_remembered() -> None:
    sorter = HeaderSorter()

    passing = sorter.sort([(b"x" * 1000, b"1")]).passing

    assert passing == [(b"x" * 1000, b"1")]
    assert not sorter._fates
