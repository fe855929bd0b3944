"""What a broker answers reaches whoever asked, however it arrives; what is lost is said to be lost."""

import asyncio

import pytest

from gateway.usage.produce import Answered, Produce
from gateway.usage.produce_connection import ProduceConnection

TOPIC = b"\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01"


class Wire(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_aborted = True


class World:
    def __init__(self) -> None:
        self.wire = Wire()
        self.connection = ProduceConnection("g-1")
        self.connection.connection_made(self.wire)
        self.heard: list = []

    def ask(self) -> None:
        self.connection.send(Produce({"t": [(3, b"batch")]}, timeout_ms=5000), self.heard.append)


def answer(number: int, *, partition: int, code: int = 0) -> bytes:
    body = number.to_bytes(4) + TOPIC + partition.to_bytes(4) + code.to_bytes(2) + bytes(24) + bytes(4)
    return len(body).to_bytes(4) + body


@pytest.mark.parametrize("size", [1, 3, 50, 1000])
def test_answers_are_read_however_they_are_cut(size):
    world = World()
    world.ask()
    world.ask()

    content = answer(1, partition=3) + answer(2, partition=4, code=19)
    for start in range(0, len(content), size):
        world.connection.data_received(content[start : start + size])

    assert world.heard == [[Answered("t", 3, 0)], [Answered("t", 4, 19)]]
    assert world.wire.written.count(b"\x00\x03g-1") == 2


def test_an_answer_to_another_question_acknowledges_nothing():
    world = World()
    world.ask()

    world.connection.data_received(answer(2, partition=3))
    world.connection.connection_lost(None)

    assert (world.wire.is_aborted, world.heard) == (True, [None])


async def test_what_a_broken_connection_carried_is_told_as_lost():
    world = World()
    world.ask()

    world.connection.connection_lost(ConnectionResetError())
    world.ask()
    await asyncio.sleep(0)

    assert (world.heard, world.connection.is_up) == ([None, None], False)


def test_a_connection_that_is_closed_from_here_says_nothing_more():
    world = World()
    world.ask()

    world.connection.close()
    world.connection.connection_lost(None)

    assert (world.heard, world.wire.is_aborted) == ([], True)
