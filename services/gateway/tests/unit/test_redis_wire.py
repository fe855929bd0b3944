"""Commands to Redis leave together, unless the turn of the loop is long; answers are followed up at once."""

import asyncio
import time

from gateway.admission.wire import Wire


class Socket(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


class World:
    def __init__(self) -> None:
        self.heard: list[object] = []
        self.socket = Socket()
        self.wire = Wire(timeout_s=5, on_lost=self.heard.append, on_answered=lambda: self.heard.append("all"))
        self.wire.connection_made(self.socket)

    def send(self, command: bytes) -> None:
        self.wire.send(command, self.heard.append)


async def test_the_commands_of_one_turn_leave_in_one_write() -> None:
    world = World()

    for command in (b"a", b"b", b"c"):
        world.send(command)
    assert world.socket.written == []
    await asyncio.sleep(0)

    assert world.socket.written == [b"abc"]


async def test_a_long_turn_is_not_waited_for_and_what_follows_leaves_together_again() -> None:
    world = World()

    world.send(b"a")
    time.sleep(0.01)  # noqa: ASYNC251  # a turn that reads many other sockets
    world.send(b"b")
    world.send(b"c")
    assert world.socket.written == [b"ab"]
    await asyncio.sleep(0)

    assert world.socket.written == [b"ab", b"c"]


async def test_what_answers_lead_to_is_done_behind_the_last_one_of_a_read() -> None:
    world = World()
    world.send(b"a")
    world.send(b"b")
    await asyncio.sleep(0)

    world.wire.data_received(b"+one\r\n+two\r\n")

    assert world.heard == [b"one", b"two", "all"]
