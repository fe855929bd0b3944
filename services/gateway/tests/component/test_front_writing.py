"""How answers leave: framing for every kind of client, back-pressure, clients that go, and the server's own end."""

import asyncio
import socket
import time
from collections.abc import Callable

import orjson
import pytest
from services.gateway.tests.fronts import RunningFront, Wire, running_front, wait_until

from gateway.dataplane.exchange import Exchange
from gateway.dataplane.front import FrontLimits
from gateway.errors import ModelApiError

HOST = b"Host: faregate.test\r\n"
ASK = b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}"
EVENT = b"data: " + b"x" * 1000 + b"\n\n"
Handler = Callable[[Exchange], None]


def streaming(exchange: Exchange) -> None:
    exchange.start(200, [(b"content-type", b"text/event-stream")])
    exchange.write(b"one ")
    exchange.write(b"")
    exchange.write(b"two ")
    exchange.finish(b"three")


def begun_together(exchange: Exchange) -> None:
    exchange.start(200, [(b"content-type", b"text/event-stream")], first=b"one two ")
    exchange.finish(b"three")


def sized(exchange: Exchange) -> None:
    exchange.start(200, [], length=7)
    exchange.write(b"one ")
    exchange.finish(b"two")


def whole(exchange: Exchange) -> None:
    exchange.answer(200, [(b"x-a", b"b")], b"whole")


def serving(handler: Handler, **named: object):
    return running_front({("POST", "/v1/x"): handler, ("HEAD", "/v1/x"): handler}, **named)


def old(connection: bytes = b"") -> bytes:
    return b"POST /v1/x HTTP/1.0\r\n" + connection + b"Content-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("handler", "body"),
    [(streaming, b"one two three"), (begun_together, b"one two three"), (sized, b"one two"), (whole, b"whole")],
)
def test_every_kind_of_answer_keeps_the_connection(handler: Handler, body: bytes):
    with serving(handler) as front, front.connect() as wire:
        for _ in range(3):
            wire.send(ASK)
            status, headers, received = wire.response()
            assert (status, received) == (200, body)
            assert b"connection" not in headers
            assert b"date" in headers
            assert b"server" not in headers


@pytest.mark.parametrize("handler", [streaming, begun_together, sized, whole])
def test_head_gets_the_head_alone(handler: Handler):
    with serving(handler) as front, front.connect() as wire:
        for _ in range(2):
            wire.send(ASK.replace(b"POST", b"HEAD"))
            status, headers, _ = wire.response(bodiless=True)
            assert status == 200
            assert b"transfer-encoding" not in headers


def test_an_old_client_gets_no_chunks_but_the_end_of_the_connection():
    with serving(streaming) as front:
        for connection in (b"", b"Connection: keep-alive\r\n"):
            answer = front.exchange(old(connection))
            assert b"transfer-encoding" not in answer
            assert b"connection: close" in answer
            assert answer.endswith(b"\r\n\r\none two three")


def test_an_old_client_may_keep_the_connection_when_the_length_is_known():
    with serving(whole) as front, front.connect() as wire:
        for _ in range(2):
            wire.send(old(b"Connection: keep-alive\r\n"))
            _, headers, body = wire.response()
            assert (headers[b"connection"], body) == (b"keep-alive", b"whole")
        assert front.exchange(old()).endswith(b"whole")


def test_a_client_that_asks_for_it_gets_its_connection_closed():
    with serving(whole) as front:
        answer = front.exchange(ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + ASK)

    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in answer


def test_a_body_without_content_has_no_length():
    with serving(lambda exchange: exchange.answer(204, [], b"")) as front, front.connect() as wire:
        for _ in range(2):
            wire.send(ASK)
            status, headers, _ = wire.response()
            assert status == 204
            assert b"content-length" not in headers


def test_fewer_bytes_than_announced_end_the_connection_and_more_are_cut():
    def short(exchange: Exchange) -> None:
        exchange.start(200, [], length=10)
        exchange.finish(b"short")

    def long(exchange: Exchange) -> None:
        exchange.start(200, [], length=4)
        exchange.finish(b"longer")

    with serving(short) as front:
        assert front.exchange(ASK).endswith(b"\r\n\r\nshort")
    with serving(long) as front, front.connect() as wire:
        for _ in range(2):
            wire.send(ASK)
            assert wire.response()[2] == b"long"


def test_a_header_with_a_line_break_is_left_out():
    def handler(exchange: Exchange) -> None:
        exchange.answer(200, [(b"x-a", b"b\r\nx-evil: 1"), (b"x-c", b"d")], b"")

    with serving(handler) as front, front.connect() as wire:
        wire.send(ASK)
        _, headers, _ = wire.response()

    assert b"x-evil" not in headers
    assert b"x-a" not in headers
    assert headers[b"x-c"] == b"d"


def test_a_handler_that_fails_is_answered_for():
    def failing(exchange: Exchange) -> None:
        raise KeyError("secret words")

    def refusing(exchange: Exchange) -> None:
        exchange.request_id = "req_chosen"
        raise ModelApiError(402, "No credits are left")

    with serving(failing) as front, front.connect() as wire:
        for _ in range(2):
            wire.send(ASK)
            status, _, body = wire.response()
            assert (status, orjson.loads(body)["error"]["type"]) == (500, "api_error")
            assert b"secret" not in body
    with serving(refusing) as front, front.connect() as wire:
        wire.send(ASK)
        status, headers, body = wire.response()
        assert (status, headers[b"request-id"]) == (402, b"req_chosen")
        assert orjson.loads(body)["request_id"] == "req_chosen"


def test_a_handler_that_fails_in_its_stream_cuts_it_off():
    def failing(exchange: Exchange) -> None:
        exchange.start(200, [])
        exchange.write(b"begun")
        raise KeyError

    with serving(failing) as front:
        answer = front.exchange(ASK)

    assert answer.endswith(b"5\r\nbegun\r\n")


@pytest.mark.parametrize("ask", [ASK, old()])
def test_an_aborted_stream_does_not_look_complete(ask: bytes):
    def aborting(exchange: Exchange) -> None:
        exchange.start(200, [])
        exchange.write(b"begun")
        exchange.abort()
        exchange.write(b"ignored")
        exchange.finish()

    with serving(aborting) as front, front.connect() as wire:
        wire.send(ask)
        if b"HTTP/1.1" in ask:
            assert wire.rest().endswith(b"5\r\nbegun\r\n")
        else:
            with pytest.raises(ConnectionResetError):
                wire.rest()


class Told:
    """Notes that the client has left."""

    def __init__(self) -> None:
        self.times = 0

    def on_gone(self) -> None:
        self.times += 1

    def on_resume(self) -> None:
        raise AssertionError("nothing was paused")


class Pump:
    """Writes events as long as the client takes them."""

    def __init__(self, events: int) -> None:
        self.left = events
        self.pauses = 0
        self.gone = 0
        self.exchange: Exchange | None = None

    def __call__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.watcher = self
        exchange.start(200, [])
        self.on_resume()

    def on_resume(self) -> None:
        assert self.exchange is not None
        while self.left and not self.exchange.paused and not self.exchange.gone:
            self.left -= 1
            self.exchange.write(EVENT)
        if self.exchange.paused:
            self.pauses += 1
        if not self.left:
            self.exchange.finish()

    def on_gone(self) -> None:
        self.gone += 1


def test_a_slow_reader_pauses_its_stream_and_no_other():
    pump = Pump(events=20_000)
    with serving(pump) as front, front.connect() as slow, front.connect() as other:
        slow.send(ASK)
        wait_until(lambda: pump.pauses)
        time.sleep(0.1)
        written = 20_000 - pump.left
        assert 0 < written < 20_000
        assert buffered(front) < 200_000
        other.send(b"POST /v1/messages HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}")
        assert other.response()[0] == 200
        _, _, body = slow.response()
        assert body == EVENT * 20_000
        assert pump.gone == 0


def buffered(front: RunningFront) -> int:
    return max(connection.transport.get_write_buffer_size() for connection in front.front.connections)


def test_a_client_that_takes_nothing_is_gone_after_a_while():
    pump = Pump(events=1_000_000)
    with serving(pump, limits=FrontLimits(stall_s=0.3)) as front, front.connect() as wire:
        wire.send(ASK)
        wait_until(lambda: pump.gone)
        assert pump.exchange is not None
        assert pump.exchange.gone
        wait_until(lambda: not front.front.connections)
        assert pump.gone == 1


def test_a_client_that_reads_slowly_but_reads_is_not_gone():
    pump = Pump(events=3_000)
    with serving(pump, limits=FrontLimits(stall_s=0.5)) as front, front.connect() as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send(ASK)
        received = 0
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            received += len(wire.socket.recv(20_000))
            time.sleep(0.02)
        assert received
        assert pump.gone == 0
        while pump.left:
            assert wire.socket.recv(1 << 20)


def test_a_client_that_leaves_is_noticed_once_and_written_to_no_more():
    told = Told()
    running: list[Exchange] = []

    def handler(exchange: Exchange) -> None:
        exchange.watcher = told
        exchange.start(200, [])
        running.append(exchange)

    with serving(handler) as front:
        with front.connect() as wire:
            wire.send(ASK)
            wait_until(lambda: running)
        wait_until(lambda: told.times)
        front.call(lambda: running[0].write(b"late"))
        front.call(running[0].finish)
        time.sleep(0.05)

    assert told.times == 1
    assert running[0].gone


def test_a_client_that_leaves_after_its_answer_is_nobodys_business():
    told = Told()

    def handler(exchange: Exchange) -> None:
        exchange.watcher = told
        exchange.answer(200, [], b"done")

    with serving(handler) as front:
        with front.connect() as wire:
            wire.send(ASK)
            assert wire.response()[2] == b"done"
        wait_until(lambda: not front.front.connections)

    assert told.times == 0


def test_a_client_that_pipelines_and_never_reads_costs_bounded_memory():
    def large(exchange: Exchange) -> None:
        exchange.answer(200, [], b"x" * 100_000)

    with serving(large) as front, front.connect(timeout_s=0.5) as wire:
        wire.send(ASK * 300)
        time.sleep(0.3)
        assert buffered(front) < 400_000
        for _ in range(300):
            assert len(wire.response()[2]) == 100_000


def stop(front: RunningFront) -> None:
    front.server.should_exit = True
    wait_until(lambda: front.front.closing)


def test_at_the_end_running_streams_finish_and_idle_connections_close():
    running: list[Exchange] = []

    def handler(exchange: Exchange) -> None:
        exchange.start(200, [])
        running.append(exchange)

    with serving(handler) as front, front.connect() as busy, front.connect() as idle, front.connect() as late:
        busy.send(ASK)
        idle.send(b"GET /app HTTP/1.1\r\n" + HOST + b"\r\n")
        assert idle.response()[0] == 200
        late.send(ASK[:30])
        wait_until(lambda: running)
        time.sleep(0.05)
        stop(front)
        assert idle.is_closed()
        late.send(ASK[30:])
        status, headers, _ = late.response()
        assert (status, headers[b"connection"], headers[b"retry-after"]) == (503, b"close", b"1")
        front.call(lambda: running[0].finish(b"the end"))
        assert ends_with(busy, b"7\r\nthe end\r\n0\r\n\r\n")


def ends_with(wire: Wire, ending: bytes) -> bool:
    return wire.rest().endswith(ending)


def test_at_the_end_a_running_asgi_request_finishes():
    started = []

    async def app(scope, receive, send) -> None:
        await receive()
        started.append(1)
        await asyncio.sleep(0.5)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done"})

    with running_front(app=app) as front, front.connect() as wire:
        wire.send(b"GET /app HTTP/1.1\r\n" + HOST + b"\r\n")
        wait_until(lambda: started)
        stop(front)
        answer = wire.rest()

    assert answer.endswith(b"done")
    assert b"connection: close" in answer
