"""A provider that goes on talking behind its answer: nobody asked for that, so nobody gets it."""

import asyncio

import pytest

from gateway.dataplane.upstream_connection import ProviderConnection
from gateway.dataplane.upstream_request import Fetch
from gateway.routing.types import Timeouts
from kit.clock import SystemClock

ANSWER = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nmuch\r\n4\r\nmore\r\n0\r\n\r\n"
ANOTHER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class Home:
    """A pool that remembers what became of its connection."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.ticked_s = 0.0
        self.said: list[str] = []

    def released(self, connection: ProviderConnection) -> None:
        self.said.append("released")

    def lost(self, connection: ProviderConnection) -> None:
        self.said.append("lost")

    def failed(self, fetch: Fetch, kind: str, *, unseen: bool) -> None:
        self.said.append(kind)


class SlowSink:
    """Takes one piece, then waits."""

    def __init__(self) -> None:
        self.body = b""
        self.ended = False
        self.fetch: Fetch | None = None

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        assert status == 200

    def on_bytes(self, data: bytes) -> None:
        self.body += data
        assert self.fetch is not None
        self.fetch.pause()

    def on_end(self) -> None:
        self.ended = True

    def on_broken(self, kind: str) -> None:
        raise AssertionError(kind)


class Wire(asyncio.Transport):
    """A socket that takes everything."""

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...


@pytest.mark.parametrize("more", [[], [ANOTHER + b"evil"], [ANOTHER, b"evil"], [ANOTHER + b"ev", b"il"]])
@pytest.mark.parametrize("together", [True, False])
def test_a_reader_that_pauses_gets_the_answer_and_nothing_behind_it(more: list[bytes], *, together: bool) -> None:
    home, sink = Home(), SlowSink()
    connection = ProviderConnection(home)
    connection.connection_made(Wire())
    fetch = sink.fetch = Fetch(b"", b"", sink=sink, timeouts=Timeouts())
    fetch.most_bytes = 4
    connection.begin(fetch)

    for data in [ANSWER + b"".join(more)] if together else [ANSWER, *more]:
        connection.data_received(data)
    while not sink.ended:
        fetch.resume()
        assert len(sink.body) <= 8

    assert sink.body == b"muchmore"
    assert home.said == (["lost"] if more else ["released"])
