"""What is odd but well-formed passes; what is too large, too slow or too much is refused with a clear error."""

import socket
import time
from collections.abc import Iterator

import orjson
import pytest
from services.gateway.tests.fronts import UNREAD, RunningFront, body_of, running_front, wait_until

from gateway.dataplane.exchange import Exchange
from gateway.dataplane.framing import HeadLimits
from gateway.dataplane.front import FrontLimits

HOST = b"Host: faregate.test\r\n"
QUICK = FrontLimits(
    head=HeadLimits(),
    head_s=0.3,
    idle_s=0.5,
    body_silence_s=0.3,
    body_grace_s=0.3,
    body_bytes_per_s=1000,
    stall_s=0.4,
    linger_s=0.5,
    model_body_bytes=5000,
    app_body_bytes=2000,
    model_bodies=frozenset({b"/app/large"}),
)
PATHS = pytest.mark.parametrize(("path", "by"), [(b"/v1/messages", "model"), (b"/app", "app")])


@pytest.fixture(scope="module")
def front() -> Iterator[RunningFront]:
    with running_front() as running:
        yield running


@pytest.fixture(scope="module")
def quick() -> Iterator[RunningFront]:
    with running_front(limits=QUICK) as running:
        yield running


def post(path: bytes, body: bytes, *headers: bytes) -> bytes:
    more = b"".join(header + b"\r\n" for header in headers)
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (path, HOST, more, len(body), body)


def chunked(path: bytes, body: bytes) -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body


def message_of(answer: bytes) -> str:
    told = orjson.loads(body_of(answer))
    message: str = told["error"]["message"] if "error" in told else told["detail"]
    return message


PLAIN = b"Host: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ODD = {
    "header names in any case": b"hOsT: a\r\ncOnTeNt-LeNgTh: 5\r\n\r\nhello",
    "no space before a value": b"Host:a\r\nContent-Length:5\r\n\r\nhello",
    "spaces and tabs around a value": b"Host: \t a \t\r\nContent-Length: \t5 \r\n\r\nhello",
    "an empty value": b"X-A:\r\n" + PLAIN,
    "a value of blanks": b"X-A:  \t \r\n" + PLAIN,
    "bytes above 127 in a value": b"X-A: \xc3\xa4\r\n" + PLAIN,
    "every token character in a name": b"!#$%&'*+-.^_`|~0aZ: b\r\n" + PLAIN,
    "a repeated harmless header": b"X-A: b\r\nX-A: c\r\n" + PLAIN,
    "a host with a port": b"Host: a:8080\r\nContent-Length: 5\r\n\r\nhello",
    "an IPv6 host": b"Host: [::1]:8080\r\nContent-Length: 5\r\n\r\nhello",
    "a chunked body": CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "chunked in capitals": CHUNKED.replace(b"chunked", b"CHUNKED") + b"5\r\nhello\r\n0\r\n\r\n",
    "chunk sizes with zeros": CHUNKED + b"05\r\nhello\r\n00\r\n\r\n",
    "several chunks": CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "chunk extensions": CHUNKED + b'5;a=b;c="d e"\r\nhello\r\n0;z\r\n\r\n',
    "trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n",
}


@PATHS
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_but_well_formed_request_passes(front: RunningFront, odd: bytes, path: bytes, by: str):
    front.seen.clear()
    with front.connect() as wire:
        wire.send(b"POST " + path + b"?a=%20b&c[]={d} HTTP/1.1\r\n" + odd)
        status, _, _ = wire.response()

    assert status == 200
    (seen,) = front.seen
    assert (seen.by, seen.path, seen.query, seen.body) == (by, path.decode(), b"a=%20b&c[]={d}", b"hello")


@PATHS
@pytest.mark.parametrize("line", [b"POST http://A:80/PATH HTTP/1.1\r\nHost: a:80", b"POST /PATH HTTP/1.0\r\nX-A: b"])
def test_our_own_absolute_address_and_the_old_version_pass(front: RunningFront, line: bytes, path: bytes, by: str):
    front.seen.clear()
    with front.connect() as wire:
        wire.send(line.replace(b"/PATH", path) + b"\r\nContent-Length: 5\r\n\r\nhello")
        status, _, _ = wire.response()

    assert status == 200
    assert [(seen.by, seen.path, seen.body) for seen in front.seen] == [(by, path.decode(), b"hello")]


@PATHS
def test_a_chunked_upload_may_be_split_at_every_byte(front: RunningFront, path: bytes, by: str):
    raw = chunked(path, b'3\r\nabc\r\nB;x="y"\r\n0123456789d\r\n1\r\n\r\r\n0\r\nX-A: b\r\n\r\n')
    front.seen.clear()
    for at in range(1, len(raw)):
        with front.connect() as wire:
            wire.send(raw[:at])
            if at % 7 == 0:
                time.sleep(0.001)
            wire.send(raw[at:])
            assert wire.response()[0] == 200

    assert {(seen.by, seen.body) for seen in front.seen} == {(by, b"abc0123456789d\r")}
    # Trailers are nobody's headers.
    assert all(name != b"x-a" for seen in front.seen for name, _ in seen.headers)


@PATHS
def test_a_body_in_a_thousand_pieces_arrives_whole(front: RunningFront, path: bytes, by: str):
    body = bytes(range(256)) * 8
    front.seen.clear()
    for head, pieces in (
        (post(path, body).partition(b"\r\n\r\n")[0] + b"\r\n\r\n", [bytes([byte]) for byte in body]),
        (chunked(path, b""), [*(b"1\r\n%c\r\n" % byte for byte in body), b"0\r\n\r\n"]),
    ):
        with front.connect() as wire:
            wire.send(head)
            for piece in pieces:
                wire.send(piece)
            assert wire.response()[0] == 200

    assert [(seen.by, seen.body) for seen in front.seen] == [(by, body)] * 2


def test_pipelined_requests_are_answered_one_by_one_and_in_order(front: RunningFront):
    front.seen.clear()
    bodies = [b"x" * size for size in range(60)]
    requests = b"".join(post(b"/v1/messages" if len(body) % 3 else b"/app", body) for body in bodies)
    with front.connect() as wire:
        wire.send(requests)
        lengths = [orjson.loads(wire.response()[2])["length"] for _ in bodies]

    assert lengths == list(range(60))
    assert [len(seen.body) for seen in front.seen] == list(range(60))


def test_a_large_body_that_the_app_never_asked_for_does_not_stop_the_connection(front: RunningFront):
    with front.connect() as wire:
        wire.send(post(UNREAD.encode(), b"x" * 1_000_000))
        assert wire.response()[0] == 200
        wire.send(post(b"/app", b"next"))
        assert orjson.loads(wire.response()[2])["length"] == 4


def test_a_request_behind_a_running_one_is_kept_back():
    running: list[Exchange] = []
    with running_front({("POST", "/v1/slow"): running.append}) as front, front.connect() as wire:
        wire.send(post(b"/v1/slow", b"{}") + post(b"/v1/messages", b"second") + b"GET /app HT")
        wait_until(lambda: running)
        time.sleep(0.05)
        assert front.seen == []
        front.call(lambda: running[0].answer(200, [], b"first"))
        assert wire.response()[2] == b"first"
        assert wire.response()[0] == 200
        wire.send(b"TP/1.1\r\n" + HOST + b"\r\n")
        assert wire.response()[0] == 200

    assert [seen.by for seen in front.seen] == ["model", "app"]


def test_a_flood_behind_a_running_request_is_not_read():
    running: list[Exchange] = []
    with running_front({("POST", "/v1/slow"): running.append}) as front, front.connect(timeout_s=0.5) as wire:
        wire.send(post(b"/v1/slow", b"{}"))
        wait_until(lambda: running)
        flood = post(b"/v1/messages", b"x" * 100_000) * 1000
        with pytest.raises(TimeoutError):
            wire.socket.sendall(flood)
        held = max(len(connection._buffer) for connection in front.front.connections)

    assert held < 1 << 20


def test_an_expectation_is_answered_when_the_head_is_fine(front: RunningFront):
    for path in (b"/v1/messages", b"/app"):
        with front.connect() as wire:
            head, _, body = post(path, b"hello", b"Expect: 100-continue").partition(b"\r\n\r\n")
            wire.send(head + b"\r\n\r\n")
            assert wire.response()[0] == 100
            wire.send(body)
            assert wire.response()[0] == 200


def test_an_expectation_with_a_body_that_is_too_large_is_refused_at_once(quick: RunningFront):
    head = post(b"/v1/messages", b"x" * 6000, b"Expect: 100-continue").partition(b"\r\n\r\n")[0]
    answer = quick.exchange(head + b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 413 ")


@PATHS
def test_a_body_over_the_routes_limit_is_refused_announced_or_not(quick: RunningFront, path: bytes, by: str):
    quick.seen.clear()
    most = 5000 if by == "model" else 2000
    for request in (post(path, b"x" * (most + 1)), chunked(path, b"%x\r\n" % (most + 1) + b"x" * 100)):
        answer = quick.exchange(request)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert str(most) in message_of(answer)
    with quick.connect() as wire:
        wire.send(post(path, b"x" * most))
        assert wire.response()[0] == 200

    assert len(quick.seen) == 1


def test_a_path_of_the_app_may_take_a_model_calls_body(quick: RunningFront):
    with quick.connect() as wire:
        wire.send(post(b"/app/large", b"x" * 5000))
        assert wire.response()[0] == 200
    assert quick.exchange(post(b"/app/large", b"x" * 5001)).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_still_sends_reads_the_refusal(quick: RunningFront):
    answer = quick.exchange(post(b"/v1/messages", b"x" * (8 << 20)))

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_compressed_body_is_refused_on_model_routes_only(front: RunningFront):
    front.seen.clear()
    answer = front.exchange(post(b"/v1/messages", b"\x1f\x8b", b"Content-Encoding: gzip"))
    with front.connect() as wire:
        wire.send(post(b"/app", b"\x1f\x8b", b"Content-Encoding: gzip"))
        passed = wire.response()[0]

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert "content-encoding" in message_of(answer)
    assert passed == 200
    assert [seen.by for seen in front.seen] == ["app"]


@pytest.mark.parametrize("more", [b"", b" HTTP/1.1\r\n" + HOST + b"\r\n"])
def test_a_url_that_is_too_long_is_refused_in_the_words_of_its_path(front: RunningFront, more: bytes):
    for path, type_of_it in ((b"/v1/messages", b"application/json"), (b"/app", b"application/problem+json")):
        answer = front.exchange(b"GET " + path + b"?" + b"a" * 9000 + more)

        assert answer.startswith(b"HTTP/1.1 414 ")
        assert b"content-type: " + type_of_it + b"\r\n" in answer
        assert "longer than 8192 bytes" in message_of(answer)


@PATHS
def test_a_slow_head_is_refused(quick: RunningFront, path: bytes, by: str):
    with quick.connect() as wire:
        for byte in b"POST " + path + b" HTTP/1.1\r\nX-Slow: ":
            wire.send(bytes([byte]))
            time.sleep(0.02)
        answer = wire.rest()

    assert answer.startswith(b"HTTP/1.1 408 ")


@PATHS
@pytest.mark.parametrize("dripping_s", [0.0, 0.6])
def test_a_silent_or_dripping_body_is_refused(quick: RunningFront, path: bytes, by: str, dripping_s: float):
    quick.seen.clear()
    began = time.monotonic()
    with quick.connect() as wire:
        wire.send(post(path, b"x" * 1900)[:-1800])
        while time.monotonic() < began + dripping_s:
            wire.send(b"x")
            time.sleep(0.05)
        answer = wire.rest()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert quick.seen == []


def test_idle_connections_end_quietly(quick: RunningFront):
    with quick.connect() as unused, quick.connect() as used:
        used.send(post(b"/v1/messages", b"{}"))
        assert used.response()[0] == 200
        assert unused.is_closed()
        assert used.is_closed()


def test_more_connections_than_allowed_are_told_so():
    with running_front(limits=FrontLimits(connections=2)) as front, front.connect() as one, front.connect() as two:
        for wire in (one, two):
            wire.send(post(b"/v1/messages", b"{}"))
            assert wire.response()[0] == 200
        answer = front.exchange(b"")
        one.send(post(b"/v1/messages", b"{}"))
        still = one.response()[0]

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer
    assert still == 200


def test_bodies_over_the_process_budget_are_told_to_come_again():
    limits = FrontLimits(bodies_bytes=150_000)
    with running_front(limits=limits) as front, front.connect() as first:
        first.send(post(b"/v1/messages", b"x" * 200_000)[:100_000])
        wait_until(lambda: front.front.bodies_bytes > 50_000)
        answer = front.exchange(post(b"/v1/messages", b"y" * 200_000)[:100_000])
        first.socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: front.front.bodies_bytes == 0)
        with front.connect() as later:
            later.send(post(b"/v1/messages", b"z" * 100_000))
            assert later.response()[0] == 200
            assert front.front.bodies_bytes == 0

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer


def test_a_wrong_method_is_told_the_right_one_and_the_connection_lives(front: RunningFront):
    with front.connect() as wire:
        wire.send(b"PUT /v1/messages HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}")
        status, headers, body = wire.response()
        wire.send(post(b"/v1/messages", b"{}"))
        after = wire.response()[0]

    assert status == 405
    assert headers[b"allow"] == b"POST"
    assert orjson.loads(body)["error"]["type"] == "invalid_request_error"
    assert after == 200


def test_the_prefix_route_takes_any_name_decoded(front: RunningFront):
    front.seen.clear()
    with front.connect() as wire:
        for name in (b"claude-haiku-5-5", b"meta%2Fllama", b"a/b"):
            wire.send(b"GET /v1/models/" + name + b" HTTP/1.1\r\n" + HOST + b"\r\n")
            assert wire.response()[0] == 200
        wire.send(b"GET /v1/models/ HTTP/1.1\r\n" + HOST + b"\r\n")
        assert wire.response()[0] == 200

    assert [seen.path for seen in front.seen[:3]] == [
        "/v1/models/claude-haiku-5-5",
        "/v1/models/meta/llama",
        "/v1/models/a/b",
    ]
    assert front.seen[3].by == "app"


def test_a_client_that_leaves_within_its_request_reaches_nobody(front: RunningFront):
    front.seen.clear()
    for raw in (post(b"/v1/messages", b"hello")[:-1], post(b"/app", b"hello")[:-1], b"GET /v1/mess"):
        with front.connect() as wire:
            wire.send(raw)
            wire.socket.shutdown(socket.SHUT_WR)
            assert wire.rest() == b""

    assert front.seen == []


@PATHS
def test_the_client_is_who_a_trusted_proxy_says(path: bytes, by: str):
    forwarded = b"X-Forwarded-For: 203.0.113.9, 198.51.100.7, 127.0.0.2"
    with running_front(trusted=["127.0.0.0/8"]) as trusting, running_front() as direct:
        for front in (trusting, direct):
            with front.connect() as wire:
                wire.send(post(path, b"{}", forwarded))
                assert wire.response()[0] == 200
        peers = [front.seen[0].peer for front in (trusting, direct)]

    assert peers == ["198.51.100.7", "127.0.0.1"]


@pytest.mark.parametrize("path", [b"/v1/messages", b"/app"])
def test_only_listed_origins_may_call_from_a_browser(path: bytes):
    preflight = b"OPTIONS " + path + b" HTTP/1.1\r\n" + HOST + b"Access-Control-Request-Method: POST\r\nOrigin: "
    with running_front(origins=["https://shop.example"]) as front, front.connect() as wire:
        for origin, allowed in ((b"https://shop.example", True), (b"https://evil.example", False)):
            wire.send(preflight + origin + b"\r\n\r\n")
            _, asked, _ = wire.response()
            wire.send(post(path, b"{}", b"Origin: " + origin))
            _, answered, _ = wire.response()
            for headers in (asked, answered):
                assert headers.get(b"access-control-allow-origin") == (origin if allowed else None)
            assert (b"access-control-allow-methods" in asked and allowed) or not allowed


def test_without_a_list_no_origin_is_allowed(front: RunningFront):
    with front.connect() as wire:
        wire.send(post(b"/v1/messages", b"{}", b"Origin: https://shop.example"))
        _, headers, _ = wire.response()

    assert not any(name.startswith(b"access-control") for name in headers)
