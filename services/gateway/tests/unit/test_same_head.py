"""A head that a connection brings again is known by its bytes; whatever differs is read anew."""

import pytest

from gateway.dataplane.framing import HeadLimits, parse_head
from gateway.dataplane.same_head import SameHead

RAW = (
    b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: gateway\r\nx-api-key: fg_test_0\r\n"
    b"Content-Length: 12\r\nanthropic-version: 2023-06-01\r\n\r\n"
)


def same_head(raw: bytes = RAW) -> SameHead:
    return SameHead(raw, parse_head(raw[:-4], HeadLimits()))


def test_the_same_bytes_are_the_same_head():
    same = same_head()
    head = same.head
    assert same.begins(RAW + b"twelve bytes")
    assert same.head is head
    assert same.raw == RAW


@pytest.mark.parametrize("digits", [b"0", b"7", b"98", b"120000", b"9" * 18])
def test_only_the_bodys_length_may_differ(digits: bytes):
    same = same_head()
    first, raw = same.head, RAW.replace(b"12\r", digits + b"\r")

    assert same.begins(raw + b"what follows")

    anew = parse_head(raw[:-4], HeadLimits())
    found = same.head
    assert same.raw == raw
    assert (found.length, found.headers, found.fields) == (anew.length, anew.headers, anew.fields)
    assert (found.method, found.path, found.query, found.keep_alive) == ("POST", anew.path, anew.query, anew.keep_alive)
    assert found.facts is first.facts
    assert first.length == 12


@pytest.mark.parametrize("digits", [b"", b"05", b"+5", b"-1", b"5 ", b" 5", b"5,5", b"0x5", b"9" * 19, b"\xb2"])
def test_a_length_that_is_no_plain_number_is_left_to_the_strict_reader(digits: bytes):
    assert not same_head().begins(RAW.replace(b"12\r", digits + b"\r"))


def test_a_head_that_differs_in_any_byte_is_read_anew():
    at = RAW.index(b"12\r")
    for place in range(len(RAW)):
        if place not in (at, at + 1):
            other = RAW[:place] + bytes([RAW[place] ^ 1]) + RAW[place + 1 :]
            assert not same_head().begins(other), place


def test_a_head_that_is_not_whole_yet_is_not_known():
    same = same_head()
    assert not any(same.begins(RAW[:end]) for end in range(len(RAW)))


def test_a_name_that_looks_like_the_length_is_not_taken_for_it():
    raw = RAW.replace(b"x-api-key", b"x-content-length: 12\r\nx-api-key")
    same = same_head(raw)
    assert same.begins(raw.replace(b"\r\nContent-Length: 12", b"\r\nContent-Length: 34"))
    assert same.head.length == 34
    assert not same.begins(raw.replace(b"x-content-length: 12", b"x-content-length: 34"))
