"""Connections to providers, against real sockets: kept, bounded, timed, never confused."""

import asyncio
import contextlib

import pytest

from gateway.dataplane.upstream import Upstream
from gateway.dataplane.upstream_pool import PoolLimits
from kit.clock import ManualClock

from .providers_on_sockets import (
    CHUNKED,
    OK,
    Sink,
    Ticket,
    answering,
    ask,
    read_request,
    request,
    serving,
    target,
    upstream_of,
)


async def test_a_connection_is_kept_and_used_again():
    async with serving(answering(OK, CHUNKED, OK)) as port, upstream_of() as upstream:
        sinks = [await ask(upstream, port) for _ in range(3)]
        connections = upstream.connections

    assert [bytes(sink.body) for sink in sinks] == [b"ok"] * 3
    assert connections == 1


async def test_a_connection_that_the_provider_closed_is_not_used_again():
    async with serving(answering(OK)) as port, upstream_of() as upstream:
        first = await ask(upstream, port)
        await asyncio.sleep(0.05)
        second = await ask(upstream, port)

    assert (first.broken, second.broken) == (None, None)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno",
    ],
)
async def test_a_connection_that_cannot_be_trusted_is_not_kept(answer):
    async with serving(answering(answer)) as port, upstream_of() as upstream:
        sink = await ask(upstream, port)
        connections = upstream.connections

    assert connections == 0
    assert bytes(sink.body) in (b"ok", b"")


async def test_idle_connections_close_after_a_while():
    limits = PoolLimits(idle_s=0.1)
    async with serving(answering(OK, OK)) as port, upstream_of(limits=limits) as upstream:
        await ask(upstream, port)
        early = upstream.connections
        await asyncio.sleep(0.3)
        late = upstream.connections

    assert (early, late) == (1, 0)


async def test_requests_wait_for_one_of_a_bounded_number_of_connections():
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await asyncio.sleep(0.05)
            writer.write(OK)

    async with serving(slow) as port, upstream_of(limits=PoolLimits(connections=2)) as upstream:
        sinks = await asyncio.gather(*(ask(upstream, port) for _ in range(6)))
        connections = upstream.connections

    assert [sink.broken for sink in sinks] == [None] * 6
    assert connections == 2


async def test_who_waits_too_long_for_a_connection_hears_so():
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with serving(never) as port, upstream_of(limits=PoolLimits(connections=1)) as upstream:
        first = Sink()
        upstream.paid(target(port), request(), ticket=Ticket(), sink=first)
        second = await ask(upstream, port, connect_s=0.1)

    assert second.broken == "PoolExhausted"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", "ConnectionClosed"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", "ConnectionClosed"),
        (b"", "ConnectionClosed"),
        (b"SSH-2.0-OpenSSH\r\n", "UnreadableAnswer"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "UnreadableAnswer",
        ),
        (b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", "UnreadableAnswer"),
    ],
)
async def test_an_answer_without_a_clean_end_is_broken(answer, kind):
    async with serving(answering(answer)) as port, upstream_of() as upstream:
        sink = await ask(upstream, port)

    assert (sink.broken, sink.ends) == (kind, 1)


async def test_a_head_without_an_end_is_given_up():
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-filler: " + b"y" * 1000 + b"\r\n")
            await writer.drain()

    async with serving(endless) as port, upstream_of() as upstream:
        sink = await ask(upstream, port)

    assert sink.broken == "HeadTooLarge"


async def test_an_answer_without_a_length_ends_with_its_connection():
    async with serving(answering(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as port, upstream_of() as upstream:
        sink = await ask(upstream, port)

    assert (bytes(sink.body), sink.broken) == (b"all of it", None)


async def test_interim_answers_are_not_the_answer():
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with serving(answering(interim + interim + OK)) as port, upstream_of() as upstream:
        sink = await ask(upstream, port)

    assert (sink.status, bytes(sink.body)) == (200, b"ok")
    assert b"link" not in dict(sink.headers)


async def test_trailers_and_what_follows_the_answer_are_not_its_headers():
    trailed = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nset-cookie: a=b\r\n\r\n"
    async with (
        serving(answering(trailed + b"HTTP/1.1 200 OK\r\nset-cookie: c=d\r\n\r\n")) as port,
        upstream_of() as upstream,
    ):
        sink = await ask(upstream, port)

    assert (bytes(sink.body), sink.headers) == (b"ok", [(b"transfer-encoding", b"chunked")])


async def test_no_redirect_is_followed():
    moved = b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    async with serving(answering(moved)) as port, upstream_of() as upstream:
        sink = await ask(upstream, port)

    assert (sink.status, sink.broken) == (307, None)


async def test_silence_has_its_limits():
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
        await asyncio.sleep(5)

    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with serving(half) as port, upstream_of() as upstream:
        silent = await ask(upstream, port, silence_s=0.1)
    async with serving(nothing) as port, upstream_of() as upstream:
        late = await ask(upstream, port, first_byte_s=0.1)

    assert (silent.broken, bytes(silent.body)) == ("SilenceTimeout", b"ok")
    assert late.broken == "FirstByteTimeout"


async def test_a_provider_that_is_not_there_is_named():
    async with upstream_of() as upstream:
        assert (await ask(upstream, 1)).broken == "ConnectionRefusedError"


async def test_a_connect_that_hangs_is_given_up():
    async def hang(*_: object) -> None:
        await asyncio.sleep(5)

    async with upstream_of(opener=hang) as upstream:
        assert (await ask(upstream, 1, connect_s=0.05)).broken == "ConnectTimeout"


async def test_a_paused_reader_costs_bounded_memory_and_gets_everything_in_the_end():
    size = 30 << 20
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * (64 << 10))
            sent += 64 << 10
            await writer.drain()

    class Pausing(Sink):
        def on_bytes(self, data: bytes) -> None:
            super().on_bytes(data)
            if len(self.body) == len(data):
                fetch.pause()

    async with serving(flood) as port, upstream_of() as upstream:
        sink = Pausing()
        fetch = upstream.paid(target(port, silence_s=0.1), request(), ticket=Ticket(), sink=sink)
        await asyncio.sleep(0.5)
        taken, offered = len(sink.body), sent
        fetch.resume()
        async with asyncio.timeout(10):
            await sink.over.wait()

    assert sink.broken is None
    assert taken < 1 << 20
    assert offered < size
    assert len(sink.body) == size


async def test_a_large_request_reaches_a_slow_provider_whole():
    body = bytes(range(256)) * (8 << 12)
    got = b""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await asyncio.sleep(0.1)
        _, got = await read_request(reader)
        writer.write(OK)
        await writer.drain()
        await read_request(reader)
        writer.write(OK)

    async with serving(slow) as port, upstream_of() as upstream:
        first = await ask(upstream, port, body)
        second = await ask(upstream, port)
        connections = upstream.connections

    assert got == body
    assert (first.broken, second.broken, connections) == (None, None, 1)


async def test_an_answer_before_the_request_was_sent_does_not_leak_into_the_next_one():
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await writer.drain()
        await asyncio.sleep(1)

    async with serving(hasty) as port, upstream_of() as upstream:
        sink = await ask(upstream, port, b"x" * (16 << 20))
        connections = upstream.connections

    assert sink.status == 413
    assert connections == 0


async def test_a_request_that_is_given_up_closes_its_connection_and_says_nothing_more():
    closed = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        closed.set()

    async with serving(handler) as port, upstream_of() as upstream:
        sink = Sink()
        fetch = upstream.paid(target(port), request(), ticket=Ticket(), sink=sink)
        while not sink.body:  # noqa: ASYNC110  # another program's state
            await asyncio.sleep(0.01)
        fetch.cancel()
        async with asyncio.timeout(2):
            await closed.wait()

    assert sink.ends == 0


async def test_giving_up_an_ended_request_does_not_end_the_next_one_on_its_connection():
    async with serving(answering(OK, OK)) as port, upstream_of() as upstream:
        first = Sink()
        fetch = upstream.paid(target(port), request(), ticket=Ticket(), sink=first)
        await first.over.wait()
        second = Sink()
        upstream.paid(target(port), request(), ticket=Ticket(), sink=second)
        fetch.cancel()
        async with asyncio.timeout(2):
            await second.over.wait()

    assert second.broken is None


class Racing(asyncio.Transport):
    """A connection whose provider closed it just as a request went out."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.requests = 0

    def write(self, data: bytes) -> None:
        self.requests += 1
        self.written += data

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass

    close = abort


@pytest.mark.parametrize(("after_s", "repeated"), [(0.001, True), (0.2, False)])
async def test_only_a_request_that_the_provider_cannot_have_seen_is_repeated(after_s, repeated):
    clock = ManualClock()
    transports: list[Racing] = []

    async def open_fake(factory, address, tls):
        clock.advance(0.05)
        protocol = factory()
        transports.append(Racing(protocol))
        protocol.connection_made(transports[-1])
        return protocol

    upstream = Upstream(opener=open_fake, clock=clock)
    first, second = Sink(), Sink()
    upstream.paid(target(1), request(), ticket=Ticket(), sink=first)
    await asyncio.sleep(0.01)
    transports[0].protocol.data_received(OK)
    upstream.paid(target(1), request(), ticket=Ticket(), sink=second)

    clock.advance(after_s)
    transports[0].protocol.connection_lost(None)
    await asyncio.sleep(0.01)

    assert first.broken is None
    assert len(transports) == (2 if repeated else 1)
    assert second.broken == (None if repeated else "ConnectionClosed")
    await upstream.stop()
